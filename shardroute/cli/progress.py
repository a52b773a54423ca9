"""Progress on stderr: bars where somebody looks on, plain lines where not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ..migration import Silent, Stage
from .bars import Display
from .output import Screen
from .words import activity, clock

_EVERY = 5.0  # seconds between plain lines of one tenant


class Watch(Silent):
    """An observer that is also told which tenants there are and which are done. This one says nothing.

    `watched`: tenants that have crossed and are looked on at.
    """

    def __init__(self) -> None:
        self.watched: set[str] = set()

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        if stage is Stage.WATCH:
            self.watched.add(tenant)

    def watching(self, tenants: Sequence[str]) -> AbstractContextManager[object]:
        """While these tenants are worked on."""
        return nullcontext()

    def begins(self, tenant: str) -> None:
        """It is this one's turn."""

    def done(self, tenant: str) -> None:
        """Nothing more will come of this one."""


class Talking(Watch):
    """Says for what a tenant waits, where that takes long."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def waits(self, tenant: str, what: str) -> None:
        self._note(f"{tenant} {what}")


class Lines(Talking):
    """A line when a stage begins and when a tenant moves, and every few seconds on the way."""

    def __init__(
        self,
        say: Callable[[str], None],
        note: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(note)
        self._say = say
        self._now = now
        self._tallies: dict[str, _Tally] = {}

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        super().stage(tenant, stage, total, done)
        if _worth_saying(stage, total):
            now = self._now()
            self._tallies[tenant] = tally = _Tally(stage, total, done, first=done, began=now, said=now)
            self._say(f"{tenant}: {tally}")

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        tally = self._tallies.get(tenant)
        if tally is None or tally.stage is not stage:
            return
        tally.done, now = tally.done + records, self._now()
        if now - tally.said >= _EVERY:
            tally.said = now
            self._say(f"{tenant}: {tally}{tally.pace(now)}")

    def step(self, tenant: str, step: str) -> None:
        if step.startswith("moved to "):
            self._say(f"{tenant}: {step}")

    def done(self, tenant: str) -> None:
        self._tallies.pop(tenant, None)


@dataclass(slots=True)
class _Tally:
    """One stage of one tenant. `first`: what was done before this run."""

    stage: Stage
    total: int | None
    done: int
    first: int
    began: float
    said: float

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.stage} {self.done:,}{of}"

    def pace(self, now: float) -> str:
        rate = (self.done - self.first) / max(now - self.began, 1e-9)
        missing = (self.total or 0) - self.done
        left = f", {clock(missing / rate)} left" if missing > 0 and rate else ""
        return f", {rate:,.0f}/s{left}"


class Bars(Talking):
    """A bar for each tenant under way, above them one for all when there are several."""

    def __init__(self, display: Display, note: Callable[[str], None]) -> None:
        super().__init__(note)
        self._display = display

    def watching(self, tenants: Sequence[str]) -> AbstractContextManager[object]:
        return self._display.showing(len(tenants))

    def begins(self, tenant: str) -> None:
        self._display.restart(tenant, "starting", None, 0)

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        super().stage(tenant, stage, total, done)
        if _worth_saying(stage, total):
            self._display.restart(tenant, stage, total, done)

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        self._display.advance(tenant, stage, records)

    def step(self, tenant: str, step: str) -> None:
        doing = activity(step)
        if doing is not None:
            self._display.restart(tenant, doing, None, 0)

    def done(self, tenant: str) -> None:
        self._display.remove(tenant)


def watch_on(screen: Screen, *, quiet: bool) -> Watch:
    """What fits the terminal, or that there is none."""
    if quiet:
        return Watch()
    if screen.live and not screen.json:
        return Bars(Display(screen.err), screen.note)
    return Lines(screen.aside, screen.note)


def _worth_saying(stage: Stage, total: int | None) -> bool:
    """Debt is looked for several times, and mostly there is none."""
    return stage is not Stage.DEBT or bool(total)
