"""Progress on standard error: a bar, records, their rate and the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .lines import Mark
from .load import Outcome


@contextmanager
def shown(title: str, size: int | None, begin: Mark) -> Iterator[Callable[[Outcome], None]]:
    """`size`: of the input in bytes, where it is known. Nothing is drawn where nobody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    began = monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=size, completed=begin.size, records=0, rate=0.0)

        def told(outcome: Outcome) -> None:
            rate = outcome.written / max(monotonic() - began, 1e-9)
            progress.update(task, completed=outcome.place.size, records=outcome.written, rate=rate)

        yield told
