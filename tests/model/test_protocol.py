"""The protocol's rules over every interleaving of a small world. The numbers are those of docs/protocol.md."""

from __future__ import annotations

from typing import Any

import pytest

from shardroute import rules
from shardroute.rules import Acknowledgement

from .cases import BOTH_FAULTY, FAULTS, ONE_FAULTY, SWITCHED_OFF, Case
from .clocks import ClocksModel
from .decisions import Rules
from .maps import MapsModel
from .protocol_model import Model
from .search import Explorable, explore, told
from .state import Scope
from .tenants import TenantsModel
from .walks import violated

TO_THE_END = {
    "two routers, one write each, three moves": (Scope(), 71_825),
    "overlap is debt at once": (Scope(overlap_marks_at_once=True), 58_681),
    "reads lag behind writes": (Scope(reads_lag=True), 280_256),
    "migrators that are stopped": (Scope(migrators_stop=True), 91_224),
    "five moves, holds that expire": (Scope(moves=5, holds_expire=True), 282_837),
}


@pytest.mark.parametrize(("scope", "states"), TO_THE_END.values(), ids=TO_THE_END)
def test_no_interleaving_loses_an_answered_write(scope: Scope, states: int) -> None:
    outcome = explore(Model(scope=scope))
    assert outcome.verdict == "holds"
    assert outcome.states == states, (
        "the protocol has changed: check that the model still says what it should"
    )


@pytest.mark.slow
def test_no_interleaving_with_a_router_that_crashes_and_lapses_loses_an_answered_write() -> None:
    assert explore(Model(scope=FAULTS)).verdict == "holds"


@pytest.mark.slow
@pytest.mark.parametrize("faulty", [ONE_FAULTY, BOTH_FAULTY], ids=["one faulty router", "two faulty routers"])
@pytest.mark.parametrize("holds_expire", [False, True], ids=["holds stay", "holds expire"])
def test_a_bounded_search_with_all_faults_finds_nothing(faulty: frozenset[int], holds_expire: bool) -> None:
    scope = Scope(moves=4, faulty=faulty, holds_expire=holds_expire)
    outcome = explore(Model(scope=scope), limit=150_000)
    assert outcome.violation is None
    assert outcome.states > 150_000


@pytest.mark.slow
@pytest.mark.parametrize("case", SWITCHED_OFF, ids=[case.name for case in SWITCHED_OFF])
def test_each_rule_is_needed(case: Case) -> None:
    outcome = explore(Model(case.rules, case.scope), limit=1_000_000)
    assert outcome.violation, f"{case.text}: without it, {outcome.verdict}"


SMALL: dict[str, tuple[Explorable[Any], dict[str, Explorable[Any]]]] = {
    "a slow write holds up its own tenant and no other": (
        TenantsModel(),
        {
            "drain": TenantsModel(acknowledgement=lambda version, _: Acknowledgement(version)),
            "one acknowledgement for all tenants": TenantsModel(
                acknowledgement=lambda version, overtaken: Acknowledgement(
                    min([version, *(last for _, last in overtaken)])
                )
            ),
            "barrier": TenantsModel(lagging=lambda *_: []),
        },
    ),
    "a router gives up before Redis, whose clock is set": (
        ClocksModel(),
        {"lease time": ClocksModel(lease_time=lambda before, passed, _: before + passed)},
    ),
    "a fork of the map is found out, and nothing else ends writing": (
        MapsModel(),
        {
            "stamps": MapsModel(follows=lambda *_: True),
            "errors pass": MapsModel(error_ends_writing=True),
        },
    ),
}


@pytest.mark.parametrize(("model", "without"), SMALL.values(), ids=SMALL)
def test_a_small_world_holds_with_its_rules_and_with_none_of_them_left_out(
    model: Explorable[Any], without: dict[str, Explorable[Any]]
) -> None:
    assert explore(model).verdict == "holds"
    assert [rule for rule, less in without.items() if explore(less).violation is None] == []


def test_a_session_ends_though_the_clock_was_set_back_while_it_was_waited_for() -> None:
    counted = 0
    for passed in (5, -10_000, *[2] * 60):
        counted = rules.lease_time(counted, passed, 2)
    assert counted >= 120


def test_an_expired_hold_needs_the_barrier_as_well() -> None:
    without_barrier = next(case.rules for case in SWITCHED_OFF if case.name == "barrier")
    assert explore(Model(without_barrier, Scope(holds_expire=True))).violation


def test_a_history_leads_from_the_start_to_the_violation_and_can_be_told() -> None:
    model = Model(Rules(lagging=lambda *_: []))
    outcome = explore(model)
    assert outcome.history[0] == model.initial()
    assert len(list(told(outcome.history))) == len(outcome.history) - 1
    assert any("the tenant moves to DUAL_OLD" in line for line in told(outcome.history))


def test_random_schedules_of_larger_worlds_are_linearizable_for_who_knows_nothing_of_the_protocol() -> None:
    assert violated(range(1, 301)) == []


def test_a_checker_from_outside_notices_a_rule_that_is_left_out() -> None:
    without_journal = next(case.rules for case in SWITCHED_OFF if case.name == "journal")
    assert violated(range(1, 301), without_journal)
