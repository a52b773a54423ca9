"""HTTP readers and writers of several tenants, and the judgement of what they were told.

The application under load offers, for the tenant in the header `X-Tenant`:

    PUT /docs/{id}      {"vector": [...], "metadata": {...}}   any 2xx
    GET /docs/{id}      200 with a document that holds "metadata"; 404 where there is none
    DELETE /docs/{id}   any 2xx, also where there is none
    POST /search        {"vector": [...], "top_k": n}; 200 with {"matches": [{"id", "score", "metadata"}, ...]}

Which state the acknowledged writes allow is judged as in the demo (`shardroute.demo.ledger`). A write without an answer
may have taken effect or not, at any time; where it is sent again, that is another write.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import httpx
import numpy as np

from shardroute import Config, Record, Router
from shardroute.demo.ledger import Attempt, Key, Look, Verb, judge
from tests.support.patience import PATIENCE, patience

_Answer = TypeVar("_Answer")

DEADLINE = PATIENCE
"""Seconds after which a client gives up by itself: longer than a router lets a write wait (`tests.cli.conftest`)."""

_LAST = 0.1
"""Share of requests that are the last of their connection: uvicorn, when it is to end, may wait for one that came at
that moment for as long as it is used."""

_TRIES = 4
_DROPPED = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
"""A connection that was there and ended without an answer: a server that goes may close an idle one at that moment."""


class _Dropped(Exception):
    """No answer; the request may be sent again, as all of these are idempotent."""


class _Failed(Exception):
    """The request is lost, and noted."""


@dataclass
class Seen:
    """What the clients have seen. `dropped` connections are not failures: the requests were sent again."""

    attempts: list[Attempt] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    answered: int = 0
    dropped: int = 0
    overdue: int = 0
    failed: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(attempt.acknowledged is not None for attempt in self.attempts)

    @property
    def problems(self) -> list[str]:
        """In words: failed requests, other tenants' records, writes that are lost or deletions that are undone."""
        return [*self.failed, *self.breaches, *map(str, judge(self.attempts, self.looks))]

    def __str__(self) -> str:
        failed = f"{len(self.failed)} failed, {self.dropped} sent again, {self.overdue} past their deadline"
        return f"{self.answered} answers, {self.acknowledged} acknowledged writes, {failed}"


