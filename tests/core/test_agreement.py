"""How far two answers agree, against the definition that the formula was derived from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.agreement import PERSISTENCE, agreement, rank_biased_overlap, scores_compare
from shardroute.records import Match, Metric

rankings = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12)
some_rankings = st.lists(st.sampled_from("abcdefghijkl"), unique=True, min_size=1, max_size=12)


def answer(ids: str, *, score: float = 1.0, **metadata: object) -> list[Match]:
    return [Match(name, score, metadata) for name in ids]


# -- rank-biased overlap


def _by_definition(one: Sequence[str], two: Sequence[str]) -> float:
    """The sum of (1-p)·p^(d-1)·A(d) over all depths, of lists that go on for ever (Webber et al. 2010, section 4.3).

    Below its end the shorter list is taken to meet the longer as often as it did so far, and below both ends the
    agreement is taken to stay what it was.
    """
    short, long = sorted((one, two), key=len)
    met_by_short = len(set(short) & set(long[: len(short)]))

    def agreed(depth: int) -> float:
        depth = min(depth, len(long))
        met: float = len(set(short[:depth]) & set(long[:depth]))
        if depth > len(short):
            met += (depth - len(short)) * met_by_short / len(short)
        return met / depth

    depths = islice(count(1), 400)  # 0.9 ** 400 is 5e-19
    return math.fsum((1 - PERSISTENCE) * PERSISTENCE ** (depth - 1) * agreed(depth) for depth in depths)


@given(some_rankings, some_rankings)
def test_overlap_is_what_the_endless_sum_defines(one: list[str], two: list[str]) -> None:
    assert rank_biased_overlap(one, two) == pytest.approx(min(1.0, _by_definition(one, two)), abs=1e-9)


@given(rankings, rankings)
def test_overlap_is_a_share_and_the_same_from_both_sides(one: list[str], two: list[str]) -> None:
    assert 0.0 <= rank_biased_overlap(one, two) <= 1.0
    assert rank_biased_overlap(one, two) == rank_biased_overlap(two, one)


@given(rankings)
def test_a_ranking_overlaps_itself_wholly(one: list[str]) -> None:
    assert rank_biased_overlap(one, one) == pytest.approx(1.0)


@given(some_rankings, rankings)
def test_rankings_with_nothing_in_common_do_not_overlap(one: list[str], two: list[str]) -> None:
    assert rank_biased_overlap(one, [name.upper() for name in two]) == 0.0


def test_two_empty_rankings_agree_and_one_agrees_with_nothing() -> None:
    assert rank_biased_overlap([], []) == 1.0
    assert rank_biased_overlap([], ["a"]) == rank_biased_overlap(["a"], []) == 0.0


def test_a_swap_at_the_top_weighs_more_than_one_at_the_bottom() -> None:
    assert rank_biased_overlap("abcdef", "bacdef") < rank_biased_overlap("abcdef", "abcdfe") < 1.0


# -- an answer and another


SHARES: dict[str, tuple[str, str, float, float, int | None]] = {
    "the same": ("abc", "abc", 1.0, 1.0, None),
    "another order": ("abc", "acb", 1.0, 1.0, 2),
    "one missing": ("abcd", "abc", 0.75, 0.75, 4),
    "one more": ("abc", "abcd", 1.0, 0.75, 4),
    "one exchanged": ("abcd", "abxd", 0.75, 0.6, 3),
    "nothing in common": ("ab", "cd", 0.0, 0.0, 1),
    "both empty": ("", "", 1.0, 1.0, None),
    "the other empty": ("ab", "", 0.0, 0.0, 1),
    "the primary empty": ("", "ab", 0.0, 0.0, 1),
}


@pytest.mark.parametrize(("ours", "theirs", "recall", "jaccard", "first"), SHARES.values(), ids=SHARES)
def test_an_answer_is_told_from_another(
    ours: str, theirs: str, recall: float, jaccard: float, first: int | None
) -> None:
    found = agreement(answer(ours), answer(theirs), 10)
    assert (found.recall, found.jaccard, found.first_difference) == (recall, jaccard, first)
    assert found.overlap == rank_biased_overlap(ours, theirs)
    assert found.same is (ours == theirs)


def test_only_the_first_k_matches_are_compared() -> None:
    assert agreement(answer("abcx"), answer("abcy"), 3).same
    assert not agreement(answer("abcx"), answer("abcy"), 4).same


def test_the_largest_difference_of_scores_of_common_matches_is_told() -> None:
    ours = [Match("a", 0.9), Match("b", 0.5), Match("c", 0.1)]
    theirs = [Match("a", 0.8), Match("b", 0.75), Match("d", 9.0)]
    found = agreement(ours, theirs, 3)
    assert found.score_difference == 0.25


def test_scores_that_do_not_compare_and_those_of_nothing_have_no_difference() -> None:
    assert agreement(answer("a"), answer("a", score=2), 1, scores_compare=False).score_difference is None
    assert agreement(answer("a"), answer("b"), 1).score_difference is None


def test_common_matches_whose_metadata_differ_are_counted() -> None:
    ours = [*answer("ab", year=2020), *answer("c", year=2021)]
    theirs = [*answer("ab", year=2020.0), *answer("c", year="2021")]
    found = agreement(ours, theirs, 3)
    assert found.metadata_differing == 1
    assert found.first_difference is None
    assert not found.same


COMPARING: dict[str, tuple[Metric, Metric, str, str, bool, bool]] = {
    "one vendor and metric": (Metric.DOT, Metric.DOT, "qdrant", "qdrant", False, True),
    "two metrics": (Metric.DOT, Metric.COSINE, "qdrant", "qdrant", False, False),
    "two vendors": (Metric.DOT, Metric.DOT, "qdrant", "pinecone", False, False),
    "two vectors": (Metric.DOT, Metric.DOT, "qdrant", "qdrant", True, False),
}


@pytest.mark.parametrize(
    ("one", "two", "here", "there", "hybrid", "expected"), COMPARING.values(), ids=COMPARING
)
def test_scores_compare_within_one_system_and_metric(
    one: Metric, two: Metric, here: str, there: str, hybrid: bool, expected: bool
) -> None:
    assert scores_compare(one, two, here, there, hybrid=hybrid) is expected
