"""The declaration of a tenant as a model: every interleaving of processes that write its first records and of
processes that declare it. What is asked of each state: does everybody who may answer read all that was acknowledged?

Sessions may lapse and come back, requests land late, holds run out at any moment, declarers go on with what another
began, and each may act on what it saw long ago.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shardroute.phases import EFFECTS, NEXT_WITHOUT_DATA, Phase, Side

from .search import _no_collector


@dataclass(frozen=True)
class Rules:
    """Each may be left out, to see that it is needed."""

    looks_in_hold: bool = True
    looks_after_barrier: bool = True
    compares_versions: bool = True
    waits_for_sessions: bool = True
    passes_hold_new: bool = True


@dataclass(frozen=True)
class Standing:
    """`version` 0: without a record."""

    phase: Phase = Phase.OLD
    version: int = 0

    @property
    def epoch(self) -> int:
        """Epochs begin again with a record that goes."""
        return self.phase.rank


@dataclass(frozen=True)
class Writer:
    """A process that writes one record. `sent`: under which view. `unbroken`: its lease, since then (rule 4)."""

    known: Standing = Standing()
    acknowledged: int = 0
    leased: bool = True
    unbroken: bool = True
    sent: Standing | None = None
    landed: bool = False
    answered: bool = False
    lapses: int = 0


@dataclass(frozen=True)
class Declarer:
    """What it saw: of which standing everybody had heard, and in which it looked, the old side being `empty` or not."""

    passed: Standing | None = None
    looked: Standing | None = None
    empty: bool = True


@dataclass(frozen=True)
class State:
    standing: Standing = Standing()
    version: int = 0
    writers: tuple[Writer, ...] = (Writer(), Writer())
    declarers: tuple[Declarer, ...] = (Declarer(), Declarer())
    old: frozenset[int] = frozenset()
    new: frozenset[int] = frozenset()

    def side(self, phase: Phase) -> frozenset[int]:
        return self.old if EFFECTS[phase].primary is Side.OLD else self.new


def violation(state: State) -> str | None:
    answered = {number for number, writer in enumerate(state.writers) if writer.answered}
    phases = {writer.known.phase for writer in state.writers if writer.leased} | {state.standing.phase}
    hidden = [phase for phase in phases if not answered <= state.side(phase)]
    return f"somebody at {hidden[0]} does not read what was acknowledged" if hidden else None


class Model:
    def __init__(self, rules: Rules = Rules(), *, versions: int = 6, lapses: int = 1) -> None:
        self._rules = rules
        self._versions = versions
        self._lapses = lapses

    def steps(self, state: State) -> Iterator[State]:
        for number, writer in enumerate(state.writers):
            for after, landed in self._writer(state, number, writer):
                writers = (*state.writers[:number], after, *state.writers[number + 1 :])
                yield replace(landed, writers=writers)
        for number, declarer in enumerate(state.declarers):
            for told, map_after in self._declarer(state, declarer):
                both = (*state.declarers[:number], told, *state.declarers[number + 1 :])
                yield replace(
                    map_after, declarers=tuple(sorted(both, key=repr))
                )  # which is which does not matter
        if EFFECTS[state.standing.phase].held:
            yield from self._overdue(state)

    # -- processes that write ------------------------------------------------------------------------------------

    def _writer(self, state: State, number: int, one: Writer) -> Iterator[tuple[Writer, State]]:
        if one.known != state.standing:
            yield replace(one, known=state.standing), state
        if one.leased and one.acknowledged != one.known.version and _drained(one):
            yield replace(one, acknowledged=one.known.version), state
        if one.leased and one.lapses < self._lapses:
            yield replace(one, leased=False, unbroken=False, lapses=one.lapses + 1), state
        if not one.leased:  # with a map that is current (rule 4)
            acknowledged = (
                state.standing.version if _drained(replace(one, known=state.standing)) else one.acknowledged
            )
            yield replace(one, leased=True, known=state.standing, acknowledged=acknowledged), state
        if one.leased and one.sent is None and not EFFECTS[one.known.phase].held:
            yield replace(one, sent=one.known, unbroken=True), state
        if one.sent is not None and not one.landed:
            there, side = state.side(one.sent.phase) | {number}, EFFECTS[one.sent.phase].primary
            after = replace(state, old=there) if side is Side.OLD else replace(state, new=there)
            yield replace(one, landed=True), after
        if one.landed and one.leased and one.unbroken and not one.answered:
            yield replace(one, answered=True), state

    # -- processes that declare ----------------------------------------------------------------------------------

    def _declarer(self, state: State, one: Declarer) -> Iterator[tuple[Declarer, State]]:
        standing, rules = state.standing, self._rules
        if standing.phase is Phase.OLD:
            if not state.old:  # the polite look
                yield one, self._moved(state, Phase.HOLD_OLD)
            return
        heard = not rules.waits_for_sessions or not _lagging(state, standing)
        if heard and one.passed != standing:
            yield replace(one, passed=standing), state
        if standing.phase is Phase.HOLD_OLD:
            may_look = one.passed == standing or not rules.looks_after_barrier
            if may_look and one.looked != standing:
                yield replace(one, looked=standing, empty=not state.old), state
            if one.looked == standing and not one.empty:
                yield one, self._moved(state, Phase.OLD)
        if heard and self._may_cross(standing, one):
            to = NEXT_WITHOUT_DATA.get(standing.phase)
            if to is Phase.HOLD_NEW and not rules.passes_hold_new:
                to = Phase.NEW
            if to is not None:
                yield one, self._moved(state, to)

    def _may_cross(self, standing: Standing, one: Declarer) -> bool:
        """What its declarer saw, it saw of this standing."""
        if standing.phase is not Phase.HOLD_OLD or not self._rules.looks_in_hold:
            return True
        if one.looked is None or not one.empty:
            return False
        if self._rules.compares_versions:
            return one.looked == standing
        return one.looked.epoch == standing.epoch

    def _overdue(self, state: State) -> Iterator[State]:
        """Rule 11: anyone ends it, on the side that it is on."""
        if state.standing.phase is Phase.HOLD_OLD:
            yield self._moved(state, Phase.OLD)
        elif not _lagging(state, state.standing):
            yield self._moved(state, Phase.NEW)

    def _moved(self, state: State, to: Phase) -> State:
        """The next version. A record that goes leaves version 0, which everybody has acknowledged."""
        if state.version >= self._versions:
            return state
        version = state.version + 1
        return replace(state, version=version, standing=Standing(to, 0 if to is Phase.OLD else version))


def _drained(one: Writer) -> bool:
    """Rule 3: no write under another standing is under way."""
    under_way = one.sent is not None and not one.landed
    return not under_way or one.sent is None or one.sent.epoch == one.known.epoch


def _lagging(state: State, standing: Standing) -> bool:
    return any(one.leased and one.acknowledged != standing.version for one in state.writers)


def explore(model: Model, limit: int = 2_000_000) -> tuple[str | None, int]:
    """The first violation, or None if every state was looked at; how many states."""
    seen, frontier = {State()}, deque([State()])
    with _no_collector():
        while frontier:
            state = frontier.popleft()
            if wrong := violation(state):
                return wrong, len(seen)
            for successor in model.steps(state):
                if successor not in seen:
                    seen.add(successor)
                    frontier.append(successor)
            assert len(seen) < limit, "too large to be searched to the end"
    return None, len(seen)
