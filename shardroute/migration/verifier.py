"""Verification of every record, in both directions, alongside live writes.

A difference is looked at again before it counts: inside a window, so that a write under way explains itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..phases import Side
from ..ports import Page
from ..records import Metric, Precision, Record, difference
from ..routing import Target
from ..schema import precision
from ..shardmap import Standing
from ..topology import Place
from .batches import in_parts
from .loss import Loss
from .observer import Stage
from .pages import pages
from .patience import in_order
from .preflight import end
from .searches import Reservoir, Searches, searched
from .spans import batch_span
from .work import Work

_LOOKS = 4
_LOOKS_OF_LAG = 2  # each waits until reads have caught up
_LOOK_PAUSE = 0.05  # seconds, doubled from look to look
_KEPT = 20  # differences that are named; all are counted


@dataclass(slots=True)
class Verification:
    """What was compared, and how the sides differ. `unsettled`: being written, or debt, at every look.

    `loss`: which of the differing records the secondary has, and would lose.
    """

    compared: int = 0
    differing: dict[str, str] = field(default_factory=dict)
    unsettled: int = 0
    loss: Loss = field(default_factory=Loss)
    equal: set[str] = field(default_factory=set)
    """Of those that were looked at again, the ones that turned out to be equal."""
    vectors: dict[str, dict[Side, int]] = field(default_factory=dict)
    """Counts the compared records that had a vector, by its name and side."""
    searches: Searches | None = None
    """None where none was asked for, or each side makes vectors of its own."""

    def count(self, side: Side, record: Record) -> None:
        for name in record.vector_names:
            held = self.vectors.setdefault(name, dict.fromkeys(Side, 0))
            held[side] += 1

    def forget(self, record_id: str) -> None:
        """As if nobody had looked at it."""
        for found in (self.differing, self.loss.deleted, self.loss.replaced):
            found.pop(record_id, None)

    def examples(self) -> list[str]:
        return [f"{record_id!r}: {what}" for record_id, what in sorted(self.differing.items())[:_KEPT]]


class Verifier:
    """Compares a tenant's two sides. Reads only."""

    def __init__(self, work: Work, standing: Standing) -> None:
        self._work = work
        self._primary, self._secondary = work.pair(standing)
        self._precision: Precision | None = None

    async def verify(self, *, search: bool = False) -> Verification:
        """Compares everything; with `search`, a sample of searches too.

        Raises ClusterUnavailable, ClusterRejected, LockLost.
        """
        work, sample = self._work, Reservoir(random.Random(self._work.tenant))
        await self._learn_precision()
        await work.fresh(self._primary, self._secondary)
        total = await work.patience.read(
            self._primary.store.name, lambda: self._primary.store.estimate(self._primary.place)
        )
        work.observer.stage(work.tenant, Stage.VERIFY, total)
        result = Verification()
        suspects: list[str] = []
        for source, vectors in ((self._primary, True), (self._secondary, False)):
            most = work.config.copy.page or source.limits.scan_records
            compare = partial(self._missing_or_differing, result, sample) if vectors else self._extra
            found_in = in_order(
                pages(work, source, most, vectors=vectors), compare, work.config.copy.concurrency
            )
            async for compared, found in found_in:
                suspects += found
                if not vectors:
                    result.loss.held += compared
                else:
                    result.compared += compared
                    work.observer.advance(work.tenant, Stage.VERIFY, compared)
        work.step("verified")
        result.loss.kept = result.compared
        await self.look_again(suspects, result)
        if search and self._secondary.encoder is None:
            result.searches = await searched(work, self._primary, self._secondary, sample.held)
        return result

    async def look_again(self, suspects: Iterable[str], result: Verification) -> Verification:
        """Counts those that still differ while nobody writes them; the rest are unsettled after a few looks."""
        await self._learn_precision()
        waiting = sorted(set(suspects))
        lag = self._primary.store.lag or self._secondary.store.lag
        for look in range(_LOOKS_OF_LAG if lag else _LOOKS):
            if not waiting:
                break
            if look:
                await asyncio.sleep(_LOOK_PAUSE * 2**look)
            unclear: list[str] = []
            for start in range(0, len(waiting), 256):
                unclear += await self._look(waiting[start : start + 256], result)
            waiting = unclear
        result.unsettled += len(waiting)
        return result

    async def _learn_precision(self) -> None:
        """What both sides keep of a number is the collections' to say."""
        if self._precision is None:
            ours, theirs = [await end(self._work, side) for side in (self._primary, self._secondary)]
            self._precision = precision(ours, theirs)

    async def _look(self, ids: list[str], result: Verification) -> list[str]:
        """One look at some ids; those that somebody touched meanwhile, so that nothing can be said of them."""
        window = await self._work.open_window()
        await self._work.fresh(self._primary, self._secondary)
        ours, theirs = await asyncio.gather(
            self._fetch(self._primary, ids), self._fetch(self._secondary, ids)
        )
        touched = await self._work.look(window, ids)
        for record_id in ids:
            mine, other = ours.get(record_id), theirs.get(record_id)
            what = self._compare(mine, other)
            if record_id in touched:
                continue
            if what is None:
                result.equal.add(record_id)
                continue
            result.differing[record_id] = what
            if other is not None:
                (result.loss.deleted if mine is None else result.loss.replaced)[record_id] = what
        return [record_id for record_id in ids if record_id in touched]

    # -- pages -----------------------------------------------------------------------------------------------

    async def _missing_or_differing(
        self, result: Verification, sample: Reservoir, page: Page
    ) -> tuple[int, list[str]]:
        with batch_span("shardroute.verify.page", self._work.tenant, len(page.records)):
            theirs = await self._fetch(self._secondary, [record.id for record in page.records])
            sample.offer(page.records)
            for side, records in (
                (self._primary.side, page.records),
                (self._secondary.side, theirs.values()),
            ):
                for record in records:
                    result.count(side, record)
            return len(page.records), [
                record.id
                for record in page.records
                if self._compare(record, theirs.get(record.id)) is not None
            ]

    async def _extra(self, page: Page) -> tuple[int, list[str]]:
        ids = [record.id for record in page.records]
        ours = await self._fetch(self._primary, ids, vectors=False)
        return len(ids), [record_id for record_id in ids if record_id not in ours]

    async def _fetch(self, target: Target, ids: list[str], *, vectors: bool = True) -> dict[str, Record]:
        found: dict[str, Record] = {}

        async def fetch(some: Sequence[str]) -> None:
            found.update(
                await self._work.patience.read(
                    target.store.name, lambda: target.store.fetch(target.place, some, vectors=vectors)
                )
            )

        await in_parts(ids, target.limits.fetch_ids, fetch, target)
        return found

    def _compare(self, ours: Record | None, theirs: Record | None) -> str | None:
        assert self._precision is not None, "learnt before anything is compared"
        if ours is None or theirs is None:
            return None if ours is theirs else f"missing on the {self._absent_side(ours)} side"
        if self._secondary.encoder is not None:
            return own_vector_misfit(theirs, self._secondary.place) or difference(
                ours.with_vector(None), theirs.with_vector(None), Metric.DOT, self._precision
            )
        metrics = {self._primary.place.metric, self._secondary.place.metric}
        return difference(
            ours, theirs, min(metrics), self._precision
        )  # cosine, the more forgiving, comes first

    def _absent_side(self, ours: Record | None) -> str:
        return (self._primary if ours is None else self._secondary).side.value


def own_vector_misfit(record: Record, place: Place) -> str | None:
    """What shows that a vector is not of its side's own model, or None. Vectors of two models do not compare."""
    if record.vector is None:
        return "vector: there is none"
    if record.vector.size != place.dimension:
        return f"vector: {record.vector.size} dimensions instead of {place.dimension}"
    return None if record.vector.any() else "vector: all of it is zero"
