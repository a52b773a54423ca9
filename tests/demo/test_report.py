from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from shardroute.demo.audit import judged
from shardroute.demo.evidence import Counts, Evidence
from shardroute.demo.ledger import Attempt, Key, Look, Verb
from shardroute.demo.progress import Progress
from shardroute.demo.report import Report, percentiles, summed_up
from shardroute.demo.screen import show_outcome
from shardroute.errors import ClusterUnavailable

KEY = Key("asyncio", "note-0-1")


def good() -> Report:
    progress = Progress(tenants=("asyncio",))
    progress.moves.hear("migrate", {"results": [_moved([0.03])]})
    progress.moves.hear("rollback", {"results": [_moved([0.01])]})
    evidence = Evidence(Counts(reads=3, writes=2, deletes=1), looks=[Look(KEY, 1, 2, None, None)])
    return summed_up(progress, judged(evidence, moved=["asyncio"]))


def _moved(holds: list[float]) -> dict[str, object]:
    return {"tenant": "asyncio", "copied": 5, "compared": 5, "repaired": 0, "hold_seconds": holds}


def test_all_moved_and_nothing_bad_is_a_success() -> None:
    report = good()
    assert report.ok
    assert (report.tenants_moved, report.rolled_back, report.records_copied) == (1, 1, 10)
    assert report.hold_ms == {"p50": 20.0, "p99": 29.8, "max": 30.0}


@pytest.mark.parametrize(
    "bad",
    [
        {"tenants_moved": 0},
        {"failed_requests": 1},
        {"lost_writes": 1},
        {"resurrected_deletes": 1},
        {"isolation_breaches": 1},
        {"rolled_back": 0},
        {"writes": 0},
        {"looks": 0},
        {"problems": ["migrate asyncio: TenantLocked: …"]},
    ],
)
def test_anything_bad_is_a_failure(bad: dict[str, object]) -> None:
    assert not replace(good(), **bad).ok  # type: ignore[arg-type]  # fields by name


SLOW: list[dict[str, object]] = [
    {"late_requests": 6, "reasons": {"ClusterUnavailable": 6}},
    {"late_moves": 2, "rolled_back": 0},
    {"tenants": 4, "out_of_time": True},
]


@pytest.mark.parametrize("slow", SLOW)
def test_what_took_too_long_is_told_and_is_no_failure(slow: dict[str, object]) -> None:
    report = replace(good(), **slow)  # type: ignore[arg-type]  # fields by name
    assert report.ok
    console = Console(file=StringIO(), width=60)
    show_outcome(console, report, Path("figures.json"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO
    assert "took too long" in shown
    assert all(kind in shown for kind in report.reasons)


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize(
    "bad",
    [{"lost_writes": 1}, {"failed_requests": 1}, {"tenants_moved": 0}, {"reads": 0}, {"late_requests": 7}],
)
def test_being_slow_excuses_nothing_else(slow: dict[str, object], bad: dict[str, object]) -> None:
    assert not replace(good(), **(slow | bad)).ok  # type: ignore[arg-type]  # fields by name


def test_errors_of_verbs_that_may_be_tried_again_are_no_problems() -> None:
    progress = Progress()
    failure = {"tenant": "asyncio", "error": "BarrierTimeout", "message": "no", "retryable": True}
    progress.moves.hear("migrate", {"errors": [failure, {**failure, "error": "Odd", "retryable": False}]})
    assert progress.moves.late == ["BarrierTimeout"]
    assert progress.moves.errors == ["migrate asyncio: Odd: no"]


def test_nothing_moved_is_no_success() -> None:
    assert not summed_up(Progress(), judged(Evidence())).ok


def test_findings_are_counted_by_record() -> None:
    evidence = Evidence()
    evidence.attempts = [
        Attempt(KEY, Verb.UPSERT, 1, 0, 1),
        Attempt(KEY, Verb.DELETE, 2, 2, 3),
        Attempt(Key("email", "x"), Verb.UPSERT, 1, 0, 1),
    ]
    evidence.looks = [
        Look(KEY, 9, 9, 1, 1),
        Look(KEY, 10, 10, 1, 1, True),
        Look(Key("email", "x"), 9, 9, None, None),
    ]
    verdict = judged(evidence)
    assert (verdict.resurrected, verdict.lost) == (1, 1)
    assert "asyncio/note-0-1 deleted, and back" in verdict.problems[0]
    assert "email/x missing" in verdict.problems[1]


def test_percentiles() -> None:
    assert percentiles([]) == {"p50": None, "p99": None, "max": None}
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p99": 2.98, "max": 3.0}


def test_the_file_has_the_figures(tmp_path: Path) -> None:
    good().save(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["read_ms"]["during"] == {"p50": None, "p99": None, "max": None}
    assert {
        "tenants_moved",
        "failed_requests",
        "lost_writes",
        "resurrected_deletes",
        "isolation_breaches",
    } < set(written)


def test_the_file_has_the_pair(tmp_path: Path) -> None:
    progress = Progress("pinecone-vectors", "qdrant")
    summed_up(progress, judged(Evidence())).save(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert list(written)[:2] == ["from", "to"]
    assert (written["from"], written["to"]) == ("pinecone-vectors", "qdrant")


def test_evidence_survives_being_handed_over(tmp_path: Path) -> None:
    evidence = Evidence()
    evidence.failed("query of asyncio", ValueError("odd"))
    evidence.failed("fetch of asyncio", ClusterUnavailable("old", "no answer within 30 s"))
    evidence.breach("email saw asyncio's")
    evidence.attempts.append(Attempt(KEY, Verb.UPSERT, 1, 0.5, None))
    evidence.looks.append(Look(KEY, 1.0, 2.0, None, None, lag=0.5))
    evidence.save(tmp_path / "evidence.json")
    assert Evidence.load(tmp_path / "evidence.json") == evidence
    assert evidence.examples.failed == ["query of asyncio: ValueError: odd"]
    assert (evidence.counts.failed, evidence.counts.late) == (1, 1)
    assert evidence.reasons == {"ClusterUnavailable": 1}


def test_its_table_names_every_figure_and_ends_no_line_in_blanks() -> None:
    console = Console(file=StringIO(), width=60)
    show_outcome(console, good(), Path("figures.json"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the StringIO
    assert [line for line in lines if line != line.rstrip()] == []
    assert "records copied    10" in lines
    assert "tenants mixed up  0" in lines
