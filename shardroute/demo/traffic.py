"""What an application does with one tenant: a writer and a reader, each one request after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from random import Random
from typing import TypeVar

from ..phases import EFFECTS
from ..records import Match, Record
from ..tenant import Tenant
from .contents import flaw, number, written
from .corpus import Document
from .encoder import encode
from .evidence import STAGE_OF, Evidence, Stage
from .keys import LOADED, Keys, untouched, version
from .lag import Lags
from .ledger import Attempt, Key, Look, Verb, judge_one
from .pace import Pace
from .plan import Plan

_Answer = TypeVar("_Answer")

_TICK = 0.05  # seconds: the workers meet on shared keys at whole ticks
_SAME = 0.999  # cosine of a text with itself, less what float32 and a cluster's own arithmetic take


class Latencies:
    """Of reads in milliseconds, by stage, since somebody last asked."""

    def __init__(self) -> None:
        self._samples: dict[Stage, list[float]] = {}

    def add(self, stage: Stage, seconds: float) -> None:
        self._samples.setdefault(stage, []).append(round(seconds * 1000, 3))

    def take(self) -> dict[Stage, list[float]]:
        samples, self._samples = self._samples, {}
        return samples


class Watched:
    """A tenant whose requests are timed, counted and looked through for what is not the tenant's."""

    def __init__(
        self,
        tenant: Tenant,
        documents: Sequence[Document],
        evidence: Evidence,
        latencies: Latencies,
        lags: Lags,
        pace: Pace,
    ) -> None:
        self.name = tenant.name
        self.documents = documents
        self.evidence = evidence
        self._tenant = tenant
        self._latencies = latencies
        self._lags = lags
        self._pace = pace

    @property
    def stage(self) -> Stage:
        return STAGE_OF[self._tenant.phase]

    def rest(self, mean: float, haste: float, dice: Random) -> float:
        """Seconds until a client's next request: shorter while the tenant is under way, longer on a slow machine."""
        faster = haste if self.stage is Stage.DURING else 1.0
        return dice.expovariate(faster / (mean * self._pace.factor))

    @property
    def _lag(self) -> float:
        """Of the cluster that a read which begins now is sent to."""
        return self._lags[EFFECTS[self._tenant.phase].primary]

    # -- reads -----------------------------------------------------------------------------------------------

    async def look(self, ids: Sequence[str]) -> list[Look]:
        """What is there under these ids; an empty list if the request failed."""
        began, lag = time.monotonic(), self._lag
        found = await self._read("fetch", self._tenant.fetch(ids))
        if found is None:
            return []
        ended = time.monotonic()
        for record in found.values():
            self._examine(record)
        looks = [
            _look(Key(self.name, record_id), began, ended, found.get(record_id), lag) for record_id in ids
        ]
        self.evidence.looks += looks
        return looks

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record] | None:
        """Records by id, or None if the request failed."""
        return await self._read("fetch", self._tenant.fetch(ids))

    async def search(self, text: str, kind: str) -> list[Match] | None:
        """The documents of a kind that are nearest to a text, or None if the request failed."""
        condition = {"kind": {"$eq": kind}}
        found = await self._read("query", self._tenant.query(encode(text), top_k=5, filter=condition))
        for match in found or ():
            if match.metadata.get("owner") != self.name:
                self.evidence.breach(
                    f"a query of {self.name} found {match.id} of {match.metadata.get('owner')}"
                )
            if match.metadata.get("kind") != kind:
                self.evidence.flaw(
                    f"{self.name}/{match.id}: found as {kind}, is {match.metadata.get('kind')}"
                )
        return found

    async def _read(self, request: str, call: Awaitable[_Answer]) -> _Answer | None:
        stage, began = self.stage, time.perf_counter()
        try:
            answer = await call
        except Exception as error:
            self.evidence.failed(f"{request} of {self.name}", error)
            return None
        finally:
            self._pace.note(time.perf_counter() - began)
        self._latencies.add(stage, time.perf_counter() - began)
        self.evidence.counts.reads += 1
        return answer

    def _examine(self, record: Record) -> None:
        if record.metadata.get("owner") != self.name:
            self.evidence.breach(f"a fetch of {self.name} gave {record.id} of {record.metadata.get('owner')}")
        elif (what := flaw(self.name, record, self.documents)) is not None:
            self.evidence.flaw(f"{self.name}/{record.id}: {what}")

    # -- writes ----------------------------------------------------------------------------------------------

    async def write(self, verb: Verb, record_id: str, new: int) -> Attempt:
        """One attempt, noted with its times whatever becomes of it."""
        began = time.monotonic()
        acknowledged: float | None = None
        try:
            await self._send(verb, record_id, new)
        except Exception as error:
            self.evidence.failed(f"{verb} of {self.name}/{record_id}", error)
        else:
            acknowledged = time.monotonic()
            self._count(verb)
        attempt = Attempt(Key(self.name, record_id), verb, new, began, acknowledged)
        self.evidence.attempts.append(attempt)
        return attempt

    async def _send(self, verb: Verb, record_id: str, new: int) -> None:
        if verb is Verb.DELETE:
            await self._tenant.delete([record_id])
        elif verb is Verb.UPDATE:
            await self._tenant.update(record_id, metadata={"version": new})
        else:
            await self._tenant.upsert([written(self.name, record_id, self.documents, new)])

    def _count(self, verb: Verb) -> None:
        if verb is Verb.DELETE:
            self.evidence.counts.deletes += 1
        else:
            self.evidence.counts.writes += 1


