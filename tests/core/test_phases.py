"""The tables of the six phases."""

from __future__ import annotations

import re
from itertools import pairwise, product

import pytest

from shardroute.errors import VerbRefused
from shardroute.phases import (
    CROSSING,
    EFFECTS,
    HOLD_ENDS_IN,
    LINE,
    NEIGHBOURS,
    VERBS,
    Phase,
    Side,
    check_verb,
    step_towards,
)

MIRRORED = dict(zip(LINE, reversed(LINE), strict=True))
ALLOWED = [(verb.name, phase) for verb in VERBS.values() for phase in LINE if phase in verb.starts]
REFUSED = [(verb, phase) for verb, phase in product(VERBS, Phase) if phase not in VERBS[verb].starts]


def test_the_line_runs_from_old_to_new() -> None:
    assert [str(phase) for phase in LINE] == ["OLD", "DUAL_OLD", "HOLD_OLD", "HOLD_NEW", "DUAL_NEW", "NEW"]
    assert [phase.rank for phase in LINE] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("phase", "primary", "secondary", "held"),
    [
        (Phase.OLD, Side.OLD, None, False),
        (Phase.DUAL_OLD, Side.OLD, Side.NEW, False),
        (Phase.HOLD_OLD, Side.OLD, None, True),
        (Phase.HOLD_NEW, Side.NEW, None, True),
        (Phase.DUAL_NEW, Side.NEW, Side.OLD, False),
        (Phase.NEW, Side.NEW, None, False),
    ],
)
def test_a_phase_says_who_is_read_who_is_written_and_whether_writes_wait(
    phase: Phase, primary: Side, secondary: Side | None, held: bool
) -> None:
    effect = EFFECTS[phase]
    assert (effect.primary, effect.secondary, effect.held) == (primary, secondary, held)


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_is_dual_or_held_or_settled_and_only_one_of_them(phase: Phase) -> None:
    effect = EFFECTS[phase]
    assert [effect.dual, effect.held, effect.settled].count(True) == 1


@pytest.mark.parametrize("phase", Phase)
def test_a_rollback_is_a_migration_with_the_roles_swapped(phase: Phase) -> None:
    here, there = EFFECTS[phase], EFFECTS[MIRRORED[phase]]
    assert there.primary is here.primary.other
    assert there.secondary is (here.secondary and here.secondary.other)
    assert there.held is here.held


@pytest.mark.parametrize("phase", Phase)
def test_neighbours_are_one_step_away_and_mutual(phase: Phase) -> None:
    assert all(abs(other.rank - phase.rank) == 1 for other in NEIGHBOURS[phase])
    assert all(phase in NEIGHBOURS[other] for other in NEIGHBOURS[phase])
    assert len(NEIGHBOURS[phase]) == (1 if phase in {Phase.OLD, Phase.NEW} else 2)


def test_the_primary_changes_at_the_crossing_only() -> None:
    changes = [{one, two} for one, two in pairwise(LINE) if EFFECTS[one].primary is not EFFECTS[two].primary]
    assert changes == [set(CROSSING)]


def test_writes_are_held_on_both_sides_of_the_crossing_and_nowhere_else() -> None:
    assert {phase for phase in Phase if EFFECTS[phase].held} == CROSSING


@pytest.mark.parametrize("hold", HOLD_ENDS_IN)
def test_a_hold_ends_in_a_neighbour_with_the_same_primary(hold: Phase) -> None:
    after = HOLD_ENDS_IN[hold]
    assert after in NEIGHBOURS[hold]
    assert EFFECTS[after].dual
    assert EFFECTS[after].primary is EFFECTS[hold].primary


def test_every_hold_ends() -> None:
    assert set(HOLD_ENDS_IN) == {phase for phase in Phase if EFFECTS[phase].held}


@pytest.mark.parametrize(
    ("phase", "destination"), [pair for pair in product(Phase, Phase) if len({*pair}) == 2]
)
def test_steps_towards_a_destination_arrive_by_neighbour_moves(phase: Phase, destination: Phase) -> None:
    steps = [phase]
    while steps[-1] is not destination:
        steps.append(step_towards(steps[-1], destination))
        assert steps[-1] in NEIGHBOURS[steps[-2]]
    assert len(steps) == abs(destination.rank - phase.rank) + 1


@pytest.mark.parametrize(("name", "phase"), ALLOWED)
def test_a_verb_is_allowed_where_it_may_start(name: str, phase: Phase) -> None:
    assert check_verb(name, "acme", phase) is VERBS[name]


@pytest.mark.parametrize(("name", "phase"), ALLOWED)
def test_an_interrupted_verb_may_go_on_from_every_phase_on_its_way(name: str, phase: Phase) -> None:
    destination = VERBS[name].destination
    while destination and phase is not destination:
        assert phase in VERBS[name].starts
        phase = step_towards(phase, destination)


@pytest.mark.parametrize(("name", "phase"), REFUSED)
def test_a_verb_is_refused_elsewhere_and_the_refusal_names_the_phase_and_a_verb_that_fits(
    name: str, phase: Phase
) -> None:
    with pytest.raises(VerbRefused, match=rf"'acme' is in {phase}, where `{name}`") as refused:
        check_verb(name, "acme", phase)
    advice = str(refused.value).partition("nothing to do: ")[2]
    advised = re.findall(r"`(\w+)`", advice)
    assert advised
    assert all(phase in VERBS[verb].starts for verb in advised)


def test_an_unknown_verb_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        check_verb("teleport", "acme", Phase.OLD)
