"""Counts add up whoever counted them, and a histogram knows its values to a bucket."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.agreement import Agreement, agreement
from shardroute.control.stats import MOST_NAMES
from shardroute.phases import Side
from shardroute.records import Match
from shardroute.statistics import LATENCY_EDGES, SHARE_EDGES, Events, Histogram, Shares, Tally, added

seconds = st.floats(0, 200)
Observation = Callable[[Tally], None]


def _answered(side: Side, took: float) -> Observation:
    return lambda tally: tally.answered(side, took)


def _failed(side: Side, kind: str) -> Observation:
    return lambda tally: tally.failed(side, kind)


def _compared(ours: list[str], theirs: list[str]) -> Observation:
    return lambda tally: tally.compared(found(ours, theirs))


def _happened(event: Events, times: int) -> Observation:
    return lambda tally: tally.event(event, times)


def found(ours: Sequence[str], theirs: Sequence[str], **metadata: object) -> Agreement:
    return agreement([Match(name, 1.0) for name in ours], [Match(name, 1.0, metadata) for name in theirs], 10)


sides = st.sampled_from(Side)
answers = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)
observations = st.one_of(
    st.builds(_answered, sides, seconds),
    st.builds(_failed, sides, st.sampled_from(["Timeout", "RateLimited"])),
    st.builds(_compared, answers, answers),
    st.builds(_happened, st.sampled_from(Events), st.integers(1, 5)),
)


def tallied(seen: list[Observation]) -> Tally:
    tally = Tally()
    for observe in seen:
        observe(tally)
    return tally


# -- adding


@given(st.lists(st.tuples(st.integers(0, 3), observations), max_size=40))
def test_tallies_of_several_processes_add_up_to_the_one_of_a_single_process(
    seen: list[tuple[int, Observation]],
) -> None:
    apart = [tallied([one for process, one in seen if process == number]) for number in range(4)]
    assert added(apart).counts == tallied([one for _, one in seen]).counts


@given(st.lists(observations, max_size=20), st.lists(observations, max_size=20))
def test_adding_leaves_what_is_added_as_it_was(one: list[Observation], two: list[Observation]) -> None:
    first, second = tallied(one), tallied(two)
    added([first, second])
    assert (first.counts, second.counts) == (tallied(one).counts, tallied(two).counts)


def test_nothing_adds_up_to_an_empty_tally() -> None:
    assert not added([])
    assert tallied([_happened(Events.SHED, 1)])


# -- comparisons and errors


def test_a_comparison_counts_its_shares_its_order_and_its_metadata() -> None:
    tally = Tally()
    tally.compared(found("ab", "ab"))
    tally.compared(found("ab", "ba"))
    tally.compared(found("ab", "ac"))
    tally.compared(found("ab", "ab", changed=True))
    counts = {event: tally.count(event) for event in Events if tally.count(event)}
    assert counts == {Events.COMPARED: 4, Events.REORDERED: 1, Events.METADATA: 1}
    assert tally.share(Shares.RECALL).mean == 0.875
    assert tally.share(Shares.RECALL).counts == {100: 3, 50: 1}
    assert tally.share(Shares.JACCARD).count == tally.share(Shares.OVERLAP).count == 4


def test_the_floor_is_no_comparison() -> None:
    tally = Tally()
    tally.floor(found("ab", "a"))
    assert tally.share(Shares.FLOOR).mean == 0.5
    assert tally.count(Events.COMPARED) == tally.share(Shares.RECALL).count == 0


def test_errors_are_told_by_side_and_type_and_as_a_share_of_what_was_asked() -> None:
    tally = tallied([_answered(Side.NEW, 0.1)] * 6 + [_failed(Side.NEW, "Timeout")] * 2)
    assert tally.errors(Side.NEW) == {"Timeout": 2}
    assert tally.errors(Side.OLD) == {}
    assert tally.error_rate(Side.NEW) == 0.25
    assert tally.error_rate(Side.OLD) is None


# -- histograms


@given(st.lists(seconds, min_size=1, max_size=60), st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
def test_a_quantile_of_latencies_is_the_lower_edge_of_the_bucket_of_numpys(
    values: list[float], share: float
) -> None:
    tally = tallied([_answered(Side.OLD, value) for value in values])
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    bucket = bisect_right(LATENCY_EDGES, exact)
    assert tally.latency(Side.OLD).quantile(share) == (LATENCY_EDGES[bucket - 1] if bucket else 0.0)


@given(st.floats(LATENCY_EDGES[0], LATENCY_EDGES[-1]))
def test_a_quantile_of_latencies_is_too_low_by_a_twelfth_at_most(value: float) -> None:
    quantile = tallied([_answered(Side.OLD, value)]).latency(Side.OLD).quantile(0.5)
    assert quantile is not None
    assert value * 11 / 12 <= quantile <= value


@given(st.lists(seconds, min_size=1, max_size=60))
def test_a_mean_is_numpys_to_a_microsecond(values: list[float]) -> None:
    mean = tallied([_answered(Side.OLD, value) for value in values]).latency(Side.OLD).mean
    assert mean == pytest.approx(np.mean(values), abs=1e-6)


@pytest.mark.parametrize("hundredths", range(101))
def test_shares_of_whole_hundredths_are_told_exactly(hundredths: int) -> None:
    value = float(Fraction(hundredths, 100))
    bucket = bisect_right(SHARE_EDGES, value)
    assert Histogram(SHARE_EDGES, {bucket: 3}).quantile(0.05) == value


def test_an_empty_histogram_has_neither_mean_nor_quantile() -> None:
    empty = Tally().latency(Side.OLD)
    assert (empty.count, empty.mean, empty.quantile(0.5)) == (0, None, None)


def test_a_tally_with_every_bucket_filled_is_far_from_the_limit_of_names() -> None:
    every = tallied(
        [_answered(side, edge) for side in Side for edge in (0.0, *LATENCY_EDGES)]
        + [_happened(event, 1) for event in Events]
    )
    buckets = len(Shares) * (len(SHARE_EDGES) + 2)
    assert len(every.counts) + buckets < MOST_NAMES / 2
