"""The protocol's decisions, one by one. That together they suffice is shown in tests/model."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute import rules
from shardroute.phases import CROSSING, EFFECTS, NEIGHBOURS, Phase
from shardroute.rules import EVERY_TENANT, Acknowledgement, Journal, Lease, Refusal, Session, Verdict

seconds = st.floats(min_value=0, max_value=1e6)
durations = st.floats(min_value=0.1, max_value=1e3)


def test_a_lease_holds_until_its_end_and_not_at_it() -> None:
    assert Lease(until=10).holds(9.9)
    assert not Lease(until=10).holds(10)


def test_a_new_lease_does_not_hold() -> None:
    assert not Lease().holds(0)
    assert not Lease().holds(-1e300)


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    assert Lease(until=10).renewed(5, 6, 30, lapsed=False) == Lease(until=35, generation=0)


@pytest.mark.parametrize(
    ("now", "lapsed", "generation"),
    [(6, False, 0), (6, True, 1), (10, False, 1), (10, True, 1)],
    ids=["in time", "Redis had let it lapse", "it ran out here", "both"],
)
def test_a_broken_lease_begins_a_new_generation(now: float, lapsed: bool, generation: int) -> None:
    assert Lease(until=10).renewed(5, now, 30, lapsed=lapsed).generation == generation


@given(until=seconds, now=seconds, duration=durations)
def test_shortening_never_lengthens_a_lease_nor_starts_a_generation(
    until: float, now: float, duration: float
) -> None:
    shortened = Lease(until, 3).shortened(now, duration)
    assert shortened.until <= until
    assert shortened.until <= now + duration
    assert shortened.generation == 3


@given(sent=seconds, duration=durations, delay=st.floats(min_value=0, max_value=60))
def test_a_router_gives_up_before_redis_even_if_its_clock_is_a_tenth_slow(
    sent: float, duration: float, delay: float
) -> None:
    lease = Lease().renewed(sent, sent, duration - rules.margin(duration), lapsed=False)
    redis_end = sent + delay + duration  # Redis heard of the renewal later than it was sent
    slow_clock = sent + (redis_end - sent) * 0.9
    assert not lease.holds(max(slow_clock, lease.until))
    assert lease.until <= slow_clock + 1e-6


@pytest.mark.parametrize(
    ("lease", "unbroken"),
    [
        (Lease(until=10, generation=2), True),
        (Lease(until=5, generation=2), False),
        (Lease(until=10, generation=3), False),
        (Lease(until=10, generation=1), False),
    ],
    ids=["held", "run out", "renewed after a break", "not the same lease"],
)
def test_a_lease_is_unbroken_if_it_is_the_same_and_still_held(lease: Lease, unbroken: bool) -> None:
    assert rules.lease_unbroken(lease, 2, now=5) is unbroken


VERDICTS: dict[str, tuple[dict[str, bool], Verdict]] = {
    "the primary took it, the lease held": (
        {"primary_ok": True, "unbroken": True, "crossed": False},
        Verdict.ANSWER,
    ),
    "the lease broke, and reads still go there": (
        {"primary_ok": True, "unbroken": False, "crossed": False},
        Verdict.ANSWER,
    ),
    "the lease broke, and reads go to the other side by now": (
        {"primary_ok": True, "unbroken": False, "crossed": True},
        Verdict.UNKNOWN,
    ),
    "the primary failed": ({"primary_ok": False, "unbroken": True, "crossed": False}, Verdict.FAIL),
    "all of it": ({"primary_ok": False, "unbroken": False, "crossed": True}, Verdict.FAIL),
}


@pytest.mark.parametrize(("known", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_write_that_was_sent_is_answered_or_not_and_never_written_again(
    known: dict[str, bool], verdict: Verdict
) -> None:
    assert rules.verdict(sent=True, **known) is verdict
    assert rules.verdict(sent=False, **known) is Verdict.BEGIN_ANEW


@given(until=seconds, linger=st.floats(min_value=0, max_value=100))
def test_what_is_cut_off_in_time_has_landed_when_its_lease_ends(until: float, linger: float) -> None:
    assert rules.cut_off_at(Lease(until), linger) + linger <= until + 1e-6  # of rounding


def test_a_session_with_open_requests_is_waited_for_until_they_can_no_longer_land() -> None:
    assert rules.stays_after_leaving(3, 1.5) == 1.5
    assert rules.stays_after_leaving(0, 1.5) == 0


@given(steps=st.lists(st.integers(-(10**9), 10**9), max_size=20), most=st.integers(1, 10**4))
def test_no_step_of_a_clock_counts_for_more_than_its_most_nor_backwards(steps: list[int], most: int) -> None:
    counted = 0
    for passed in steps:
        after = rules.lease_time(counted, passed, most)
        assert counted <= after <= counted + min(max(passed, 0), most)
        counted = after


def test_a_version_follows_the_one_that_it_names_and_any_from_before_there_were_stamps() -> None:
    assert rules.follows("one", "one")
    assert not rules.follows("one", "another")
    assert rules.follows("", "one")
    assert rules.follows("one", "")


@pytest.mark.parametrize(("primary", "secondary", "unbroken"), [*product([True, False], repeat=3)])
def test_a_dual_write_leaves_debt_unless_all_went_well(
    primary: bool, secondary: bool, unbroken: bool
) -> None:
    debt = rules.leaves_debt(primary_ok=primary, secondary_ok=secondary, unbroken=unbroken)
    assert debt is not (primary and secondary and unbroken)


@pytest.mark.parametrize(
    ("in_flight", "overlap"), [({}, False), ({"a": 0}, False), ({"b": 1}, False), ({"a": 1}, True)]
)
def test_writes_overlap_on_an_id_that_both_carry(in_flight: dict[str, int], overlap: bool) -> None:
    assert rules.overlaps(in_flight, "a") is overlap


@pytest.mark.parametrize(("touched", "in_flight"), [*product([True, False], repeat=2)])
def test_a_mark_goes_only_if_nobody_touched_the_id_and_nobody_is_about_to(
    touched: bool, in_flight: bool
) -> None:
    assert rules.mark_stays(touched_since_read=touched, in_flight=in_flight) is (touched or in_flight)


@pytest.mark.parametrize(
    ("began", "drained"),
    [([], True), ([7], True), ([8, 7], True), ([6], False), ([9, 6, 9], False)],
)
def test_a_version_is_drained_when_no_write_is_older(began: list[int], drained: bool) -> None:
    assert rules.drained(7, began) is drained


@pytest.mark.parametrize(
    ("overtaken", "withheld"),
    [
        ([], {}),
        ([("acme", 6)], {"acme": 6}),
        ([("acme", 6), ("acme", 3), ("globex", 5)], {"acme": 3, "globex": 5}),
    ],
)
def test_a_router_speaks_for_all_tenants_but_those_whose_older_writes_are_under_way(
    overtaken: list[tuple[str, int]], withheld: dict[str, int]
) -> None:
    assert rules.acknowledgement(7, overtaken) == Acknowledgement(7, withheld)


def test_an_acknowledgement_is_as_old_as_the_oldest_write_only_where_all_tenants_are_asked_for() -> None:
    told = Acknowledgement(7, {"acme": 3, "globex": 9})
    assert [told.of(name) for name in ("acme", "globex", "other", EVERY_TENANT)] == [3, 7, 7, 3]


def test_the_barrier_waits_for_live_sessions_that_are_behind() -> None:
    sessions = [
        Session("current", Acknowledgement(7), expires=20),
        Session("ahead", Acknowledgement(8), expires=20),
        Session("behind", Acknowledgement(6), expires=20),
        Session("behind for acme", Acknowledgement(7, {"acme": 6}), expires=20),
        Session("dead", Acknowledgement(1), expires=10),
    ]
    assert rules.lagging(sessions, 7, "globex", now=10) == ["behind"]
    assert rules.lagging(sessions, 7, "acme", now=10) == ["behind", "behind for acme"]
    assert rules.lagging(sessions, 7, EVERY_TENANT, now=10) == ["behind", "behind for acme"]
    assert rules.lagging(sessions, 7, EVERY_TENANT, now=20) == []
    assert rules.lagging([], 7, EVERY_TENANT, now=0) == []


def _refusal(
    phase: Phase,
    to: Phase,
    *,
    synced: bool = True,
    journal: Journal = Journal(),  # noqa: B008 - frozen
    barrier_passed: bool = True,
    hold_overdue: bool = False,
) -> Refusal | None:
    return rules.refusal(
        phase, to, synced=synced, journal=journal, barrier_passed=barrier_passed, hold_overdue=hold_overdue
    )


MOVES = [(phase, to) for phase in Phase for to in NEIGHBOURS[phase]]
LEAPS = [(phase, to) for phase, to in product(Phase, Phase) if to not in NEIGHBOURS[phase]]
CROSSINGS = [move for move in MOVES if {*move} == CROSSING]
INTO_HOLDS = [(phase, to) for phase, to in MOVES if EFFECTS[phase].dual and EFFECTS[to].held]
FREE = [move for move in MOVES if move not in CROSSINGS and move not in INTO_HOLDS]


@pytest.mark.parametrize(("phase", "to"), MOVES)
def test_a_neighbour_move_is_allowed_when_nothing_stands_in_its_way(phase: Phase, to: Phase) -> None:
    assert _refusal(phase, to) is None


@pytest.mark.parametrize(("phase", "to"), LEAPS)
def test_nobody_leaps(phase: Phase, to: Phase) -> None:
    assert _refusal(phase, to) is Refusal.NOT_NEIGHBOUR


@pytest.mark.parametrize(("phase", "to"), MOVES)
def test_no_move_before_the_barrier_of_the_last(phase: Phase, to: Phase) -> None:
    assert _refusal(phase, to, barrier_passed=False) is Refusal.BARRIER


@pytest.mark.parametrize(("phase", "to"), INTO_HOLDS + CROSSINGS)
def test_no_hold_and_no_crossing_without_a_full_copy(phase: Phase, to: Phase) -> None:
    assert _refusal(phase, to, synced=False) is Refusal.NOT_SYNCED


@pytest.mark.parametrize(("phase", "to"), CROSSINGS)
@pytest.mark.parametrize(
    ("known", "refusal"),
    [
        ({"hold_overdue": True}, Refusal.HOLD_OVER),
        ({"journal": Journal(tokens=1)}, Refusal.TOKENS),
        ({"journal": Journal(debt=1)}, Refusal.DEBT),
        ({"journal": Journal(tokens=1, debt=1)}, Refusal.TOKENS),
        ({"journal": Journal(debt=1), "hold_overdue": True}, Refusal.HOLD_OVER),
    ],
)
def test_a_crossing_needs_time_left_no_token_and_no_debt(
    phase: Phase, to: Phase, known: dict[str, bool | Journal], refusal: Refusal
) -> None:
    assert _refusal(phase, to, **known) is refusal  # type: ignore[arg-type]  # a table of mixed values


@pytest.mark.parametrize(("phase", "to"), FREE)
def test_any_other_move_needs_neither_a_copy_nor_a_clean_journal_nor_time(phase: Phase, to: Phase) -> None:
    assert _refusal(phase, to, synced=False, journal=Journal(3, 4), hold_overdue=True) is None


@pytest.mark.parametrize("to", Phase)
def test_a_copy_counts_until_the_tenant_is_on_one_cluster_again(to: Phase) -> None:
    assert rules.stays_synced(to, synced=True) is (to not in {Phase.OLD, Phase.NEW})
    assert rules.stays_synced(to, synced=False) is False


def test_tokens_of_sessions_that_are_gone_become_debt() -> None:
    assert rules.reaped(Journal(tokens=3, debt=1), gone=2) == Journal(tokens=1, debt=3)
    assert rules.reaped(Journal(tokens=3, debt=1), gone=0) == Journal(tokens=3, debt=1)
