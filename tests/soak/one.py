"""One run from beginning to end: the servers, the troubles, the judgement."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from .judge import judged
from .run import Run
from .schedule import Schedule
from .world import World

FINE = "fine"

_UNFAIR = 0.25
"""Seconds. A run that was late by more may have kept requests for longer than `router.linger`: look twice."""


@dataclass
class Result:
    """One run.

    `verdict`: fine; VIOLATED; UNKNOWN, the checker gave up; STUCK, something did not go on though all was well; BROKEN,
    the run itself failed. `late`: seconds that this machine was late at worst. `left_out`: troubles that were not made.
    """

    seed: int
    verdict: str
    seconds: float
    operations: int
    unanswered: int
    canaries: int
    failovers: int
    scanned: int
    troubles: int
    stops: int
    moves: int
    verbs: int
    processes: int
    late: float
    told: list[str]
    left_out: list[str]

    def line(self) -> str:
        return (
            f"seed {self.seed}: {self.verdict}  ({self.operations} operations, {self.unanswered} without an answer, "
            f"{self.canaries} read by canaries and {self.failovers} by failovers, "
            f"{self.troubles} troubles, {self.stops} aimed stops, "
            f"{self.verbs} verbs, {self.moves} moves, {self.processes} routers, {self.seconds:.0f} s)"
        )


async def run(schedule: Schedule, folder: Path) -> Result:
    """Runs and judges a schedule; everything it leaves is in `folder`."""
    began, error = time.monotonic(), ""
    async with World.opened(schedule, folder) as world:
        one = Run(world, schedule)
        try:
            await one.all()
        except Exception:  # whatever it is, the histories are worth a look
            error = f"the run itself failed:\n{traceback.format_exc()}"
    found = await asyncio.to_thread(judged, folder)
    stories = [f"{key}:\n{story}" for key, story in found.violations.items()]
    unknown = [f"{key}: {found.by} gave up, or do not agree" for key in found.unknown]
    told = [*stories, *unknown, *one.complaints, *([error] if error else [])]
    if told and one.late > _UNFAIR:
        told.append(f"this machine was {one.late:.2f} s late at worst: the run may not have been fair")
    failures = {"VIOLATED": stories, "BROKEN": error, "UNKNOWN": unknown, "STUCK": one.complaints}
    return Result(
        seed=schedule.seed,
        verdict=next((verdict for verdict, why in failures.items() if why), FINE),
        seconds=time.monotonic() - began,
        operations=found.operations,
        unanswered=found.unanswered,
        canaries=found.canaries,
        failovers=found.failovers,
        scanned=found.scanned,
        troubles=one.troubles,
        stops=found.stops,
        moves=found.moves,
        verbs=one.verbs,
        processes=one.processes,
        late=one.late,
        told=told,
        left_out=sorted(set(one.left_out)),
    )


def in_a_process_of_its_own(schedule: Schedule, folder: Path) -> Result:
    """For a pool of processes: what one run computes does not make the proxies of another one late."""
    return asyncio.run(run(schedule, folder))
