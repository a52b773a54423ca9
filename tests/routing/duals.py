"""A tenant on two clusters and one router that reads it, and what is known of its two paths."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from shardroute import Record, Router, Tenant
from shardroute.comparisons import Example
from shardroute.control import ControlPlane
from shardroute.phases import Phase, Side
from shardroute.statistics import Tally, added
from shardroute.topology import Place
from tests.control.board import SHARD, TENANT, Board

from .stage import CALM, GatedStore, Stage, staged, until

_Answer = TypeVar("_Answer")

VECTOR = [1.0, 2.0, 3.0, 4.0]
RECORDS = [Record(str(number), [1.0, 2.0, 3.0, 4.0 + number], {"n": number}) for number in range(20)]
SHADOW: dict[str, Any] = {"share": 1.0, "floor": 0.0, "budget": 1.0, "flush": 0.02}


class OddStore(GatedStore):
    """Its reads wait before a door while that is shut, and its answers go through `odd`, which may raise."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.odd: Callable[[Any], Any] = lambda answer: answer
        self.asked = 0
        self.door = asyncio.Event()
        self.door.set()

    async def _read(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        self.asked += 1
        await self.door.wait()
        answer: _Answer = self.odd(await super()._read(call))
        return answer


@dataclass
class Dual:
    """`old` is read; both were written."""

    stage: Stage
    router: Router
    old: OddStore
    new: OddStore

    @property
    def tenant(self) -> Tenant:
        return self.router.tenant(TENANT)

    @property
    def board(self) -> Board:
        return self.stage.board

    async def tally(self) -> Tally:
        """What has arrived in Redis."""
        return await tally_of(self.stage.world.plane)

    async def counted(self, condition: Callable[[Tally], bool]) -> Tally:
        """The counts, as soon as they are so."""

        async def so() -> bool:
            return condition(await self.tally())

        await until(so)
        return await self.tally()

    async def examples(self, number: int = 1) -> list[Example]:
        """As soon as there are so many."""
        return await examples_of(self.stage.world.plane, number)

    async def sync(self) -> None:
        """As if a copy had been made."""
        await self.board.sync()

    async def canary(self, percent: int) -> None:
        await self.board.plane.maps.set_canary(TENANT, SHARD, percent, fence=self.board.fence)
        await self.board.pass_barrier()

    async def spoil(self, *records: Record, gone: tuple[str, ...] = ()) -> None:
        """Changes the new side behind everybody's back."""
        place = self.place(Side.NEW)
        await self.new.inner.upsert(place, records)
        await self.new.inner.delete(place, gone)

    def place(self, side: Side) -> Place:
        route = self.stage.world.config.route
        return (route.old if side is Side.OLD else route.new).place(TENANT)


@asynccontextmanager
async def dual(
    redis_url: str, namespace: str, *, synced: bool = True, shadow: Mapping[str, Any], **sections: Any
) -> AsyncIterator[Dual]:
    """In DUAL_OLD, with the same records on both sides."""
    sections = {"control": CALM, "shadow": {**SHADOW, **shadow}, **sections}
    async with staged(redis_url, namespace, **sections) as stage:
        stage.world.old, stage.world.new = old, new = OddStore("a"), OddStore("b")
        async with stage.router() as router:
            await stage.board.walk(Phase.DUAL_OLD)
            made = Dual(stage, router, old, new)
            await made.tenant.upsert(RECORDS)
            if synced:
                await made.sync()
            yield made


async def examples_of(plane: ControlPlane, number: int = 1) -> list[Example]:
    """As soon as there are so many: they arrive after the counts."""

    async def enough() -> bool:
        return len(await plane.stats.examples(TENANT)) >= number

    await until(enough)
    return await plane.stats.examples(TENANT)


async def tally_of(plane: ControlPlane) -> Tally:
    return added(window.tally for window in await plane.stats.windows(TENANT))
