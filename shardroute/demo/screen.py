"""The run on a terminal, as a live table; anywhere else in plain lines. At the end what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .dashboard import Dashboard
from .progress import Progress
from .report import Report

_EVERY = 5.0  # seconds between plain lines on the traffic


@asynccontextmanager
async def shown(console: Console, progress: Progress) -> AsyncIterator[None]:
    """Shows the run while the block runs."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(Dashboard(progress), console=console, refresh_per_second=4, vertical_overflow="crop"):
            yield
        return
    lines = _Lines(console, progress)
    task = asyncio.create_task(lines.tell_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        lines.tell()


class _Lines:
    """A line for each event, and one for the traffic now and then."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._told = 0
        self._next = time.monotonic() + _EVERY

    def tell(self) -> None:
        events = self._progress.events
        for event in events[self._told :]:
            self._console.print(Text(f"{self._progress.seconds:5.1f} s  {event}"), soft_wrap=True)
        self._told = len(events)

    async def tell_on(self) -> None:
        while True:
            if time.monotonic() > self._next:
                self._next += _EVERY
                self._tell_traffic()
            self.tell()
            await asyncio.sleep(0.1)

    def _tell_traffic(self) -> None:
        progress, counts = self._progress, self._progress.traffic.counts
        if counts.reads:
            progress.tell(
                f"{progress.moved} of {len(progress.tenants)} tenants moved; {counts.reads:,} reads, "
                f"{counts.writes:,} writes, {counts.deletes:,} deletes, {counts.failed} failed"
                f"{f', {counts.late} late' if counts.late else ''}"
            )


def show_outcome(console: Console, report: Report, path: Path) -> None:
    """The report for people."""
    rows = _rows(report)
    width = max(len(name) for name, _ in rows) + 2
    console.print()
    for name, value in rows:  # no table, which fills its lines up with blanks
        console.print(Text.assemble((name.ljust(width), "dim"), value), soft_wrap=True)
    for problem in report.problems:
        console.print(Text.assemble(("problem: ", "bold red"), problem), soft_wrap=True)
    console.print(_conclusion(report), soft_wrap=True)
    console.print(Text(f"figures: {path}", style="dim"), soft_wrap=True)


def _rows(report: Report) -> list[tuple[str, str | Text]]:
    moved = f"{report.tenants_moved} of {report.tenants}, {report.rolled_back} rolled back and moved again"
    return [
        ("clusters", f"{report.from_} → {report.to}"),
        ("tenants moved", moved),
        ("records copied", f"{report.records_copied:,}"),
        ("traffic", f"{report.reads:,} reads, {report.writes:,} writes, {report.deletes:,} deletes"),
        *((f"reads {stage}", _figures(figures)) for stage, figures in report.read_ms.items()),
        ("write holds", _figures(report.hold_ms)),
        *_slow_rows(report),
        ("failed requests", _must_be_none(report.failed_requests)),
        ("lost writes", _must_be_none(report.lost_writes)),
        ("deletes undone", _must_be_none(report.resurrected_deletes)),
        ("tenants mixed up", _must_be_none(report.isolation_breaches)),
    ]


def _slow_rows(report: Report) -> list[tuple[str, str | Text]]:
    """What took too long, where anything did: of this machine, and no fault of what is shown."""
    late = report.late_requests + report.late_moves
    if not late and not report.out_of_time:
        return []
    reasons = ", ".join(f"{kind} {count}" for kind, count in report.reasons.items())
    counts = f"{report.late_requests} requests, {report.late_moves} moves{f' ({reasons})' if reasons else ''}"
    return [("machine", f"{report.slowness:.0f} times slower than a quiet one"), ("took too long", counts)]


def _conclusion(report: Report) -> Text:
    if not report.ok:
        return Text("Not as it should be: see above.", style="bold red")
    where = "on the new cluster" if report.tenants_moved == report.tenants else "where its tenant is"
    words = f"Every acknowledged write is {where}; {report.looks:,} looks at single records agree."
    return Text(words, style="bold green")


def _must_be_none(count: int) -> Text:
    return Text(f"{count}", style="bold red" if count else "green")


def _figures(figures: Mapping[str, float | None]) -> str:
    return (
        ", ".join(f"{name} {'–' if value is None else f'{value:.1f}'}" for name, value in figures.items())
        + " ms"
    )
