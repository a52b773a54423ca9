"""Windows of time, what came after a moment, and names of queries."""

from __future__ import annotations

import numpy as np
import pytest

from shardroute.comparisons import PHASE, Comparison, Mark, StatsWindow, digest, latest
from shardroute.filters import parse
from shardroute.gates import Gates
from shardroute.phases import Phase
from shardroute.records import Query, SparseVector
from shardroute.statistics import Events, Tally


def window(start: float, compared: int, *, seconds: float = 10.0, **more: int) -> StatsWindow:
    return StatsWindow(start, seconds, Tally({Events.COMPARED: compared, **more}))


def dense(*numbers: float, **more: object) -> Query:
    return Query(np.asarray(numbers, dtype=np.float32), **more)  # type: ignore[arg-type]  # any field of a query


def sparse(*indices: int) -> Query:
    return Query(None, sparse_vector=SparseVector(list(indices), [0.5] * len(indices)))


# -- windows of time


def test_a_window_tells_how_many_queries_each_phase_served() -> None:
    tally = Tally({f"{PHASE}/{Phase.DUAL_OLD}": 3, f"{PHASE}/{Phase.DUAL_NEW}": 2, f"{PHASE}/{Phase.NEW}": 0})
    assert StatsWindow(0, 10, tally).phases == {Phase.DUAL_OLD: 3, Phase.DUAL_NEW: 2}


def test_a_comparison_adds_its_windows_up() -> None:
    whole = Comparison("acme", Phase.DUAL_OLD, [window(0, 3), window(10, 4)], (), "a", "b", Gates(), (), 20.0)
    assert whole.tally.count(Events.COMPARED) == 7


def test_after_a_mark_only_what_was_counted_later_is_left() -> None:
    mark = Mark.made(15.0, [window(0, 3), window(10, 4, shed=1)])
    later = mark.since([window(0, 3), window(10, 6, shed=1), window(20, 5)])
    assert [(one.start, one.tally.count(Events.COMPARED)) for one in later] == [(10, 2), (20, 5)]
    assert later[0].tally.count(Events.SHED) == 0


def test_windows_of_other_lengths_are_told_apart_by_a_mark() -> None:
    mark = Mark.made(5.0, [window(0, 3)])
    (later,) = mark.since([window(0, 4, seconds=60)])
    assert later.tally.count(Events.COMPARED) == 4


LATEST: dict[str, tuple[float, int, int]] = {
    "the last seconds": (20, 0, 2 + 3),
    "the last seconds hold samples enough": (20, 5, 2 + 3),
    "as far back as samples need": (20, 6, 1 + 2 + 3),
    "everything, and too few samples": (20, 100, 1 + 2 + 3),
    "a part of a window is the whole of it": (11, 0, 2 + 3),
}


@pytest.mark.parametrize(("seconds", "samples", "compared"), LATEST.values(), ids=LATEST)
def test_the_latest_windows_are_judged_and_older_ones_where_samples_are_missing(
    seconds: float, samples: int, compared: int
) -> None:
    windows = [window(0, 1), window(10, 2), window(20, 3)]
    found = latest(windows, 30.0, seconds=seconds, samples=samples)
    assert found.count(Events.COMPARED) == compared


# -- names of queries


def test_a_query_has_one_name_of_twelve_hexadecimal_digits() -> None:
    names = {digest(dense(1, 2, top_k=5, filter=parse({"year": {"$gte": 2020}}))) for _ in range(3)}
    (name,) = names
    assert len(name) == 12
    assert int(name, 16) >= 0


def test_queries_that_differ_in_anything_have_names_of_their_own() -> None:
    queries = [
        dense(1, 2),
        dense(2, 1),
        dense(1, 2, top_k=11),
        dense(1, 2, filter=parse({"a": 1})),
        dense(1, 2, filter=parse({"a": 2})),
        dense(1, 2, text="words"),
        sparse(1, 2),
        sparse(1, 3),
        Query(None, text="words"),
    ]
    assert len({digest(query) for query in queries}) == len(queries)
