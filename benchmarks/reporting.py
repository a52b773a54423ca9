"""How a benchmark tells its figures: a table for people, one line of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, and its goal where it has one. `most`: the goal is an upper limit, else a lower one."""

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    most: bool = True

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.most else self.value >= self.goal


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; the first column is words, the others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def tell(benchmark: str, figures: Sequence[Figure]) -> None:
    """The figures against their goals, as a table and as one line of JSON."""
    rows = [
        (figure.name, f"{figure.value:,.2f} {figure.unit}", _goal(figure), _met(figure)) for figure in figures
    ]
    show(f"{benchmark}: goals", ("figure", "measured", "goal", "met"), rows)
    values = [{**asdict(figure), "value": round(figure.value, 4), "met": figure.met} for figure in figures]
    print(json.dumps({"benchmark": benchmark, "figures": values}))


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'≤' if figure.most else '≥'} {figure.goal:g}"


def _met(figure: Figure) -> str:
    return {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure.met]
