"""How far two answers to one query agree. Pure.

The primary's answer is the yardstick, not the truth: approximate search disagrees with itself, which is why a
sample of queries is put to the primary twice (`statistics.FLOOR`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .records import Match, Metric, same_metadata

PERSISTENCE = 0.9
"""Weight of rank-biased overlap: with 0.9 the first ten ranks carry 86 % of it (Webber, Moffat, Zobel 2010)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two answers, over the first `k` matches of each.

    `recall`: share of the primary's matches that the other answer has. `overlap`: rank-biased overlap, extrapolated.
    `jaccard`: common matches of all. `first_difference`: first rank, from 1, at which the ids differ; None if none
    does. `score_difference`: largest among common matches; None where scores of the two do not compare.
    `metadata_differing`: common matches whose metadata are not the same. All shares are from 0 to 1.
    """

    k: int
    recall: float
    overlap: float
    jaccard: float
    first_difference: int | None
    score_difference: float | None
    metadata_differing: int

    @property
    def same(self) -> bool:
        """Whether nothing but scores differs."""
        return self.first_difference is None and not self.metadata_differing


def agreement(
    primary: Sequence[Match], other: Sequence[Match], k: int, *, scores_compare: bool = True
) -> Agreement:
    """Compares two answers. Both empty is full agreement, one empty is none at all.

    `k`: how many matches were asked for, 1 or more.
    """
    ours, theirs = _first(primary, k), _first(other, k)
    common = ours.keys() & theirs.keys()
    either = len(ours.keys() | theirs.keys())
    return Agreement(
        k=k,
        recall=len(common) / len(ours) if ours else float(not theirs),
        overlap=rank_biased_overlap(list(ours), list(theirs)),
        jaccard=len(common) / either if either else 1.0,
        first_difference=_first_difference(list(ours), list(theirs)),
        score_difference=_score_difference(ours, theirs) if scores_compare and common else None,
        metadata_differing=sum(
            not same_metadata(ours[name].metadata, theirs[name].metadata) for name in common
        ),
    )


def scores_compare(one: Metric, two: Metric, one_system: str, two_system: str, *, hybrid: bool) -> bool:
    """Whether scores of two clusters can be told apart by subtraction.

    Across vendors only ranks compare, and a search with two vectors is scored by rank on some of them.
    """
    return one is two and one_system == two_system and not hybrid


def rank_biased_overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Extrapolated rank-biased overlap of two rankings without repetitions (Webber, Moffat, Zobel 2010, eq. 32)."""
    if not ours or not theirs:
        return float(not ours and not theirs)
    short, long = sorted((ours, theirs), key=len)
    depths = np.arange(1, len(long) + 1)
    overlap = _overlaps(ours, theirs, len(long))
    at_short = overlap[len(short) - 1]
    weights = PERSISTENCE**depths
    whole = float((overlap / depths * weights).sum())
    beyond = depths[len(short) :]
    uneven = float((at_short * (beyond - len(short)) / (len(short) * beyond) * weights[len(short) :]).sum())
    rest = ((overlap[-1] - at_short) / len(long) + at_short / len(short)) * PERSISTENCE ** len(long)
    return min(1.0, (1 - PERSISTENCE) / PERSISTENCE * (whole + uneven) + float(rest))


def _overlaps(
    ours: Sequence[str], theirs: Sequence[str], depth: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How many ids both rankings have among their first 1, 2, … `depth`."""
    ranks = {name: rank for rank, name in enumerate(theirs)}
    met = [max(rank, ranks[name]) for rank, name in enumerate(ours) if name in ranks]
    return np.cumsum(np.bincount(met, minlength=depth)).astype(np.float64)


def _first(answer: Sequence[Match], k: int) -> dict[str, Match]:
    return {match.id: match for match in answer[:k]}


def _first_difference(ours: Sequence[str], theirs: Sequence[str]) -> int | None:
    for rank, (one, two) in enumerate(zip(ours, theirs, strict=False), start=1):
        if one != two:
            return rank
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs)) + 1


def _score_difference(ours: dict[str, Match], theirs: dict[str, Match]) -> float:
    return max(abs(ours[name].score - theirs[name].score) for name in ours.keys() & theirs.keys())
