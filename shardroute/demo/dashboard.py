"""The run as a live table: where each tenant is, how much traffic there is, what it feels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from ..phases import EFFECTS, LINE, Phase, Side
from .evidence import Stage
from .progress import Progress
from .report import percentiles

COLOURS: Mapping[Phase, str] = dict(
    zip(LINE, ("blue", "cyan", "magenta", "magenta", "green", "bright_green"), strict=True)
)
_CELL = 25  # the least width of a tenant's cell
_ROWS = 9  # beside the grid
_SAMPLES = 2000  # the last so many of a stage, for a table that is drawn several times a second


class Dashboard:
    """Drawn anew at every refresh from what is known then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        grid = self._grid(width)
        yield self._title(width)
        yield from grid
        yield self._phases()
        yield ""
        yield self._latencies()
        yield self._traffic()
        yield self._copies()
        yield self._faults()
        room = height - len(grid) - _ROWS - 1
        for event in list(self._progress.events)[-room:] if room > 0 else []:
            yield Text(event, style="dim", no_wrap=True, overflow="ellipsis")

    # -- parts -----------------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        progress = self._progress
        right = f"{progress.seconds:.0f} s"
        left = Text.assemble(("shardroute demo", "bold"), "  ", (progress.pair, "cyan"), "  ", progress.title)
        left.truncate(width - len(right) - 1, overflow="ellipsis", pad=True)
        return left + Text(f" {right}", style="dim")

    def _grid(self, width: int) -> list[Text]:
        """Column by column, as many columns as fit."""
        tenants = list(self._progress.tenants)
        columns = max(1, width // _CELL)
        rows = -(-len(tenants) // columns)
        lines = [tenants[row::rows] for row in range(rows)]
        return [Text("").join(self._cell(tenant, width // columns) for tenant in line) for line in lines]

    def _cell(self, tenant: str, width: int) -> Text:
        phase = self._progress.phases.get(tenant, Phase.OLD)
        effect = EFFECTS[phase]
        busy = not effect.settled and (effect.held or effect.primary is Side.OLD)
        name = Text(tenant, style="bold" if busy else "")
        name.truncate(width - 13, overflow="ellipsis", pad=True)
        records = Text(f"{self._progress.records.get(tenant, 0):>4} ", style="dim")
        return Text.assemble(name, " ", _mark(phase), " ", records)

    def _phases(self) -> Text:
        counts = Counter(self._progress.phases.get(tenant, Phase.OLD) for tenant in self._progress.tenants)
        words = [
            Text(f"{counts[phase]} {phase}", style=COLOURS[phase] if counts[phase] else "dim")
            for phase in LINE[:-1]
        ]
        return Text(" → ", style="dim").join(words) if self._progress.tenants else Text("")

    def _latencies(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("ms")
        figures = {name: percentiles(samples) for name, samples in self._samples().items()}
        for name in figures:
            table.add_column(name, justify="right", min_width=8)
        for share in ("p50", "p99", "max"):
            table.add_row(share, *(_figure(each[share]) for each in figures.values()))
        return table

    def _samples(self) -> dict[str, list[float]]:
        traffic = self._progress.traffic
        reads = {f"read {stage}": traffic.read_ms[stage][-_SAMPLES:] for stage in Stage}
        holds = [1000 * seconds for seconds in self._progress.moves.hold_seconds]
        return {**reads, "read now": list(traffic.recent_ms), "write hold": holds}

    def _traffic(self) -> Text:
        traffic = self._progress.traffic
        counts, (reads, writes) = traffic.counts, traffic.rates
        return Text.assemble(
            f"{counts.reads:,} reads ", (f"{reads:.0f}/s", "dim"),
            f" · {counts.writes:,} writes, {counts.deletes:,} deletes ", (f"{writes:.0f}/s", "dim"),
        )  # fmt: skip

    def _copies(self) -> Text:
        moves = self._progress.moves
        counts = f"{moves.copied:,} copied, {moves.compared:,} compared, {moves.repaired:,} repaired"
        return Text(f"{counts} · {len(moves.hold_seconds)} holds, {moves.rolled_back} rolled back")

    def _faults(self) -> Text:
        counts = self._progress.traffic.counts
        faults = {
            "failed requests": counts.failed,
            "stale": counts.stale,
            "not whole": counts.flaws,
            "breaches": counts.breaches,
            "failed moves": len(self._progress.moves.errors),
        }
        words = [
            Text(f"{count} {name}", style="bold red" if count else "green") for name, count in faults.items()
        ]
        late = counts.late + len(self._progress.moves.late)
        words += [Text(f"{late} late", style="yellow")] if late else []
        return Text(" · ", style="dim").join(words)


def _mark(phase: Phase) -> Text:
    """``──●───``: where on the line of six phases."""
    mark = Text("─" * phase.rank + "●" + "─" * (len(LINE) - 1 - phase.rank), style="dim")
    mark.stylize(f"not dim {COLOURS[phase]}", phase.rank, phase.rank + 1)
    return mark


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
