"""A process that stops itself right before or after a chosen step, for a while: SIGSTOP, as a debugger, a full disk,
a live migration of its machine or a laptop's lid would, at the worst of all moments.

Around every await of a write, a read, a heartbeat, a copied page, a payment, a purge and a move.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .record import Log

_QDRANT = "shardroute.stores.qdrant.QdrantStore"
_CONTROL = "shardroute.control"

ROUTER = {
    f"{_QDRANT}.upsert": 60,
    f"{_QDRANT}.update": 40,
    f"{_QDRANT}.delete": 30,
    f"{_QDRANT}.fetch": 80,
    f"{_QDRANT}.query": 10,
    f"{_CONTROL}.journal.Journal.begin": 40,
    f"{_CONTROL}.journal.Journal.settle": 40,
    f"{_CONTROL}.sessions.Sessions.heartbeat": 8,
    f"{_CONTROL}.sessions.Sessions.leave": 1,
    f"{_CONTROL}.mapstore.MapStore.changes_after": 8,
    f"{_CONTROL}.mapstore.MapStore.load": 2,
}
"""Where a router may stop, and at which call at most."""

MIGRATOR = {
    f"{_QDRANT}.scan": 6,
    f"{_QDRANT}.upsert": 6,
    f"{_QDRANT}.fetch": 3,
    f"{_QDRANT}.delete": 2,
    f"{_QDRANT}.remove": 2,
    f"{_CONTROL}.journal.Journal.open_windows": 3,
    f"{_CONTROL}.journal.Journal.close_window": 6,
    f"{_CONTROL}.journal.Journal.some_debt": 3,
    f"{_CONTROL}.mapstore.MapStore.load": 4,
    f"{_CONTROL}.mapstore.MapStore.move": 3,
    f"{_CONTROL}.mapstore.MapStore.mark_synced": 1,
    f"{_CONTROL}.sessions.Sessions.lagging": 5,
}

SEND = "asyncio.selector_events._SelectorSocketTransport.write"
"""Right before the bytes of a request leave the process, or between its two halves: after every check that a process
can make. What such a process sends when it goes on lands at any later time. No protocol between clients can prevent
that; see "What is not promised" in docs/protocol.md. So a fair run does not stop there."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Stop at the `nth` call of `place`: `when` is "before" or "after" (of SEND: "before" or "half")."""

    place: str
    when: str
    nth: int
    seconds: float


def take_aim(aims: Sequence[Aim], log: Log) -> None:
    """From now on, in this process."""
    for aim in aims:
        owner, name = found(aim.place)
        wrap = _sending if aim.place == SEND else _awaiting
        setattr(owner, name, wrap(getattr(owner, name), aim, log))


def found(place: str) -> tuple[type, str]:
    """The class and the name of its method."""
    path, name = place.rsplit(".", 1)
    module, kind = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), kind), name


def _awaiting(inner: Callable[..., Any], aim: Aim, log: Log) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(inner)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        hit = calls == aim.nth
        if hit and aim.when == "before":
            stop(aim, log)
        try:
            return await inner(*args, **kwargs)
        finally:
            if hit and aim.when == "after":
                stop(aim, log)

    return wrapped


def _sending(inner: Callable[..., Any], aim: Aim, log: Log) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(inner)
    def wrapped(self: Any, data: Any) -> None:
        nonlocal calls
        request = bytes(data[:4]) in (b"PUT ", b"POST", b"DELE")
        calls += request
        if not request or calls != aim.nth:
            inner(self, data)
            return
        half = len(data) // 2 if aim.when == "half" else 0
        if half:
            inner(self, data[:half])
        stop(aim, log)
        inner(self, data[half:])

    return wrapped


def stop(aim: Aim, log: Log) -> None:
    """SIGSTOP to this process. A child of it, which outlives its sleep by nothing, wakes it up again."""
    me = os.getpid()
    log.note(stopped=asdict(aim), at=time.monotonic_ns())
    waker = os.fork()
    if not waker:
        time.sleep(aim.seconds)
        if os.getppid() == me:
            os.kill(me, signal.SIGCONT)
        os._exit(0)
    os.kill(me, signal.SIGSTOP)
    os.waitpid(waker, 0)
