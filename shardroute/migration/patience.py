"""Requests of a migrator: each within its deadline, asked again when that can help, and pages of them in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import stamina

from ..errors import ClusterUnavailable, Unavailable

_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ATTEMPTS = 8
_WAIT_MAX = 10.0  # seconds


class Patience:
    """How long one request may take (`deadline`), and how long one without an answer may still land (`linger`).

    `may_write` raises LockLost when the lock is no longer certain; it is asked before every attempt to write.
    """

    def __init__(self, deadline: float, linger: float, may_write: Callable[[], None]) -> None:
        self.deadline = deadline
        self.linger = linger
        self._may_write = may_write

    async def read(self, cluster: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer, asked for up to eight times. Raises the last error."""
        return await self._again(lambda: self._once(cluster, call))

    async def ask(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """As `read`, for what takes as long as it takes: each attempt ends by itself, or by the caller's timeout."""
        return await self._again(call)

    async def _again(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        async for attempt in stamina.retry_context(
            on=_backoff, attempts=_ATTEMPTS, timeout=None, wait_initial=0.05, wait_max=_WAIT_MAX
        ):
            with attempt:
                return await call()
        raise AssertionError("unreachable")  # the context returns or raises

    async def write(self, cluster: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """As `read`; but if an attempt got no answer, it returns only when that attempt can no longer land.

        A write that lands late would go over a newer one; as long as its window is open, that is seen (rule 7).
        """
        unanswered = False

        async def noted() -> _Answer:
            nonlocal unanswered
            self._may_write()
            try:
                return await self._once(cluster, call)
            except ClusterUnavailable as error:
                unanswered = unanswered or error.may_land
                raise

        try:
            answer = await self._again(noted)
        except Unavailable:
            await asyncio.sleep(self.linger if unanswered else 0)
            raise
        await asyncio.sleep(self.linger if unanswered else 0)
        return answer

    async def _once(self, cluster: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            async with asyncio.timeout(self.deadline):
                return await call()
        except TimeoutError as error:
            raise ClusterUnavailable(cluster, f"no answer within {self.deadline:g} s") from error


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
