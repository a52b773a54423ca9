"""`compare`: what routers saw of a tenant's two paths, and replays of recorded queries."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from ..admin import Admin
from ..comparisons import Comparison, RecordedQuery
from ..errors import InvalidInput
from ..phases import Side
from ..recording import to_line
from ..statistics import Events, Histogram, Shares, Tally
from .exits import Exit
from .output import Column, Row, number, phase_mark, text
from .running import Command, Run
from .words import clock, plural

FROM_REDIS = "-"
"""Instead of a file to replay: what Redis holds."""

_GATES = ("samples", "recall", "recall_p5", "latency_ratio", "error_rate")
_IDS = 26  # characters of each list of ids
_SHOWN = 5  # examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `compare` is asked for. `html`, `record`: files to write. `replay`: a file to read, or FROM_REDIS."""

    seconds: float | None = None
    html: Path | None = None
    record: Path | None = None
    replay: str | None = None
    clear: bool = False


def compare(tenant: str, wishes: Wishes) -> Command:
    """Shows, writes what is asked for, and clears last. Gates that do not hold end in exit code 1."""

    async def command(run: Run, admin: Admin) -> None:
        for path in filter(None, (wishes.html, wishes.record)):
            _check_writable(path)
        if wishes.record is not None:
            await _record(run, admin, tenant, wishes.record)
        found = await _found(admin, tenant, wishes)
        run.document = _document(found) | {"errors": []}
        _show(run, found, replayed=wishes.replay is not None)
        if found.breaches:
            run.exits.append(Exit.FAILED)
        if wishes.html is not None:
            from ..report import page

            _write(wishes.html, page(found))
            run.screen.aside(f"wrote {wishes.html}")
        if wishes.clear:
            await admin.forget_comparisons(tenant)
            run.screen.aside(f"cleared what was kept of {tenant}")

    return command


async def _found(admin: Admin, tenant: str, wishes: Wishes) -> Comparison:
    if wishes.replay is None:
        return await admin.compare(tenant, seconds=wishes.seconds)
    return await admin.replay(tenant, await _queries(admin, tenant, wishes.replay))


# -- files ---------------------------------------------------------------------------------------------------------


async def _record(run: Run, admin: Admin, tenant: str, path: Path) -> None:
    queries = await admin.recorded(tenant)
    _write(path, "".join(f"{to_line(query)}\n" for query in queries))
    run.screen.aside(f"wrote {plural(len(queries), 'recorded query', 'recorded queries')} to {path}")
    if not queries:
        run.screen.note("is recording.share above 0 where the application runs?")


async def _queries(admin: Admin, tenant: str, source: str) -> list[RecordedQuery]:
    found = await admin.recorded(tenant) if source == FROM_REDIS else _read(admin, tenant, Path(source))
    if not found:
        raise InvalidInput(f"there are no queries to replay in {'Redis' if source == FROM_REDIS else source}")
    return found


def _read(admin: Admin, tenant: str, path: Path) -> list[RecordedQuery]:
    try:
        with path.open(encoding="utf-8") as lines:
            return admin.read_queries(tenant, lines)
    except (OSError, UnicodeDecodeError, InvalidInput) as error:
        raise InvalidInput(f"{path}: {error}") from error


def _check_writable(path: Path) -> None:
    """Before anything is done for it. Raises InvalidInput."""
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is not a file")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path.parent} is not a directory")


