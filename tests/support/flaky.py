"""A store between the library and a real one that is slow, fails, or loses its answers, as it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shardroute.errors import ClusterUnavailable
from shardroute.filters import Filter
from shardroute.ports import Change, Cursor, Limits, Page, Store, Unnamed
from shardroute.records import Match, Query, Record
from shardroute.schema import Description, End
from shardroute.topology import Place, Placement

_Answer = TypeVar("_Answer")


@dataclass
class Faults:
    """`refused`: share of writes that fail untouched. `lost`: share that are applied and fail.

    `late`: share that fail and are applied `late_by` seconds afterwards. `slow`: the longest delay of any request.
    """

    slow: float = 0.0
    refused: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    late_by: float = 0.05
    down: bool = False


class FlakyStore:
    """Wraps `inner`. Late requests outlive the failure that their caller saw."""

    def __init__(self, inner: Store, seed: int = 1) -> None:
        self.inner = inner
        self.faults = Faults()
        self.requests = 0
        self.limits: Limits = inner.limits
        self._random = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def system(self) -> str:
        return self.inner.system

    @property
    def address(self) -> tuple[str, int | None]:
        return self.inner.address

    @property
    def lag(self) -> float:
        return self.inner.lag

    @property
    def can_hold_named_vectors(self) -> bool:
        return self.inner.can_hold_named_vectors

    @property
    def can_insert_only(self) -> bool:
        return self.inner.can_insert_only

    def misfit(self, place: Place, record: Record) -> str | None:
        return self.inner.misfit(place, record)

    def filter_misfit(self, condition: Filter) -> str | None:
        return self.inner.filter_misfit(condition)

    async def _read(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        await self._travel()
        answer = await call()
        await self._travel()
        return answer

    async def _write(self, call: Callable[[], Awaitable[None]]) -> None:
        await self._travel()
        fate, faults = self._random.random(), self.faults
        if fate < faults.refused:
            raise ClusterUnavailable(self.name, "refused", may_land=False)
        if fate < faults.refused + faults.late:
            task = asyncio.ensure_future(self._later(call))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise ClusterUnavailable(self.name, "no answer, and not applied yet")
        await call()
        if fate < faults.refused + faults.late + faults.lost:
            raise ClusterUnavailable(self.name, "no answer, though applied")
        await self._travel()

    async def _later(self, call: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(self.faults.late_by)
        await call()

    async def _travel(self) -> None:
        self.requests += 1
        await asyncio.sleep(self._random.uniform(0, self.faults.slow))
        if self.faults.down:
            raise ClusterUnavailable(self.name, "down")

    async def settled(self) -> None:
        """Returns when no late request is on its way."""
        while self._late:
            await asyncio.wait(self._late)

    async def estimate(self, place: Place) -> int:
        return await self._read(lambda: self.inner.estimate(place))

    async def fresh(self, place: Place) -> None:
        await self._read(lambda: self.inner.fresh(place))

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        await self._write(lambda: self.inner.upsert(place, records, insert_only=insert_only))

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        await self._write(lambda: self.inner.update(place, changes))

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        await self._write(lambda: self.inner.delete(place, ids))

    async def query(self, place: Place, query: Query) -> list[Match]:
        return await self._read(lambda: self.inner.query(place, query))

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        return await self._read(lambda: self.inner.fetch(place, ids, vectors=vectors))

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        return await self._read(
            lambda: self.inner.scan(place, cursor=cursor, limit=limit, condition=condition, vectors=vectors)
        )

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        return await self._read(lambda: self.inner.count(place, condition))

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        await self._write(lambda: self.inner.remove(place, ids, mark))

    async def describe(self, place: Place) -> Description | None:
        return await self._read(lambda: self.inner.describe(place))

    async def prepare(self, place: Place, like: End | None = None) -> None:
        await self._write(lambda: self.inner.prepare(place))

    def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        return self.inner.unnamed(placement, collections)

    def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        return self.inner.tenants(placement, collections)

    async def ping(self) -> None:
        await self._read(self.inner.ping)

    async def aclose(self) -> None:
        await self.settled()
        await self.inner.aclose()
