"""The tenant's lock: one migrator at a time, each with a fencing token (rule 12)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import ControlPlaneUnavailable, LockLost, MigrationError, TenantLocked
from ..rules import may_finish
from ..timing import clock
from .connection import Connections
from .scripts import Scripts


@dataclass(frozen=True, slots=True)
class LockState:
    """Who holds a tenant. `until`: seconds of Redis's clock."""

    owner: str
    fence: int
    until: float


@dataclass(slots=True)
class HeldLock:
    """A lock as its holder knows it: certainly held before `until`, on the holder's own clock."""

    tenant: str
    fence: int
    until: float
    held_in_redis: Callable[[], Awaitable[bool]]

    @property
    def left(self) -> float:
        """For how many seconds it is certainly held; below 0 once it may be somebody else's."""
        return self.until - clock()

    def check(self) -> None:
        """Before every request that writes (rule 12). Raises LockLost once the lock may be somebody else's."""
        if self.left <= 0:
            raise LockLost(f"tenant {self.tenant!r}: the lock ran out or was taken over; this migrator stops")

    async def look(self) -> None:
        """As `check`, and Redis is asked as well: one short request. Raises LockLost, ControlPlaneUnavailable."""
        self.check()
        if not may_finish(lock_held=await self.held_in_redis()):
            self.lose()
        self.check()

    def lose(self) -> None:
        """Redis says that it is somebody else's. Raises LockLost."""
        self.until = float("-inf")
        self.check()


class Locks:
    def __init__(self, connections: Connections, scripts: Scripts) -> None:
        self._connections = connections
        self._scripts = scripts

    @asynccontextmanager
    async def hold(
        self, tenant: str, owner: str, *, life: float, tell: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[HeldLock]:
        """The tenant's lock, kept alive while the block runs.

        Whoever takes over an unreleased lock waits a third of its life first, since requests of the former
        holder (each shorter than that) may still land; `tell` hears of it. Raises TenantLocked; if the lock is
        lost on the way, the block is cancelled and LockLost raised.
        """
        asked = clock()
        fence, taken_over = await self._acquire(tenant, owner, life)
        held = HeldLock(tenant, fence, asked + life, partial(self._holds, tenant, fence))
        quiet = False
        try:
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep(held, life), name=f"lock of {tenant}")
                if taken_over:
                    tell(
                        f"waits for {life / 3:.0f} s: its last run was cut off, and what that sent may still land"
                    )
                    await asyncio.sleep(life / 3)
                    await self._inherit(held)
                try:
                    yield held
                finally:
                    keeper.cancel()
            quiet = True
        except BaseExceptionGroup as group_error:
            leading = _leading(group_error)
            quiet = isinstance(leading, MigrationError) and not isinstance(leading, LockLost)
            raise leading from group_error
        finally:
            await asyncio.shield(self._release(tenant, fence, quiet=quiet))

    async def state(self, tenant: str) -> LockState | None:
        key, redis = self._scripts.keys.lock(tenant), self._connections.commands
        raw: Any = await self._scripts.ask(lambda: redis.hgetall(key))
        return LockState(raw["owner"], int(raw["fence"]), float(raw["until"]) / 1000) if raw else None

    async def _acquire(self, tenant: str, owner: str, life: float) -> tuple[int, bool]:
        claim = uuid.uuid4().hex  # two blocks of one owner shut each other out as well
        code, value, extra = await self._scripts.run("acquire", tenant, owner, int(life * 1000), claim)
        if code == "HELD":
            raise TenantLocked(tenant, str(value), float(extra) / 1000)
        return int(value), bool(extra)

    async def _holds(self, tenant: str, fence: int) -> bool:
        (code,) = await self._scripts.run("holds", tenant, fence)
        return bool(code == "OK")

    async def _inherit(self, held: HeldLock) -> None:
        """What the former holder left half-written becomes debt."""
        (code,) = await self._scripts.run("inherit", held.tenant, held.fence)
        if code == "LOCK_LOST":
            held.lose()

    async def _keep(self, held: HeldLock, life: float) -> None:
        """Extends at a quarter of the lock's life. A Redis that is away is asked again: every step asks it anyway."""
        while True:
            await asyncio.sleep(life / 4)
            asked = clock()
            try:
                answer = await self._scripts.run("extend", held.tenant, held.fence, int(life * 1000))
            except ControlPlaneUnavailable:
                held.check()
                continue
            if answer[0] == "LOCK_LOST":
                held.lose()
            held.check()
            held.until = asked + life

    async def _release(self, tenant: str, fence: int, *, quiet: bool) -> None:
        """Gives the lock back. Not `quiet`: a request was perhaps cut off, and the next holder has to wait for it."""
        try:
            await self._scripts.run("release", tenant, fence, int(quiet))
        except ControlPlaneUnavailable:
            return  # it runs out by itself


def _leading(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that tells the story: the lost lock, if it was lost, else the block's own."""
    flat = list(_flatten(group))
    return next((error for error in flat if isinstance(error, LockLost)), flat[0])


def _flatten(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    nested = [_flatten(e) if isinstance(e, BaseExceptionGroup) else [e] for e in group.exceptions]
    return [error for errors in nested for error in errors]
