"""A comparison as a real move leaves it: a slow start, a spell of disagreement, time-outs, and a crossing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from shardroute.agreement import agreement
from shardroute.comparisons import PHASE, Comparison, Example, StatsWindow
from shardroute.gates import Gates, breaches
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.records import Match
from shardroute.statistics import Events, Tally

START = 1_772_000_000.0
WINDOW = 10.0
WINDOWS = 360
QUERIES = 25  # of a window
TOP_K = 10

_PHASES = {0: Phase.OLD, 60: Phase.DUAL_OLD, 240: Phase.DUAL_NEW}
_CROSSING = 240
_DISAGREEING = range(150, 190)
_SILENT = range(100, 106)
_TYPICAL = {Side.OLD: 0.021, Side.NEW: 0.013}  # seconds
_LOADED = 1.8  # what a second query beside the first costs the old cluster


@cache
def realistic() -> Comparison:
    """An hour, in which the tenant crosses after forty minutes."""
    chance = np.random.default_rng(1)
    windows = [
        StatsWindow(START + number * WINDOW, WINDOW, _tally(number, chance))
        for number in range(WINDOWS)
        if number not in _SILENT
    ]
    gates = Gates(samples=500, recall=0.95, recall_p5=0.8, latency_ratio=1.5, error_rate=0.001)
    report = Comparison(
        "acme", Phase.DUAL_NEW, windows, examples(), "pinecone-legacy", "qdrant-eu", gates, [], _end(windows)
    )
    return judged(report)


def judged(report: Comparison) -> Comparison:
    """With the breaches that its windows and gates make."""
    return replace(report, breaches=breaches(report.gates, report.tally))


def empty() -> Comparison:
    """Of a tenant of which nothing is known yet."""
    return Comparison("acme", Phase.OLD, [], [], "old", "new", Gates(), [], START)


def examples() -> list[Example]:
    """The worst first: a breach, matches that are missing, another order, and answers of different lengths."""
    ids = tuple(f"doc-{number}" for number in range(TOP_K))
    mixed = (*ids[:3], ids[4], ids[3], *ids[5:8], "doc-41", "doc-57")
    return [
        _example(
            "3f1c9a0be527", 2.0, ids, (*ids[:9], "doc-of-globex"), "a record of another tenant: doc-of-globex"
        ),
        _example("b80e14d2c6f3", 0.6, ids, (*ids[:4], *(f"doc-{number}" for number in range(60, 66)))),
        _example("94aa51f7c0de", 0.2, ids, mixed),
        _example("0d77e2b19c4a", 0.1, ids, ids[:9]),
        _example(
            "7c21b3e86f05",
            0.1,
            tuple(f"a-{number}" for number in range(30)),
            tuple(f"a-{number * 2}" for number in range(30)),
        ),
    ]


def _ids(step: int) -> tuple[str, ...]:
    return tuple(f"a-{number * step}" for number in range(30))


def _example(
    name: str, badness: float, primary: tuple[str, ...], other: tuple[str, ...], note: str = ""
) -> Example:
    at = START + WINDOW * _DISAGREEING.start
    return Example(name, badness, at, Phase.DUAL_OLD, len(primary), primary, other, 0.019, 0.0124, note)


def _tally(number: int, chance: np.random.Generator) -> Tally:
    phase = _PHASES[max(first for first in _PHASES if first <= number)]
    effect, tally = EFFECTS[phase], Tally()
    tally.counts[f"{PHASE}/{phase}"] = QUERIES
    if number == _CROSSING:
        tally.counts[f"{PHASE}/{Phase.HOLD_OLD}"] = 2
        tally.event(Events.HELD, 3)
    for side in (side for side in (effect.primary, effect.secondary) if side):
        typical = _TYPICAL[side] * (_LOADED if effect.dual and side is Side.OLD else 1)
        for seconds in chance.lognormal(np.log(typical), 0.45, QUERIES):
            tally.answered(side, float(seconds))
    if effect.dual:
        _compare(tally, chance, agreeing=0.88 if number in _DISAGREEING else 0.995)
        _fail(tally, number)
    return tally


def _compare(tally: Tally, chance: np.random.Generator, *, agreeing: float) -> None:
    for _ in range(QUERIES):
        tally.compared(agreement(_answer(np.ones(TOP_K)), _answer(chance.random(TOP_K) < agreeing), TOP_K))
    tally.floor(agreement(_answer(np.ones(TOP_K)), _answer(chance.random(TOP_K) < 0.998), TOP_K))


def _answer(found: Sequence[float] | np.ndarray) -> list[Match]:
    return [Match(f"doc-{number if there else number + TOP_K}", 1.0) for number, there in enumerate(found)]


def _fail(tally: Tally, number: int) -> None:
    if number % 45 < 3:
        tally.failed(Side.NEW, "StoreTimeout")
    if number in _DISAGREEING and number % 4 == 0:
        tally.failed(Side.NEW, "StoreUnavailable")
    if number % 97 == 0:
        tally.failed(Side.OLD, "StoreRateLimited")


def _end(windows: Sequence[StatsWindow]) -> float:
    return windows[-1].start + windows[-1].seconds
