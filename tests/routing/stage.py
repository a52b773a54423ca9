"""Routers over two clusters whose writes can be stopped on the way, and a board to move tenants with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shardroute import Router
from shardroute.phases import Side
from shardroute.stores.memory import MemoryStore
from tests.control.board import TENANT, Board
from tests.support.flaky import FlakyStore
from tests.support.patience import NEVER
from tests.support.patience import until as until  # what most of these tests do with a stage
from tests.support.world import World, same

CALM: dict[str, Any] = {"lease": NEVER, "idle_lease": NEVER}
"""No heartbeat falls due within a test: what happens was pushed."""
BRISK: dict[str, Any] = {"lease": 1.5, "idle_lease": 1.5, "timeout": 0.5}


class GatedStore(FlakyStore):
    """Writes wait before a gate while it is shut."""

    def __init__(self, name: str) -> None:
        super().__init__(MemoryStore(name))
        self.writes = 0
        self.reached = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()

    def shut(self) -> None:
        self._gate.clear()

    def open(self) -> None:
        self._gate.set()

    async def _write(self, call: Callable[[], Awaitable[None]]) -> None:
        self.writes += 1
        self.reached.set()
        await self._gate.wait()
        await super()._write(call)


@dataclass
class Stage:
    world: World
    board: Board
    old: GatedStore
    new: GatedStore

    def router(self) -> Router:
        return self.world.router()

    async def lagging(self) -> list[str]:
        """Sessions that have not acknowledged the newest version."""
        return await self.world.plane.sessions.lagging((await self.board.map()).version)

    async def registered(self) -> set[str]:
        return {state.id for state in await self.world.plane.sessions.all()}

    async def sides_are_equal(self) -> bool:
        old, new = await self.world.content(TENANT, Side.OLD), await self.world.content(TENANT, Side.NEW)
        return bool(old) and same(old, new)


@asynccontextmanager
async def staged(redis_url: str, namespace: str, **sections: Mapping[str, Any]) -> AsyncIterator[Stage]:
    async with World.made(redis_url, namespace, **sections) as world:
        world.old, world.new = old, new = GatedStore("a"), GatedStore("b")
        yield Stage(world, Board(world.plane), old, new)


@asynccontextmanager
async def deaf(router: Router, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Inside, the router hears nothing of Redis, as if it were stopped. At the end of it its lease has run out."""
    running, hears = router._open, asyncio.Event()
    for part, name in ((running.plane.sessions, "heartbeat"), (running.plane.maps, "changes_after")):
        monkeypatch.setattr(part, name, _after(hears, getattr(part, name)))
    await running.plane.sessions.leave(router.session)
    yield
    await until(lambda: not running.view.lease.holds(running.view.clock()))
    hears.set()


def _after(event: asyncio.Event, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def later(*arguments: Any, **named: Any) -> Any:
        await event.wait()
        return await call(*arguments, **named)

    return later
