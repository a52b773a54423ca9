"""What breaks a gate, what just holds, and what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from shardroute.agreement import agreement
from shardroute.config import Config
from shardroute.errors import ConfigError
from shardroute.gates import Breach, Gates, breaches
from shardroute.phases import Side
from shardroute.records import Match
from shardroute.statistics import Events, Tally

IDS = [f"record-{number}" for number in range(20)]


def compared(*common: int) -> Tally:
    """Comparisons of twenty matches each, of which so many are common."""
    tally = Tally()
    for number in common:
        ours, theirs = [Match(name, 1.0) for name in IDS], [Match(name, 1.0) for name in IDS[:number]]
        tally.compared(agreement(ours, theirs, 20))
    return tally


def answered(*, old: float | None = None, new: float | None = None) -> Tally:
    """Twenty answers of a side, in so many seconds each."""
    tally = Tally()
    for side, seconds in ((Side.OLD, old), (Side.NEW, new)):
        for _ in range(20 if seconds is not None else 0):
            tally.answered(side, seconds or 0.0)
    return tally


def failed(*, old: int | None = None, new: int | None = None) -> Tally:
    """Ten queries of a side, of which so many failed."""
    tally = Tally()
    for side, failures in ((Side.OLD, old), (Side.NEW, new)):
        for number in range(10 if failures is not None else 0):
            if number < (failures or 0):
                tally.failed(side, "Timeout")
            else:
                tally.answered(side, 0.01)
    return tally


HOLDS: dict[str, tuple[Gates, Tally]] = {
    "samples": (Gates(samples=3), compared(20, 20, 20)),
    "mean recall": (Gates(recall=0.95), compared(20, 18)),
    "a mean that floats make too small": (Gates(recall=0.05), compared(*[1] * 3)),
    "5th percentile of recall": (Gates(recall_p5=0.95), compared(*[19] * 20)),
    "latency": (Gates(latency_ratio=2.0), answered(old=0.01, new=0.02)),
    "a faster new cluster": (Gates(latency_ratio=0.9), answered(old=0.02, new=0.01)),
    "errors": (Gates(error_rate=0.1), failed(old=7, new=8)),
    "fewer errors than before": (Gates(error_rate=0.1), failed(old=9, new=1)),
    "errors of a side that was alone": (Gates(error_rate=0.2), failed(new=2)),
}

BREAKS: dict[str, tuple[Gates, Tally, Breach]] = {
    "samples": (Gates(samples=3), compared(20, 20), Breach("samples", 2, 3)),
    "no sample at all": (Gates(samples=1), Tally(), Breach("samples", 0, 1)),
    "mean recall": (Gates(recall=0.95), compared(20, 17), Breach("recall", 0.925, 0.95)),
    "5th percentile of recall": (
        Gates(recall_p5=0.95),
        compared(*[20] * 37, 18, 18, 18),
        Breach("recall_p5", 0.9, 0.95),
    ),
    "errors": (Gates(error_rate=0.25), failed(old=2, new=5), Breach("error_rate", 0.3, 0.25)),
    "errors of a side that was alone": (Gates(error_rate=0.2), failed(new=3), Breach("error_rate", 0.3, 0.2)),
}

UNTOLD: dict[str, tuple[Gates, Tally]] = {
    "mean recall of nothing": (Gates(recall=1.0), answered(old=0.1, new=0.1)),
    "5th percentile of nothing": (Gates(recall_p5=1.0), Tally()),
    "latency, and old was not asked": (Gates(latency_ratio=1.0), answered(new=5.0)),
    "latency, and new was not asked": (Gates(latency_ratio=1.0), answered(old=0.1)),
    "latency, and old is too fast to be told": (Gates(latency_ratio=1.0), answered(old=1e-6, new=1e-3)),
    "errors, and new was not asked": (Gates(error_rate=0.01), failed(old=5)),
}

LIMITS: dict[str, float] = {"recall": 0.9, "recall_p5": 0.9, "latency_ratio": 1.5, "error_rate": 0.1}


@pytest.mark.parametrize(("gates", "seen"), HOLDS.values(), ids=HOLDS)
def test_a_value_at_its_limit_or_better_holds(gates: Gates, seen: Tally) -> None:
    assert breaches(gates, seen) == []


@pytest.mark.parametrize(("gates", "seen", "breach"), BREAKS.values(), ids=BREAKS)
def test_a_value_beyond_its_limit_breaks(gates: Gates, seen: Tally, breach: Breach) -> None:
    (found,) = breaches(gates, seen)
    assert (found.gate, found.limit) == (breach.gate, breach.limit)
    assert found.found == pytest.approx(breach.found)


def test_a_new_cluster_that_is_slower_than_the_limit_breaks() -> None:
    (found,) = breaches(Gates(latency_ratio=2.0), answered(old=0.01, new=0.03))
    assert found.found == pytest.approx(3.0, rel=0.1)


def test_the_slowest_twentieth_of_queries_is_not_judged() -> None:
    seen = answered(old=0.01, new=0.01)
    seen.answered(Side.NEW, 60.0)
    assert breaches(Gates(latency_ratio=1.5), seen) == []


@pytest.mark.parametrize(("gates", "seen"), UNTOLD.values(), ids=UNTOLD)
def test_what_cannot_be_told_breaks_nothing(gates: Gates, seen: Tally) -> None:
    assert breaches(gates, seen) == []


@pytest.mark.parametrize("gates", [Gates(), Gates(samples=1, **LIMITS)], ids=["no gates", "every gate"])
def test_a_record_of_another_tenant_is_always_told(gates: Gates) -> None:
    seen = compared(20)
    seen.event(Events.BREACH)
    assert breaches(gates, seen) == [Breach("breaches", 1, 0)]


def test_without_gates_nothing_is_judged() -> None:
    worst = compared(0)
    worst.add(failed(old=0, new=10))
    assert not Gates().closed
    assert breaches(Gates(), worst) == []


@pytest.mark.parametrize("gate", ["samples", "recall", "recall_p5", "latency_ratio", "error_rate"])
def test_any_gate_alone_is_something_to_judge(gate: str) -> None:
    assert Gates(**{gate: 1}).closed


def test_all_gates_that_do_not_hold_are_told_in_one_order() -> None:
    seen = compared(10)
    seen.add(answered(old=0.01, new=1.0))
    seen.add(failed(old=0, new=10))
    seen.event(Events.BREACH)
    found = [breach.gate for breach in breaches(Gates(samples=5, **LIMITS), seen)]
    assert found == ["breaches", "samples", "recall", "recall_p5", "latency_ratio", "error_rate"]


def test_a_breach_says_what_was_found_and_what_the_limit_is() -> None:
    assert str(Breach("recall", 0.91, 0.95)) == "recall is 0.91, the gate says at least 0.95"
    assert str(Breach("latency_ratio", 3.0, 1.5)) == "latency_ratio is 3, the gate says at most 1.5"
    assert str(Breach("breaches", 2, 0)) == "breaches is 2, the gate says at most 0"


# -- in the configuration

TOML = """
[clusters.a]
kind = "memory"
[clusters.b]
kind = "memory"
[topologies.v1]
dimension = 4
placement = { cluster = "a" }
[topologies.v2]
dimension = 4
placement = { cluster = "b" }
[migration]
from = "v1"
to = "v2"
"""

REFUSED: dict[str, tuple[str, str]] = {
    "an unknown gate": ("[gates]\nrecal = 0.9", "gates.recal is not a known key; did you mean 'recall'"),
    "an unknown gate of the watch": ("[watch]\nspeed = 2.0", "watch.speed is not a known key; known are "),
    "a share above 1": ("[gates]\nrecall = 95", "the gate recall is 95; it is a share from 0 to 1"),
    "a 5th percentile above 1": ("[watch]\nrecall_p5 = 1.01", "the gate recall_p5 is 1.01"),
    "a rate above 1": ("[gates]\nerror_rate = 2", "the gate error_rate is 2"),
    "a share below 0": ("[gates]\nrecall = -0.1", "gates.recall is -0.1; it must not be negative"),
    "no number": ("[watch]\nrecall = nan", "watch.recall is nan; it must not be negative, nor infinite"),
    "a word": ('[gates]\nrecall = "high"', "gates.recall is 'high'; expected float"),
    "half a sample": ("[gates]\nsamples = 0.5", "gates.samples is 0.5; expected int"),
    "no table": ("gates = 1", "gates must be a table"),
}


@pytest.mark.parametrize(("section", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_gates_are_refused_with_file_and_key(tmp_path: Path, section: str, message: str) -> None:
    path = tmp_path / "shardroute.toml"
    path.write_text(f"{section}\n{TOML}")
    with pytest.raises(ConfigError) as caught:
        Config.load(path, {})
    assert str(caught.value).startswith(f"{path}: {message}")


def test_good_gates_are_read(tmp_path: Path) -> None:
    path = tmp_path / "shardroute.toml"
    path.write_text(f"{TOML}\n[gates]\nsamples = 100\nrecall = 1\n[watch]\nerror_rate = 0.05")
    config = Config.load(path, {})
    assert config.gates == Gates(samples=100, recall=1.0)
    assert config.watch == Gates(error_rate=0.05)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_gates_of_the_application_are_checked_as_well(share: float) -> None:
    with pytest.raises(ConfigError, match="recall_p5"):
        Gates(recall_p5=share)
