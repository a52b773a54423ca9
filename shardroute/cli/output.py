"""What the script writes: tables or one JSON document on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from ..errors import ShardrouteError
from ..phases import LINE, Phase
from ..truncation import quoted
from .caller import as_typed

Row = Mapping[str, Any]
"""One line of a table, which is also one object of the JSON document."""

COLOURS: dict[Phase, str] = dict(
    zip(LINE, ("blue", "cyan", "magenta", "magenta", "yellow", "green"), strict=True)
)
_BAR = 48  # characters


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, and how a row's value is shown there."""

    heading: str
    show: Callable[[Row], str | Text]
    right: bool = False
    fold: bool = False


def text(key: str, heading: str = "", *, fold: bool = True) -> Column:
    """Words, folded when they are long; None and "" are left empty."""
    return Column(heading or key, lambda row: Text(str(row[key] or "")), fold=fold)


def number(key: str, heading: str = "", form: str = ",") -> Column:
    """A number to the right."""
    return Column(heading or key, lambda row: format(row[key], form), right=True)


def phase_column(key: str = "phase") -> Column:
    return Column("phase", lambda row: phase_mark(Phase(row[key])))


def phase_mark(phase: Phase) -> Text:
    """``──●─── HOLD_OLD``: where on the line of six phases."""
    line = Text("─" * len(LINE), style="dim")
    line.plain = f"{'─' * phase.rank}●{'─' * (len(LINE) - phase.rank - 1)}"
    line.stylize(f"not dim bold {COLOURS[phase]}", phase.rank, phase.rank + 1)
    return line + Text(f" {phase}", style=f"not dim {COLOURS[phase]}")


def phase_summary(counts: Mapping[Phase, int]) -> list[Text]:
    """A bar in the colours of the phases, and how many tenants are in each."""
    there = {phase: count for phase, count in counts.items() if count}
    bar = Text()
    for phase, width in zip(there, shares(list(there.values()), _BAR), strict=True):
        bar.append("━" * width, style=COLOURS[phase])
    total = sum(there.values())
    words = Text(f"{total:,} tenant{'s' * (total != 1)}")
    for phase, count in there.items():
        words.append(" · ").append(f"{count:,} {phase}", style=COLOURS[phase])
    return [bar, words]


def shares(counts: Sequence[int], width: int) -> list[int]:
    """`width` characters shared out by counts, at least one for each."""
    total, edges, seen = sum(counts), [0], 0
    for count in counts:
        seen += count
        edges.append(max(edges[-1] + 1, round(width * seen / total)))
    return [after - before for before, after in pairwise(edges)]


class Screen:
    """stdout for data, stderr for everything else."""

    def __init__(self, *, json: bool = False, no_color: bool = False, verbose: bool = False) -> None:
        plain: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
        if no_color:
            plain["no_color"] = True
        self.out = Console(**plain)
        self.err = Console(stderr=True, **plain)
        self.json = json
        self._verbose = verbose

    @property
    def live(self) -> bool:
        """Whether somebody looks on, at something that can redraw."""
        return sys.stderr.isatty() and not self.err.is_dumb_terminal

    # -- data --------------------------------------------------------------------------------------------------

    def document(self, document: Mapping[str, Any]) -> None:
        self.out.print_json(data=document, highlight=self.out.is_terminal)

    def table(self, columns: Iterable[Column], rows: Sequence[Row], *, aside: bool = False) -> None:
        """Nothing where there are no rows, or for --json. `aside`: on stderr, and always."""
        if rows and (aside or not self.json):
            (self.err if aside else self.out).print(_table(list(columns), rows))

    def line(self, words: str | Text = "") -> None:
        """A line of data, for people."""
        if not self.json:
            self.out.print(words)

    # -- everything else ---------------------------------------------------------------------------------------

    def error(self, error: BaseException) -> None:
        """One message; with -v the trace before it."""
        if self._verbose:
            trace = "".join(quoted(part) for part in traceback.format_exception(error))
            self.err.print(trace.rstrip(), soft_wrap=True, style="dim")
        expected = isinstance(error, ShardrouteError)
        words = str(error) if expected else f"unexpected {type(error).__name__}: {quoted(error)}"
        self._say("error", "bold red", words)

    def note(self, message: str) -> None:
        self._say("note", "yellow", message)

    def aside(self, message: str, *, copied: bool = False) -> None:
        """Something that helps but is not asked for. `copied`: a command, which must stay on one line."""
        self.err.print(Text(message, style="" if copied else "dim"), soft_wrap=copied or not self.live)

    def confirm(self, question: str) -> bool:
        return Confirm.ask(Text(question), console=self.err, default=False)

    def _say(self, kind: str, style: str, message: str) -> None:
        self.err.print(Text.assemble((f"{kind}: ", style), as_typed(message)), soft_wrap=not self.live)


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.fold,
        )
    for row in rows:
        table.add_row(*(column.show(row) for column in columns))
    return table
