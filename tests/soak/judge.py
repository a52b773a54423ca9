"""What the histories of a run say: a verdict on every record, by porcupine where it is there, and by our checker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tests.linearizability import checker, loose, porcupine
from tests.linearizability.explain import explained
from tests.linearizability.history import Kind, Operation, Verdict, by_key, check_values_unique, to_lines

from .record import SCAN, entries, operations

_EQUAL_AFTER = {
    ("migrate", "moved to DUAL_OLD"),
    ("migrate", "moved to HOLD_NEW"),
    ("rollback", "moved to DUAL_NEW"),
    ("rollback", "moved to HOLD_OLD"),
}
"""Verbs and steps after which the other side has nothing that was replaced before: a copy begins, or a crossing."""


@dataclass
class Judgement:
    """`by`: which checker. `violations`: stories, by record. `unknown`: records on which it gave up.

    `canaries`, `failovers`, `scanned`: records read so, which are judged by what the other side may show. `stops`: of
    processes that stopped themselves. `moves`: of tenants, from phase to phase.
    """

    by: str
    records: int
    operations: int
    unanswered: int
    canaries: int
    failovers: int
    scanned: int
    stops: int
    moves: int
    violations: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def judged(folder: Path) -> Judgement:
    """Of all that the processes of a run noted in `folder`. Writes the history, as one file, beside it."""
    strict: list[Operation] = []
    others: dict[str, list[Operation]] = {}
    for path in sorted(folder.glob("history-*.jsonl")):
        of_process, loosely = operations(path, path.stem.removeprefix("history-"))
        strict += of_process
        for by, reads in loosely.items():
            others.setdefault(by, []).extend(reads)
    check_values_unique(strict)
    (folder / "history.jsonl").write_text(to_lines(sorted(strict, key=lambda one: one.call)))
    keys = by_key(strict)
    found = Judgement(
        by="our own checker" if porcupine.program() is None else "porcupine and our own checker",
        records=len(keys),
        operations=len(strict),
        unanswered=sum(one.end is None for one in strict),
        canaries=len(others.get("canary", ())),
        failovers=len(others.get("secondary", ())),
        scanned=len(others.get(SCAN, ())),
        stops=sum(1 for _ in stops(folder)),
        moves=sum(str(one.get("step")).startswith("moved to") for one in entries(folder / "migrators.jsonl")),
    )
    for key, verdict in _verdicts(keys).items():
        if verdict is Verdict.VIOLATED:
            found.violations[key] = explained(keys[key], beside(folder, key.partition("/")[0]))
        elif verdict is Verdict.UNKNOWN:
            found.unknown.append(key)
    _judge_loose(found, keys, chain(*others.values()), marks(folder / "migrators.jsonl"))
    return found


def _verdicts(keys: Mapping[str, Sequence[Operation]]) -> dict[str, Verdict]:
    """Porcupine's. Where our own checker says something else, one of the two is wrong: then nothing is known."""
    ours = {key: checker.check(history).verdict for key, history in keys.items()}
    if porcupine.program() is None:
        return ours
    theirs = porcupine.check(one for history in keys.values() for one in history)
    return {key: verdict if ours[key] is verdict else Verdict.UNKNOWN for key, verdict in theirs.items()}


def _judge_loose(
    found: Judgement,
    keys: Mapping[str, Sequence[Operation]],
    reads: Iterable[Operation],
    equal: Mapping[str, Sequence[int]],
) -> None:
    for read in reads:
        writes = [one for one in keys[read.key] if one.kind is not Kind.READ]
        wrong = loose.complaint(read, writes, equal.get(read.key.partition("/")[0], ()))
        if wrong is not None:
            found.violations[f"{read.key} (read from the other side)"] = wrong


_TOLD = ("begins", "locked", "synced", "moved to", "purged", "target purged", "canary", "done", "failed")


def beside(folder: Path, tenant: str) -> Iterator[tuple[int, str]]:
    """What happened beside the operations on a tenant: troubles, processes that stopped themselves, and verbs."""
    for entry in entries(folder / "troubles.jsonl"):
        yield entry["at"], f"{entry['trouble']}: {entry['who']} for {entry['seconds']:.1f} s"
    for entry in entries(folder / "migrators.jsonl"):
        if entry.get("tenant") == tenant and entry["step"].startswith(_TOLD):
            yield entry["at"], f"{entry['verb']}: {entry['step']}"
    for process, at, aim in stops(folder):
        yield (
            at,
            f"{process} stops {aim['when']} {aim['place'].rpartition('.')[2]} for {aim['seconds']:.1f} s",
        )


def stops(folder: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The processes that stopped themselves: which, when, and where."""
    for path in [*sorted(folder.glob("history-*.jsonl")), folder / "migrators.jsonl"]:
        for entry in entries(path):
            if "stopped" in entry:
                yield path.stem.removeprefix("history-"), entry["at"], entry["stopped"]


def marks(path: Path) -> dict[str, list[int]]:
    """When both sides of a tenant were equal at the latest: of each such step, the moment of the one before it."""
    found: dict[str, list[int]] = {}
    last: dict[str, int] = {}
    for entry in entries(path):
        if "step" in entry:
            if (entry["verb"], entry["step"]) in _EQUAL_AFTER:
                found.setdefault(entry["tenant"], []).append(last[entry["tenant"]])
            last[entry["tenant"]] = entry["at"]
    return found
