"""Progress as plain lines and as bars."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from shardroute.cli.bars import Display
from shardroute.cli.exits import Exit, exit_of, worst
from shardroute.cli.output import shares
from shardroute.cli.progress import Bars, Lines, Watch
from shardroute.cli.words import activity, clock, compact
from shardroute.errors import ClusterUnavailable, InvalidTenant, TenantLocked, VerificationFailed
from shardroute.migration import Stage


def test_lines_tell_stages_and_then_the_pace_every_few_seconds() -> None:
    said: list[str] = []
    now = 100.0
    lines = Lines(said.append, said.append, lambda: now)
    lines.stage("acme", Stage.COPY, 10_000, 1000)
    for _ in range(6):
        now += 1.0
        lines.advance("acme", Stage.COPY, 500)
    lines.step("acme", "moved to HOLD_OLD")
    lines.stage("acme", Stage.DEBT, 0)
    lines.done("acme")
    assert said == [
        "acme: copy 1,000 of 10,000",
        "acme: copy 3,500 of 10,000, 500/s, 0:13 left",
        "acme: moved to HOLD_OLD",
    ]


def migrate_some(watch: Watch) -> None:
    """What a migrator tells of two tenants, the second of them with a long name."""
    for tenant in ("acme", "customer-0001.production.europe-west-4.example.com"):
        watch.begins(tenant)
        watch.step(tenant, "locked")
        watch.stage(tenant, Stage.COPY, 1_234_567, 1000)
        watch.advance(tenant, Stage.COPY, 1_000_000)
        watch.advance(tenant, Stage.VERIFY, 5)


def test_bars_fit_80_columns() -> None:
    written = io.StringIO()  # no terminal: the bars are drawn once, when they end
    bars = Bars(Display(Console(file=written, width=80), transient=False), lambda _: None)
    with bars.watching(["acme", "other", "third"]):
        migrate_some(bars)
        bars.begins("other")
        bars.step("other", "moved to HOLD_OLD")
        bars.begins("third")
        bars.done("third")
    lines = written.getvalue().rstrip().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["all", "tenants"], ["acme", "copy"], ["customer-0001.produ…", "copy"], ["other", "cut-over"],
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in lines)
    assert "1/3" in lines[0]
    assert "1.00M/1.23M" in lines[1]


def test_nobody_is_told_anything_by_a_quiet_watch(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    with watch.watching(["acme"]):
        migrate_some(watch)
        watch.done("acme")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (99_999, "99,999"), (100_000, "100k"), (999_999, "1.00M"), (12_345_678, "12.3M"), (5e9, "5.00G")],
)  # fmt: skip
def test_counts_take_six_characters_at_most(count: float, words: str) -> None:
    assert compact(count) == words


def test_times_and_steps_are_short_words() -> None:
    assert [clock(None), clock(42), clock(3723)] == ["-:--", "0:42", "1:02:03"]
    assert activity("moved to HOLD_OLD") == "cut-over"
    assert activity("moved to DUAL_NEW") == "barrier"
    assert activity("page written") is None


def test_every_phase_has_its_share_of_the_bar() -> None:
    assert shares([1, 998, 1], 40) == [1, 39, 1]
    assert sum(shares([10, 20, 10], 40)) == 40


def test_of_several_tenants_the_worst_counts() -> None:
    errors = [TenantLocked("a", "b", 1), ClusterUnavailable("new", "away"), VerificationFailed("a", 1, [])]
    assert [exit_of(error) for error in errors] == [Exit.LOCKED, Exit.FAILED, Exit.DIFFERENT]
    assert exit_of(InvalidTenant("")) is Exit.USAGE
    assert worst([Exit.LOCKED, Exit.DONE]) is Exit.LOCKED
    assert worst([Exit.DIFFERENT, Exit.FAILED, Exit.LOCKED]) is Exit.DIFFERENT
    assert worst([]) is Exit.DONE
