"""An event loop in a thread of its own, for what outlives a request and is shared by all of them.

Sync views have no loop. Async views have one, but under WSGI it lives for one request only. So whatever holds
connections lives here, for both kinds of view: one router for each process, and one session in Redis.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, ParamSpec, TypeVar

from shardroute.errors import Unavailable

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_Held = TypeVar("_Held")
_Given = ParamSpec("_Given")

_ENDING = "this process is ending"


class Background:
    """A running loop; `started` makes one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(Threads(thread_name_prefix="shardroute"))
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="shardroute", daemon=True)
        self._owned: set[asyncio.Task[None]] = set()
        self._kept: list[Kept[Any]] = []
        self._ended = False

    @classmethod
    def started(cls) -> Background:
        background = cls()
        background._thread.start()
        return background

    def submit(self, work: Coroutine[Any, Any, _Answer]) -> Future[_Answer]:
        """Runs `work` there, with the caller's context variables. Cancelling the future cancels it.

        Raises Unavailable once it has been closed; and so does work that is under way then.
        """
        answered = self._answered(work)
        try:
            return asyncio.run_coroutine_threadsafe(answered, self._loop)
        except RuntimeError as error:
            answered.close()
            work.close()
            raise Unavailable(_ENDING) from error

    def close(self, timeout: float) -> None:
        """Ends owned tasks, then what is kept, then calls that still wait. From another thread; twice is once."""
        try:
            self._loop.call_soon_threadsafe(self._closing.set)
        except RuntimeError:
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("shardroute did not end within %g s; its session will run out by itself", timeout)

    # -- in the loop ---------------------------------------------------------------------------------------------

    def own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task for which nobody waits. It is cancelled and waited for at the end."""
        task = self._loop.create_task(work, name=name)
        self._owned.add(task)
        task.add_done_callback(self._disowned)
        return task

    def keep(self, make: Callable[[], AbstractAsyncContextManager[_Held]]) -> Kept[_Held]:
        """What `make` opens, once it is needed."""
        kept = Kept(make)
        self._kept.append(kept)
        return kept

    def _disowned(self, task: asyncio.Task[None]) -> None:
        self._owned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended in an error", task.get_name(), exc_info=error)

    async def _answered(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        try:
            return await work
        except asyncio.CancelledError as error:
            if self._ended:  # it was not the caller who gave up
                raise Unavailable(_ENDING) from error
            raise

    def _run(self) -> None:
        # Not asyncio.Runner, which starts a thread at its end: at the end of a process none can be started.
        try:
            self._loop.run_until_complete(self._until_closed())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _until_closed(self) -> None:
        await self._closing.wait()
        await _cancelled(self._owned)
        for kept in reversed(self._kept):
            await kept.close()
        self._ended = True
        await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})


class Threads(ThreadPoolExecutor):
    """For what the loop lets threads do: above all, looking up a host's address.

    A process that ends refuses threads their work before its `atexit` functions are called, and the goodbye to Redis
    may need a new connection. What is refused is done at once, in the thread that asks.
    """

    def submit(
        self, work: Callable[_Given, _Answer], /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> Future[_Answer]:
        try:
            return super().submit(work, *args, **kwargs)
        except RuntimeError:
            return _done(work, *args, **kwargs)


def _done(work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> Future[_Answer]:
    future: Future[_Answer] = Future()
    try:
        future.set_result(work(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


class Kept(Generic[_Held]):
    """Something that is opened when it is first needed, and closed by the task that has opened it.

    If it cannot be opened, everybody who waits is told, and the next who asks tries again.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[_Held]]) -> None:
        self._make = make
        self._opened: asyncio.Future[_Held] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()

    async def __call__(self) -> _Held:
        """Raises what opening it raises, and Unavailable once it is closed."""
        if self._leave.is_set():
            raise Unavailable(_ENDING)
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(self._opened), name="shardroute keeper")
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        self._leave.set()
        if self._keeper is not None:
            if self._opened is not None and not self._opened.done():
                self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _keep(self, opened: asyncio.Future[_Held]) -> None:
        try:
            async with self._make() as held:
                opened.set_result(held)
                await self._leave.wait()
        except asyncio.CancelledError:
            _refuse(opened, Unavailable(_ENDING))
            raise
        except Exception as error:
            if opened.done():
                log.exception("closing failed")
                return
            self._opened = None
            _refuse(opened, error)


def _refuse(opened: asyncio.Future[Any], error: Exception) -> None:
    opened.set_exception(error)
    opened.exception()  # seen, even if all who asked have gone away


async def _cancelled(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    ending = [task for task in tasks if task is not None]
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)
