"""The router of this process: opened at the first request, forgotten by a child, closed at the end."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.signals import setting_changed

from shardroute import Router, Tenant
from shardroute.errors import Unavailable

from . import conf
from .background import Background

_Answered = TypeVar("_Answered")

_GRACE = 1.0  # seconds that a call may take beyond the time-out which the router itself is given


@dataclass(frozen=True, slots=True)
class Answer(Generic[_Answered]):
    """What is under way in the router's loop: `wait` for it without a loop, await it with one.

    Either way, whatever ends the waiting (a signal, a client that goes away) ends the work as well.
    """

    future: Future[_Answered]
    limit: float

    def wait(self) -> _Answered:
        try:
            return self.future.result(self.limit + _GRACE)
        except TimeoutError as error:
            raise _late(self.limit) from error
        finally:
            self.future.cancel()

    def __await__(self) -> Generator[Any, None, _Answered]:
        return asyncio.wrap_future(self.future).__await__()


class Host:
    """A router in the background. `ask` and `submit` may be called in any thread."""

    def __init__(self, settings: conf.Settings) -> None:
        self.settings = settings
        self.background = Background.started()
        self.router = self.background.keep(lambda: Router(settings.config))

    def ask(
        self, tenant: str, question: Callable[[Tenant], Awaitable[_Answered]], timeout: float | None = None
    ) -> Answer[_Answered]:
        """Puts a question to a tenant's handle. The answer raises what the handle raises.

        It takes `timeout` seconds at most, or else those of the setting, and then raises Unavailable.
        """
        # The handle never leaves the loop: it is not made for threads. It may say itself that it is late.
        return self.submit(self._asked(tenant, question), None if timeout is None else timeout + _GRACE)

    def submit(self, work: Coroutine[Any, Any, _Answered], timeout: float | None = None) -> Answer[_Answered]:
        """The same for anything that is to run in the router's loop."""
        limit = self.settings.timeout if timeout is None else timeout
        return Answer(self.background.submit(_within(work, limit)), limit)

    def close(self) -> None:
        """Waits for writes under way, ends what is owned, and the session."""
        self.background.close(self.settings.config.router.drain + self.settings.close_timeout)

    async def _asked(self, tenant: str, question: Callable[[Tenant], Awaitable[_Answered]]) -> _Answered:
        return await question((await self.router()).tenant(tenant))


async def _within(work: Coroutine[Any, Any, _Answered], limit: float) -> _Answered:
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError as error:
        raise _late(limit) from error


def _late(limit: float) -> Unavailable:
    return Unavailable(f"no answer within {limit:g} s")


# -- one for each process ------------------------------------------------------------------------------------------

_lock = threading.Lock()
_host: Host | None = None
_inherited: list[Host | None] = []
"""Of the parent, never to be touched nor collected: its sockets are the parent's as well."""


def host() -> Host:
    """This process's, made when it is first asked for. Raises ConfigError."""
    if _host is not None:
        return _host
    settings = conf.current()
    with _lock:
        return _made(settings)


def _made(settings: conf.Settings) -> Host:
    global _host
    if _host is None:
        _host = Host(settings)
        atexit.register(close)
    return _host


def close() -> None:
    """Closes this process's router, if there is one: writes under way end, and its session goes at once.

    The end of a process does this by itself, except where it skips `atexit`. The next request opens another.
    """
    global _host
    with _lock:
        leaving, _host = _host, None
    if leaving is not None:
        atexit.unregister(close)
        leaving.close()


def _after_fork() -> None:
    global _host, _lock
    _inherited.append(_host)
    _host, _lock = None, threading.Lock()
    atexit.unregister(close)


def _overridden(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        close()


os.register_at_fork(after_in_child=_after_fork)
setting_changed.connect(_overridden)
