"""Progress bars that fit 80 columns: tenant, stage, bar, records, rate, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from .words import clock, compact

_NAME = 20  # characters of a tenant's name; longer ones are cut
_BAR = 14


class Display:
    """The bars. Tenants are added when they are first heard of and removed when they are done."""

    def __init__(self, console: Console, *, transient: bool = True) -> None:
        """`transient`: leaves nothing behind."""
        self._bars = Progress(
            _words(_name, _NAME),
            _words(_doing, 9),
            BarColumn(_BAR, pulse_style="cyan", complete_style="blue", finished_style="green"),
            _words(_amount, 13, right=True),
            _words(_rate, 8, right=True),
            _words(_left, 7, right=True),
            console=console,
            transient=transient,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tenants: dict[str, TaskID] = {}
        self._overall: TaskID | None = None

    @contextmanager
    def showing(self, tenants: int) -> Iterator[None]:
        """Draws while the block runs."""
        if tenants > 1:
            self._overall = self._bars.add_task("all", total=tenants, doing="tenants", **_since(0))
        with self._bars:
            yield

    def restart(self, tenant: str, doing: str, total: int | None, done: int) -> None:
        """The tenant begins something else."""
        if tenant not in self._tenants:
            self._tenants[tenant] = self._bars.add_task(tenant, total=None, doing=doing, **_since(0))
        task = self._task(tenant)
        if task is not None:
            task.total = total  # `reset` would take None for the total before
            self._bars.reset(task.id, completed=done, doing=doing, **_since(done))

    def advance(self, tenant: str, doing: str, records: int) -> None:
        """So many records more, if that is what the tenant does now."""
        task = self._task(tenant)
        if task is not None and task.fields["doing"] == doing:
            self._bars.advance(task.id, records)

    def remove(self, tenant: str) -> None:
        if tenant in self._tenants:
            self._bars.remove_task(self._tenants.pop(tenant))
        if self._overall is not None:
            self._bars.advance(self._overall)

    def _task(self, tenant: str) -> Task | None:
        wanted = self._tenants.get(tenant)
        return next((task for task in self._bars.tasks if task.id == wanted), None)


class _Words(ProgressColumn):
    """Text made of a task."""

    def __init__(self, words: Callable[[Task], Text], column: Column) -> None:
        super().__init__(column)
        self._words = words

    def render(self, task: Task) -> Text:
        return self._words(task)


def _words(words: Callable[[Task], Text], width: int, *, right: bool = False) -> _Words:
    column = Column(width=width, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return _Words(words, column)


def _name(task: Task) -> Text:
    return Text(task.description, style="bold")


def _doing(task: Task) -> Text:
    return Text(str(task.fields["doing"]), style="magenta" if task.fields["doing"] == "cut-over" else "cyan")


def _amount(task: Task) -> Text:
    if task.total is None:
        return Text()
    return Text(f"{compact(task.completed)}/{compact(max(task.total, task.completed))}")


def _rate(task: Task) -> Text:
    per_second = _pace(task)
    if per_second is None or task.fields["doing"] == "tenants":
        return Text()
    return Text(f"{compact(per_second)}/s", style="dim")


def _left(task: Task) -> Text:
    if task.total is None:
        return Text()
    per_second = _pace(task)
    left = max(task.total - task.completed, 0) / per_second if per_second else None
    return Text(clock(left), style="dim")


def _since(done: int) -> dict[str, Any]:
    """From when on, and above what, the pace counts."""
    return {"began": time.monotonic(), "first": done}


def _pace(task: Task) -> float | None:
    """Per second, over the whole stage: pages come in bursts, and shorter averages jump."""
    gained: float = task.completed - task.fields["first"]
    if task.total is None or not gained:
        return None
    spent: float = time.monotonic() - task.fields["began"]
    return gained / max(spent, 1e-3)