def _look(key: Key, began: float, ended: float, record: Record | None, lag: float) -> Look:
    return Look(key, began, ended, number(record, "version"), number(record, "base"), lag=lag)


class Writer:
    """Writes a worker's own keys and its part in the shared ones, and reads its own writes."""

    def __init__(self, watched: Watched, keys: Keys, worker: int, plan: Plan) -> None:
        self._watched = watched
        self._keys = keys
        self._worker = worker
        self._plan = plan
        self._random = Random(f"{plan.seed} writer {worker} {watched.name}")
        self._number = 0
        self._histories = {record_id: self._loaded(record_id) for record_id in keys.documents}
        self._histories |= {record_id: [] for record_id in keys.notes}

    def _loaded(self, record_id: str) -> list[Attempt]:
        return [Attempt(Key(self._watched.name, record_id), Verb.UPSERT, LOADED, 0.0, 0.0)]

    async def write(self) -> None:
        """One write, and mostly a look at what it left behind."""
        if self._random.random() < 0.3:
            await self._write_shared()
        elif self._histories:
            await self._write_own()

    def pause(self) -> float:
        """Seconds until the next write."""
        return self._watched.rest(self._plan.write_pause, self._plan.haste, self._random)

    async def _write_own(self) -> None:
        record_id = self._random.choice(list(self._histories))
        history = self._histories[record_id]
        there = bool(history) and history[-1].leaves is not None
        verb = self._random.choice(
            (Verb.UPSERT, Verb.UPDATE, Verb.UPDATE, Verb.DELETE) if there else (Verb.UPSERT,)
        )
        attempt = await self._watched.write(verb, record_id, self._next())
        history.append(attempt)
        if attempt.acknowledged is None:
            del self._histories[record_id]  # it may still land: nothing more can be said of this key
        elif self._random.random() < 0.7:
            await self._read_own(record_id, history)

    async def _read_own(self, record_id: str, history: Sequence[Attempt]) -> None:
        for look in await self._watched.look([record_id]):
            self._watched.evidence.counts.stale += judge_one(history, look) is not None

    async def _write_shared(self) -> None:
        """At the same tick as the other workers, on the same key: as hard as it gets."""
        await asyncio.sleep(_TICK - time.monotonic() % _TICK)
        dice = Random(f"{self._watched.name} {time.monotonic() // _TICK}")
        pool, other = dice.choice(((self._keys.updated, Verb.UPDATE), (self._keys.contended, Verb.DELETE)))
        record_id = dice.choice(pool)
        verb = self._random.choice((Verb.UPSERT, other))
        await self._watched.write(verb, record_id, self._next())
        if self._random.random() < 0.7:
            await self._watched.look([record_id])

    def _next(self) -> int:
        self._number += 1
        return version(self._number, self._worker, self._plan.workers)


class Reader:
    """Searches and fetches: whatever comes back must be the tenant's own and as it was written."""

    def __init__(
        self, watched: Watched, everybodys: Sequence[str], foreign: Sequence[str], worker: int, plan: Plan
    ) -> None:
        """`everybodys`: ids that workers write here. `foreign`: ids that only other tenants have."""
        self._watched = watched
        self._everybodys = everybodys
        self._foreign = foreign
        self._untouched = untouched(plan.workers, watched.documents)
        self._random = Random(f"{plan.seed} reader {worker} {watched.name}")
        self._plan = plan

    async def read(self) -> None:
        """One read of a kind drawn by lot."""
        chosen = self._random.choices((self._search, self._find, self._look, self._pry), (4, 2, 3, 1))
        await chosen[0]()

    def pause(self) -> float:
        """Seconds until the next read."""
        return self._watched.rest(self._plan.read_pause, self._plan.haste, self._random)

    async def _search(self) -> None:
        document = self._random.choice(self._watched.documents)
        await self._watched.search(document.sentence, document.kind)

    async def _find(self) -> None:
        """A document that nobody writes must be found by its own text."""
        document = self._random.choice(self._untouched)
        found = await self._watched.search(document.text, document.kind)
        if found is not None and (not found or found[0].score < _SAME):
            self._watched.evidence.flaw(f"{self._watched.name}/{document.id}: not found by its own text")

    async def _look(self) -> None:
        await self._watched.look(self._random.sample(self._everybodys, 4))

    async def _pry(self) -> None:
        """Ids of other tenants are asked for along with an own one: only that may come back."""
        own = self._random.choice(self._untouched).id
        found = await self._watched.fetch(
            [own, *self._random.sample(self._foreign, min(3, len(self._foreign)))]
        )
        if found is None:
            return
        if own not in found:
            self._watched.evidence.flaw(f"{self._watched.name}/{own}: not there any more")
        for record_id in found.keys() - {own}:
            self._watched.evidence.breach(
                f"a fetch of {self._watched.name} gave {record_id} of another tenant"
            )
