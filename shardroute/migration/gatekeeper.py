"""Judges what routers saw of a tenant's two paths: before it crosses (gates), and for a while afterwards (watch).

Routers add their comparisons up in Redis (`ControlPlane.stats`); here they are only read. What was counted before the
tenant was in step, or before it had crossed, is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..comparisons import Mark, latest
from ..errors import GateFailed, ShardrouteError
from ..gates import Breach, Gates, breaches
from ..phases import Side
from ..statistics import Events, Tally, added
from .observer import Stage
from .work import Work

_POLL = 1.0  # seconds between two looks at most
_POLL_LEAST = 0.02
_POLL_SHARE = 0.1  # of a soak
_FLUSHES = 1.5  # that routers get to send what they counted
CANARY = (5, 25, 50, 100)
"""Percent of a tenant's reads that the new cluster answers, step by step."""

_SAMPLES, _ERRORS, _FOREIGN = "samples", "error_rate", "breaches"
_NO_SAMPLES = (
    "Nothing was compared at all: does the application query this tenant, with shadow.share above 0? "
)


@dataclass(frozen=True, slots=True)
class Seen:
    """`lately`: what is judged. `compared`: comparisons since the beginning, which was `seconds` ago."""

    lately: Tally
    compared: int
    seconds: float


class Traffic:
    """A tenant's comparisons from a moment on."""

    def __init__(self, work: Work, gates: Gates, mark: Mark) -> None:
        self._work = work
        self._gates = gates
        self._mark = mark

    @classmethod
    async def from_now(cls, work: Work, gates: Gates) -> Traffic:
        """Lets routers send first what they counted until now."""
        shadow, stats = work.config.shadow, work.plane.stats
        await asyncio.sleep(_FLUSHES * shadow.flush)
        windows = await stats.windows(work.tenant, seconds=2 * shadow.window)
        return cls(work, gates, Mark.made(await work.plane.time(), windows))

    async def seen(self) -> Seen:
        work, gates = self._work, self._gates
        now = await work.plane.time()
        passed = now - self._mark.at
        everything = await work.plane.stats.windows(
            work.tenant, seconds=passed + 2 * work.config.shadow.window
        )
        windows = self._mark.since(everything)
        return Seen(
            lately=latest(windows, now, seconds=gates.soak, samples=gates.samples),
            compared=added(window.tally for window in windows).count(Events.COMPARED),
            seconds=passed,
        )


def verdict(gates: Gates, seen: Tally) -> list[Breach] | None:
    """The gates that do not hold; None where too little was seen to say so.

    A cluster that fails leaves nothing to compare, so failures count where they are what is judged; a record of
    another tenant is judged at once.
    """
    found = breaches(gates, seen)
    if all(breach.gate != _SAMPLES for breach in found):
        return found
    asked = seen.latency(Side.NEW).count + sum(seen.errors(Side.NEW).values())
    certain = {_FOREIGN, _ERRORS} if asked >= gates.samples else {_FOREIGN}
    return [breach for breach in found if breach.gate in certain] or None


async def pass_gates(work: Work, gates: Gates, traffic: Traffic) -> int:
    """Returns when the gates hold for what was seen in a whole soak; how many comparisons. Raises GateFailed."""
    progress = _Progress(work, Stage.GATES, gates.samples)
    while True:
        seen = await traffic.seen()
        progress.at(seen.compared)
        found = verdict(gates, seen.lately)
        if seen.seconds >= gates.soak and found is not None:
            break
        if seen.seconds >= max(gates.soak, gates.patience):
            found = breaches(gates, seen.lately)
            break
        await _pause(gates)
    if found:
        raise GateFailed(
            work.tenant, [str(breach) for breach in found], hint="" if seen.compared else _NO_SAMPLES
        )
    work.step("gates hold")
    return seen.compared


async def canary(work: Work, gates: Gates) -> int:
    """Lets the new cluster answer more and more reads, each step for a soak; how many comparisons there were.

    The last step is left in place, as the next move ends it. Raises GateFailed, the old cluster then answering alone.
    """
    compared = 0
    try:
        for percent in CANARY:
            await set_canary(work, percent)
            compared += await pass_gates(work, gates, await Traffic.from_now(work, gates))
    except BaseException:  # also when cancelled: nobody would look on any more
        with suppress(ShardrouteError):  # a lost lock: its next holder sets it back
            await _set_canary(work, 0)
        raise
    return compared


async def set_canary(work: Work, percent: int) -> None:
    """Returns when every router does so."""
    await _set_canary(work, percent)
    await work.barrier(await work.standing())


async def _set_canary(work: Work, percent: int) -> None:
    await work.plane.maps.set_canary(work.tenant, work.shard, percent, fence=work.fence)
    work.step(f"canary at {percent} %")


async def watch(work: Work, gates: Gates) -> tuple[Sequence[Breach], Seen]:
    """Looks on for a soak, or until a gate breaks: which do, and what was seen."""
    traffic = await Traffic.from_now(work, gates)
    progress = _Progress(work, Stage.WATCH, gates.samples)
    while True:
        seen = await traffic.seen()
        progress.at(seen.compared)
        found = verdict(gates, seen.lately) or ()
        if found or seen.seconds >= gates.soak:
            work.step("a gate broke" if found else "watched")
            return found, seen
        await _pause(gates)


async def _pause(gates: Gates) -> None:
    await asyncio.sleep(min(_POLL, max(_POLL_LEAST, gates.soak * _POLL_SHARE)))


class _Progress:
    """Tells an observer a growing number."""

    def __init__(self, work: Work, stage: Stage, total: int) -> None:
        self._work, self._stage, self._told = work, stage, 0
        work.observer.stage(work.tenant, stage, total or None)

    def at(self, number: int) -> None:
        if number > self._told:
            self._work.observer.advance(self._work.tenant, self._stage, number - self._told)
            self._told = number