class Load:
    """`writers` and `readers` for each tenant. Tenants use the same ids, beside some that only one of them has."""

    def __init__(
        self,
        url: str,
        tenants: Sequence[str],
        *,
        writers: int = 2,
        readers: int = 1,
        ids: int = 12,
        pause: float = 0.05,
    ) -> None:
        """`pause`: seconds between two requests of a client, on average."""
        self.seen = Seen()
        self._url = url
        self._tenants = tenants
        self._clients = {self._write: writers, self._read: readers}
        self._ids = [f"doc-{number}" for number in range(ids)]
        self._pause = pause
        self._versions = itertools.count(1)
        self._progress = asyncio.Event()

    async def fill(self, config: Config) -> None:
        """Writes every id once, through a router, so that a move has something to copy."""
        async with Router(config) as router:
            for tenant in self._tenants:
                began = time.monotonic()
                versions = {record_id: next(self._versions) for record_id in self._ids_of(tenant)}
                await router.tenant(tenant).upsert(
                    Record(record_id, _vector(version), {"owner": tenant, "version": version})
                    for record_id, version in versions.items()
                )
                ended = time.monotonic()
                self.seen.attempts += [
                    Attempt(Key(tenant, record_id), Verb.UPSERT, version, began, ended)
                    for record_id, version in versions.items()
                ]

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Seen]:
        """Load while the block runs; afterwards every request has ended."""
        stop = asyncio.Event()
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=DEADLINE, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for tenant in self._tenants:
                for step, number in self._clients.items():
                    for place in range(number):
                        dice = Random(f"{tenant} {step.__name__} {place}")
                        group.create_task(self._client(_Client(client, tenant, dice, self.seen), step, stop))
            try:
                yield self.seen
            finally:
                stop.set()

    async def answers(self, more: int) -> None:
        """Returns when so many more requests have been answered: something is awaited *under load*. Or TimeoutError."""
        wanted = self.seen.answered + more
        async with patience():
            while self.seen.answered < wanted:
                self._progress.clear()
                await self._progress.wait()

    async def judged(self, config: Config) -> Seen:
        """Reads everything once more, through a router, and adds it to what was seen."""
        async with Router(config) as router:
            for tenant in self._tenants:
                handle = router.tenant(tenant)
                found = {record.id: record async for record in handle.scan()}
                fetched = await handle.fetch(self._ids_of(tenant))
                _examine(self.seen, tenant, found)
                _examine(self.seen, tenant, fetched)
                for record_id in {*self._ids_of(tenant), *found}:
                    self._note(tenant, record_id, found.get(record_id))
                    self._note(tenant, record_id, fetched.get(record_id))
        return self.seen

    def _note(self, tenant: str, record_id: str, record: Record | None) -> None:
        now = time.monotonic()
        number = _number(None if record is None else record.metadata)
        self.seen.looks.append(Look(Key(tenant, record_id), now, now, number, number, final=True))

    def _ids_of(self, tenant: str) -> list[str]:
        return [*self._ids, *(f"{tenant}-{number}" for number in range(3))]

    # -- the clients -------------------------------------------------------------------------------------------

    async def _client(
        self, client: _Client, step: Callable[[_Client], Awaitable[None]], stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            with suppress(_Failed):
                await step(client)
            self._progress.set()
            await asyncio.sleep(client.dice.expovariate(1 / self._pause))

    async def _write(self, client: _Client) -> None:
        record_id = client.dice.choice(self._ids_of(client.tenant))
        verb = client.dice.choices((Verb.UPSERT, Verb.DELETE), (4, 1))[0]
        await _again(self.seen, lambda: client.write(verb, record_id, next(self._versions)))
        if client.dice.random() < 0.3:
            await _again(self.seen, lambda: client.look(record_id))

    async def _read(self, client: _Client) -> None:
        others = [tenant for tenant in self._tenants if tenant != client.tenant]
        kind = client.dice.random()
        if kind < 0.5:
            await _again(self.seen, client.search)
        elif kind < 0.9 or not others:
            await _again(self.seen, lambda: client.look(client.dice.choice(self._ids_of(client.tenant))))
        else:
            await _again(self.seen, lambda: client.pry(f"{client.dice.choice(others)}-0"))


async def _again(seen: Seen, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    for _ in range(_TRIES):
        try:
            return await call()
        except _Dropped:
            seen.dropped += 1
    seen.failed.append(f"no answer to {_TRIES} requests in a row")
    raise _Failed


@dataclass(frozen=True)
class _Client:
    """One user of one tenant."""

    http: httpx.AsyncClient
    tenant: str
    dice: Random
    seen: Seen

    async def write(self, verb: Verb, record_id: str, version: int) -> None:
        """One attempt, noted with its times whatever becomes of it."""
        began, acknowledged = time.monotonic(), None
        try:
            if verb is Verb.DELETE:
                await self._ask("DELETE", f"/docs/{record_id}")
            else:
                document = {
                    "vector": _vector(version),
                    "metadata": {"owner": self.tenant, "version": version},
                }
                await self._ask("PUT", f"/docs/{record_id}", document)
            acknowledged = time.monotonic()
        finally:
            key = Key(self.tenant, record_id)
            self.seen.attempts.append(Attempt(key, verb, version, began, acknowledged))

    async def look(self, record_id: str) -> None:
        began = time.monotonic()
        answer = await self._ask("GET", f"/docs/{record_id}", missing=True)
        self._note(record_id, began, None if answer.status_code == 404 else answer.json()["metadata"])

    async def search(self) -> None:
        began = time.monotonic()
        answer = await self._ask("POST", "/search", {"vector": _vector(self.dice.randrange(99)), "top_k": 5})
        for match in answer.json()["matches"]:
            self._note(match["id"], began, match["metadata"])

    async def pry(self, record_id: str) -> None:
        """Asks for what only another tenant has."""
        answer = await self._ask("GET", f"/docs/{record_id}", missing=True)
        if answer.status_code != 404:
            self.seen.breaches.append(f"{self.tenant} was shown {record_id}")

    def _note(self, record_id: str, began: float, metadata: Mapping[str, Any] | None) -> None:
        if metadata is not None and metadata.get("owner") != self.tenant:
            self.seen.breaches.append(f"{self.tenant} was shown {record_id} of {metadata.get('owner')}")
        number = _number(metadata)
        self.seen.looks.append(Look(Key(self.tenant, record_id), began, time.monotonic(), number, number))

    async def _ask(
        self, method: str, path: str, document: Any = None, *, missing: bool = False
    ) -> httpx.Response:
        """A good answer (`missing`: 404 is one). Raises _Dropped, or _Failed once that is noted."""
        what = f"{method} {path} of {self.tenant}"
        try:
            answer = await self.http.request(method, path, json=document, headers=self._headers())
        except _DROPPED as error:
            raise _Dropped from error
        except httpx.TimeoutException as error:
            self.seen.overdue += 1
            raise _Failed from error
        except httpx.TransportError as error:
            self.seen.failed.append(f"{what}: {error!r}")
            raise _Failed from error
        if not answer.is_success and not (missing and answer.status_code == 404):
            self.seen.failed.append(f"{what}: {answer.status_code} {answer.text[:300]}")
            raise _Failed
        self.seen.answered += 1
        return answer

    def _headers(self) -> dict[str, str]:
        last = {"Connection": "close"} if self.dice.random() < _LAST else {}
        return {"X-Tenant": self.tenant, **last}


def _vector(version: int) -> list[float]:
    return [1.0, version % 7, version % 5, 1.0 + version % 3]


def _number(metadata: Mapping[str, Any] | None) -> int | None:
    return None if metadata is None else int(metadata["version"])


def _examine(seen: Seen, tenant: str, found: Mapping[str, Record]) -> None:
    """Every record is the tenant's own, and its vector the one that came with its metadata."""
    for record in found.values():
        if record.metadata.get("owner") != tenant:
            seen.breaches.append(f"{tenant} holds {record.id} of {record.metadata.get('owner')}")
        elif not _same_direction(record, int(record.metadata["version"])):
            seen.failed.append(f"{tenant} holds {record.id} with the vector of another version")


def _same_direction(record: Record, version: int) -> bool:
    """Cosine collections keep unit vectors."""
    vector, written = np.asarray(record.vector), np.asarray(_vector(version))
    return bool(np.allclose(vector / np.linalg.norm(vector), written / np.linalg.norm(written), atol=1e-5))
