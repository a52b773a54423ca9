"""The demo does what the machine can do: less where it is slow, in about the same time."""

from __future__ import annotations

import pytest

from shardroute.demo.corpus import Corpus, Document, smallest
from shardroute.demo.machine import timed
from shardroute.demo.pace import GOAL, LONGEST, Pace
from shardroute.demo.plan import Plan


def test_late_reads_slow_the_traffic_down_and_others_bring_it_back() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.note(10 * GOAL)
    assert pace.factor == LONGEST
    for _ in range(1000):
        pace.note(GOAL / 10)
    assert pace.factor == 1.0


@pytest.mark.parametrize("capacity", [1.0, 4.0, 20.0, 200.0])
def test_traffic_settles_where_most_reads_are_in_time(capacity: float) -> None:
    """A hundred clients that rest 1 s, and a server that answers so many a second; waiting grows with use of it."""
    pace, late = Pace(), 0
    for turn in range(20_000):
        use = min(0.999, 100 / pace.factor / capacity)
        seconds = 0.01 / (1 - use)
        pace.note(seconds)
        late += turn >= 10_000 and seconds > GOAL
    assert late < 0.4 * 10_000 or capacity < 100 / LONGEST


def test_a_quiet_machine_does_all_of_it_and_a_slow_one_less_in_the_same_time() -> None:
    plan = Plan()
    assert plan.fitted(1.0) == plan.fitted(2.0) == plan
    slow = plan.fitted(10.0)
    assert slow.tenants == 7
    assert slow.batch == 2
    assert slow.write_pause == 4 * plan.write_pause
    assert (slow.before, slow.after, slow.moving) == (plan.before, plan.after, plan.moving)


def test_no_machine_is_too_slow_for_a_few_tenants_nor_gets_more_than_were_asked_for() -> None:
    assert Plan().fitted(1000.0).tenants == 4
    assert Plan(tenants=3).fitted(1000.0).tenants == 3


def test_it_says_how_long_it_takes() -> None:
    assert 60 <= Plan().seconds <= 120
    assert Plan(tenants=3).seconds < Plan().seconds


def test_the_smallest_modules_are_kept_where_not_all_can_be() -> None:
    document = Document("a", "a", "a", "module", True, 1, "a")
    held: Corpus = {"c": (document,), "a": (document, document, document), "b": (document, document)}
    assert list(smallest(held, 2)) == ["b", "c"]
    assert smallest(held, 3) == held


def test_work_is_timed_and_a_fast_machine_is_not_faster_than_a_quiet_one() -> None:
    assert timed(lambda: "done") == ("done", 1.0)
