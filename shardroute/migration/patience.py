"""Requests of a migrator: each within its deadline, asked again when that can help, and pages of them in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import stamina

from ..errors import ClusterUnavailable, ControlPlaneUnavailable, RateLimited, Unavailable
from ..permits import Permit, needing
from ..phases import Side

_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ATTEMPTS = 8
_WAIT_MAX = 10.0  # seconds
_TURN = 600.0  # seconds: the bucket of a rate limit is full after a minute, and others may empty it first


class Lock(Protocol):
    """The tenant's lock, as its holder knows it."""

    @property
    def left(self) -> float:
        """For how many seconds it is certainly held."""

    def check(self) -> None:
        """Raises LockLost once it may be somebody else's."""

    async def look(self) -> None:
        """As `check`, and Redis is asked as well."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What a write may have changed: records of one side."""

    side: Side
    ids: Sequence[str]


class Patience:
    """How long one request may take (`deadline`), and how long one without an answer may still land (`linger`).

    Rule 12: a request that writes needs the lock until `linger` after its deadline. Redis is asked before it, and by
    stores that can once more before its last byte. `doubt` hears of what was perhaps written after the lock was lost.
    """

    def __init__(
        self, deadline: float, linger: float, lock: Lock, doubt: Callable[[Hit], Awaitable[None]]
    ) -> None:
        self.deadline = deadline
        self.linger = linger
        self._lock = lock
        self._doubt = doubt

    async def read(self, cluster: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer, asked for up to eight times, besides those that a rate limit puts off. Raises the last error."""
        return await self._again(lambda: self._once(cluster, call, self.deadline))

    async def ask(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """As `read`, for what takes as long as it takes: each attempt ends by itself, or by the caller's timeout."""
        return await self._again(call)

    async def _again(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        async for attempt in stamina.retry_context(
            on=_backoff, attempts=_ATTEMPTS, timeout=None, wait_initial=0.05, wait_max=_WAIT_MAX
        ):
            with attempt:
                return await _in_turn(call)
        raise AssertionError("unreachable")  # the context returns or raises

    async def write(
        self, cluster: str, call: Callable[[], Awaitable[_Answer]], hit: Hit | None = None
    ) -> _Answer:
        """As `read`; but if an attempt got no answer, it returns only when that attempt can no longer land.

        A write that lands late would go over a newer one; as long as its window is open, that is seen (rule 7).
        Raises LockLost too, after what the write may have changed (`hit`) was noted.
        """
        attempts = _Attempts()
        try:
            answer = await self._waited(attempts, lambda: self._attempt(cluster, call, attempts))
            self._lock.check()
            return answer
        finally:
            if attempts.may_have_landed and self._lock.left <= 0 and hit is not None:
                await self._doubt(hit)

    async def _waited(self, attempts: _Attempts, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            answer = await self._again(call)
        except Unavailable:
            await asyncio.sleep(self.linger if attempts.unanswered else 0)
            raise
        await asyncio.sleep(self.linger if attempts.unanswered else 0)
        return answer

    async def _attempt(
        self, cluster: str, call: Callable[[], Awaitable[_Answer]], attempts: _Attempts
    ) -> _Answer:
        await self._look()
        permit = Permit(self._look)
        try:
            with needing(permit):
                return await self._once(cluster, call, min(self.deadline, self._lock.left - self.linger))
        except ClusterUnavailable as error:
            attempts.unanswered |= error.may_land
            raise
        finally:
            attempts.may_have_landed |= permit.may_have_left

    async def _look(self) -> None:
        """Raises LockLost; ControlPlaneUnavailable while the lock cannot be extended, and may yet be kept."""
        try:
            async with asyncio.timeout(self.deadline / 2):
                await self._lock.look()
        except TimeoutError as error:
            raise ControlPlaneUnavailable(
                "Redis did not say in time whether the lock is still held"
            ) from error
        if self._lock.left <= self.linger:
            raise ControlPlaneUnavailable("the lock was not extended in time for another request")

    async def _once(self, cluster: str, call: Callable[[], Awaitable[_Answer]], deadline: float) -> _Answer:
        try:
            async with asyncio.timeout(deadline):
                return await call()
        except TimeoutError as error:
            raise ClusterUnavailable(cluster, f"no answer within {deadline:g} s") from error


@dataclass(slots=True)
class _Attempts:
    """Of one write, what is known of all attempts together.

    `unanswered`: one got no answer. `may_have_landed`: a request may have left whole; as long as the lock is held when
    the write ends, it landed under the lock.
    """

    unanswered: bool = False
    may_have_landed: bool = False


async def _in_turn(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The answer. A cluster that says when to come again is asked again then, for `_TURN` seconds: no failure."""
    clock = asyncio.get_running_loop().time
    until = clock() + _TURN
    while True:
        try:
            return await call()
        except RateLimited as error:
            if error.retry_after is None or clock() + error.retry_after > until:
                raise
            await asyncio.sleep(error.retry_after)


def _backoff(error: Exception) -> bool | float:
    """Again after the delay that the cluster asked for, else after stamina's own, growing one."""
    if not isinstance(error, Unavailable):
        return False
    return error.retry_after or True


async def in_order(
    source: AsyncIterator[_Item], work: Callable[[_Item], Awaitable[_Result]], concurrency: int
) -> AsyncGenerator[_Result, None]:
    """The results of `work` on each item, in the order of the items.

    Up to `concurrency` items are under way, until their results are taken, and one more is read ahead; the reading
    waits for nothing else. A failure comes in its item's turn. It, or closing, cancels what is under way.
    """
    under_way: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
    slots = asyncio.Semaphore(concurrency)

    async def read() -> None:
        async for item in source:
            await slots.acquire()
            under_way.put_nowait(asyncio.ensure_future(work(item)))

    reader = asyncio.ensure_future(read())
    reader.add_done_callback(under_way.put_nowait)
    try:
        while (task := await under_way.get()) is not reader:
            yield await task
            slots.release()
        await reader
    finally:
        left: list[asyncio.Future[Any]] = [reader]
        while not under_way.empty():
            left.append(under_way.get_nowait())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