def _write(path: Path, content: str) -> None:
    """All of it or nothing: whoever reads it meanwhile has the file as it was. Raises InvalidInput.

    A new file is for its owner alone: ids and queries may be nobody else's business.
    """
    _check_writable(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(content)
            if path.exists():
                os.chmod(name, stat.S_IMODE(path.stat().st_mode))
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InvalidInput(f"{path}: {error}") from error


# -- the document --------------------------------------------------------------------------------------------------


def _document(found: Comparison) -> dict[str, Any]:
    seen = found.tally
    return {
        "tenant": found.tenant,
        "phase": found.phase,
        "made_at": found.made_at,
        "seconds": _span(found),
        "paths": [_path_row(seen, side, found) for side in Side],
        "agreement": [_share_row(seen, name) for name in Shares],
        "counts": {event: seen.count(event) for event in Events},
        "gates": [_gate_row(found, gate) for gate in _GATES if getattr(found.gates, gate)],
        "breaches": [asdict(breach) for breach in found.breaches],
        "examples": [asdict(example) for example in found.examples],
        "windows": [
            {"start": window.start, "seconds": window.seconds, "counts": dict(window.tally.counts)}
            for window in found.windows
        ],
    }


def _span(found: Comparison) -> float:
    if not found.windows:
        return 0.0
    return found.windows[-1].start + found.windows[-1].seconds - found.windows[0].start


def _path_row(seen: Tally, side: Side, found: Comparison) -> dict[str, Any]:
    latency = seen.latency(side)
    return {
        "path": side,
        "cluster": found.old if side is Side.OLD else found.new,
        "answered": latency.count,
        "mean": latency.mean,
        **{f"p{share}": latency.quantile(share / 100) for share in (50, 95, 99)},
        "error_rate": seen.error_rate(side),
        "errors": seen.errors(side),
    }


def _share_row(seen: Tally, name: Shares) -> dict[str, Any]:
    found: Histogram = seen.share(name)
    return {"measure": name, "count": found.count, "mean": found.mean, "p5": found.quantile(0.05)}


def _gate_row(found: Comparison, gate: str) -> dict[str, Any]:
    broken = next((breach for breach in found.breaches if breach.gate == gate), None)
    limit = getattr(found.gates, gate)
    return {"gate": gate, "limit": limit, "holds": broken is None, "found": broken and broken.found}


# -- what people read ----------------------------------------------------------------------------------------------


def _milliseconds(key: str) -> Column:
    return Column(f"{key} ms", lambda row: "" if row[key] is None else f"{1000 * row[key]:,.1f}", right=True)


def _share(key: str) -> Column:
    return Column(key, lambda row: "" if row[key] is None else f"{row[key]:.3f}", right=True)


_PATHS: tuple[Column, ...] = (
    text("path"),
    text("cluster"),
    number("answered", "queries"),
    *map(_milliseconds, ("p50", "p95", "p99")),
    Column("failed", lambda row: "" if row["error_rate"] is None else f"{row['error_rate']:.2%}", right=True),
    Column("errors", lambda row: Text(_errors(row["errors"]), "red"), fold=True),
)
_AGREEMENT: tuple[Column, ...] = (
    Column("agreement", lambda row: _NAMES[row["measure"]]),
    number("count", "comparisons"),
    _share("mean"),
    _share("p5"),
)
_NAMES: dict[Shares, str] = {
    Shares.RECALL: "recall",
    Shares.OVERLAP: "rank-biased overlap",
    Shares.JACCARD: "jaccard",
    Shares.FLOOR: "noise floor (the primary, asked twice)",
}
_GATE_TABLE: tuple[Column, ...] = (
    text("gate"),
    Column("limit", lambda row: f"{row['limit']:g}", right=True),
    Column("", lambda row: _held(row)),
)
_EXAMPLES: tuple[Column, ...] = (
    text("digest", "worst"),
    Column("recall", lambda row: f"{max(0.0, 1 - row['badness']):.2f}", right=True),
    Column("primary's ids", lambda row: _ids(row["primary_ids"])),
    Column("other's ids", lambda row: _other_ids(row)),
)
_COUNTED: dict[Events, str] = {
    Events.REORDERED: "in another order",
    Events.METADATA: "with other metadata",
    Events.FETCHED: "fetches compared",
    Events.MISSING: "fetched records on one side only",
    Events.DIFFERING: "fetched records that differ",
    Events.SHED: "shadows left out",
    Events.HELD: "writes held",
    Events.BREACH: "records of other tenants",
}


def _show(run: Run, found: Comparison, *, replayed: bool) -> None:
    screen, document = run.screen, run.document
    seconds = document["seconds"]
    when = f"replayed in {seconds:.1f} s" if replayed else f"{clock(seconds)} of traffic"
    screen.line(Text.assemble(found.tenant, "  ", phase_mark(found.phase), f"  {when}"))
    if not found.tally:
        screen.line("nothing has been compared; shadow.share says how many reads are")
        return
    _show_tables(run)
    screen.line(_counted(found.tally))
    for breach in found.breaches:
        screen.line(Text.assemble(("does not hold: ", "bold red"), str(breach)))
    if found.gates.closed and not found.breaches:
        screen.line(Text("the gates hold", style="green"))


def _show_tables(run: Run) -> None:
    document = run.document
    tables: tuple[tuple[Sequence[Column], list[Row]], ...] = (
        (_PATHS, document["paths"]),
        (_AGREEMENT, [row for row in document["agreement"] if row["count"]]),
        (_EXAMPLES, document["examples"][:_SHOWN]),
        (_GATE_TABLE, document["gates"]),
    )
    for columns, rows in tables:
        if rows:
            run.screen.line()
            run.screen.table(columns, rows)
    run.screen.line()


def _counted(seen: Tally) -> Text:
    words = Text(f"{seen.count(Events.COMPARED):,} compared")
    for event, name in _COUNTED.items():
        if seen.count(event):
            alarm = "bold red" if event is Events.BREACH else ""
            words.append(" · ").append(f"{seen.count(event):,} {name}", style=alarm)
    return words


def _errors(kinds: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))


def _held(row: Row) -> Text:
    return Text("holds", "green") if row["holds"] else Text(f"{row['found']:.4g}", "bold red")


def _ids(ids: Sequence[str]) -> Text:
    words = Text(" ".join(ids) or "none")
    words.truncate(_IDS, overflow="ellipsis")
    return words


def _other_ids(row: Row) -> Text:
    """Those that the primary does not have stand out."""
    words, ours = Text(), set(row["primary_ids"])
    for name in row["other_ids"]:
        words.append(f"{name} ", style="" if name in ours else "red")
    words = words or Text(row["note"] or "none", style="red")
    words.rstrip()
    words.truncate(_IDS, overflow="ellipsis")
    return words
