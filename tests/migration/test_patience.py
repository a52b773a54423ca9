"""A migrator's request needs the lock until what it sends can no longer land (rule 12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from shardroute.errors import ClusterUnavailable, LockLost
from shardroute.migration.patience import Hit, Patience
from shardroute.permits import needed
from shardroute.phases import Side

DEADLINE, LINGER = 5.0, 0.2
HIT = Hit(Side.OLD, ["a"])


@dataclass
class Lock:
    """`left` seconds by the holder's clock; `held` says whether Redis agrees."""

    left: float = 100.0
    held: bool = True
    looks: int = 0
    on_look: Callable[[], object] = lambda: None

    def check(self) -> None:
        if self.left <= 0:
            raise LockLost("gone")

    async def look(self) -> None:
        self.looks += 1
        self.on_look()
        if not self.held:
            self.left = -1
        self.check()


@dataclass
class Bench:
    lock: Lock = field(default_factory=Lock)
    doubted: list[Hit] = field(default_factory=list)
    called: int = 0

    async def write(self, call: Callable[[], Awaitable[None]] | None = None) -> None:
        async def doubt(hit: Hit) -> None:
            self.doubted.append(hit)

        async def counted() -> None:
            self.called += 1
            await (call() if call is not None else asyncio.sleep(0))

        await Patience(DEADLINE, LINGER, self.lock, doubt).write("a", counted, HIT)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def lost_meanwhile(bench: Bench) -> None:
    bench.lock.left = -1


async def asks_late(bench: Bench) -> None:
    """As a client does that keeps back the last byte."""
    permit = needed()
    assert permit is not None
    permit.will_ask()
    bench.lock.held = False
    await permit.ask()


async def test_redis_is_asked_before_a_request_and_nothing_is_doubted_under_the_lock(bench: Bench) -> None:
    await bench.write()
    assert (bench.lock.looks, bench.called, bench.doubted) == (1, 1, [])


async def test_without_the_lock_nothing_is_sent(bench: Bench) -> None:
    bench.lock.held = False
    with pytest.raises(LockLost):
        await bench.write()
    assert (bench.called, bench.doubted) == (0, [])


async def test_a_request_ends_a_linger_before_the_lock_does(bench: Bench) -> None:
    bench.lock.left = LINGER + 0.1

    async def slow() -> None:
        if bench.called == 1:
            bench.lock.on_look = lambda: setattr(bench.lock, "left", 100.0)  # extended meanwhile
            await asyncio.sleep(60)

    async with asyncio.timeout(20):
        await bench.write(slow)
    assert bench.called == 2


async def test_a_lock_too_short_for_a_request_is_waited_for(bench: Bench) -> None:
    bench.lock.left = LINGER / 2

    def extended_at_last() -> None:
        bench.lock.left = 100.0 if bench.lock.looks > 2 else LINGER / 2

    bench.lock.on_look = extended_at_last
    await bench.write()
    assert (bench.called, bench.doubted) == (1, [])


async def test_what_ended_after_the_lock_is_doubted(bench: Bench) -> None:
    with pytest.raises(LockLost):
        await bench.write(lambda: lost_meanwhile(bench))
    assert bench.doubted == [HIT]


async def test_what_failed_unanswered_after_the_lock_is_doubted(bench: Bench) -> None:
    async def unanswered() -> None:
        bench.lock.held = False
        raise ClusterUnavailable("a", "no answer")

    with pytest.raises(LockLost):
        await bench.write(unanswered)
    assert bench.doubted == [HIT]


async def test_what_was_cancelled_after_the_lock_is_doubted(bench: Bench) -> None:
    """As when the lock's keeper is the first to find out."""

    async def cut_off() -> None:
        await lost_meanwhile(bench)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await bench.write(cut_off)
    assert bench.doubted == [HIT]


async def test_what_was_cancelled_under_the_lock_is_not(bench: Bench) -> None:
    async def cut_off() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await bench.write(cut_off)
    assert bench.doubted == []


async def test_a_request_whose_last_byte_was_refused_is_not_doubted(bench: Bench) -> None:
    with pytest.raises(LockLost):
        await bench.write(lambda: asks_late(bench))
    assert (bench.called, bench.doubted) == (1, [])
