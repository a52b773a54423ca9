"""Our own checker: whether the operations on one record can be put into an order that explains all answers.

The order has to respect time: what ended before another began comes before it. The search goes through the calls and
ends of a history in their order and keeps every configuration that explains the answers so far: the record's state,
and which of the operations under way have taken effect already (Lowe, "Testing for linearizability", 2017, calls it
just-in-time linearization). An operation must take effect at the latest when it ends; if no configuration is left
then, nothing explains its answer.

Writes whose outcome is not known would be under way for ever, and double the configurations each. Three facts about
a register with unique values spare that; `test_checkers` holds them to searches without them, and to porcupine:

1. If its value was read, a write took effect before the first of those reads ended: it is a write that ended then.
2. A delete is only ever needed right before a read that finds the record absent. So it is a permission to lose the
   value, once, from its call on.
3. An upsert or update whose value nobody read is only ever needed for what it makes possible: an update that
   somebody did read, on a record that was absent. So an upsert is a permission for that; an update is nothing.

Two more keep the search short: a read that fits takes effect at once, and an acknowledged write that nobody read, and
that no update needs, does so right before another write, where nobody can see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .history import Kind, Operation, Verdict

MOST = 3_000_000
"""Configurations looked at before the search gives up."""


class State(NamedTuple):
    """`value` None: absent. `deletes` and `upserts`: permissions, see 2 and 3 above."""

    value: int | None = None
    deletes: int = 0
    upserts: int = 0


Configuration = tuple[State, frozenset[int]]
"""A state, and which of the operations under way have taken effect."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the search found. `at`: the operation that nothing explains. `states`: what was possible right before."""

    verdict: Verdict
    at: Operation | None = None
    states: frozenset[int | None] = frozenset()


class GaveUp(Exception):
    """More configurations than allowed."""


def check(operations: Sequence[Operation], most: int = MOST) -> Finding:
    """Judges the history of one record, which begins absent."""
    known, permissions = bounded(operations)
    search = Search(known, {one.value for one in operations if one.kind is Kind.READ}, most)
    try:
        for _, what, index in events(known, permissions):
            if what == "call":
                search.call(index)
            elif what == "permit":
                search.permit(permissions[index])
            elif not search.end(index):
                return Finding(Verdict.VIOLATED, known[index], search.before)
    except GaveUp:
        return Finding(Verdict.UNKNOWN)
    return Finding(Verdict.LINEARIZABLE)


def bounded(operations: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    """The operations that must have taken effect, each with an end; and those that are permissions."""
    read_by: dict[int | None, int] = {}
    for one in operations:
        if one.kind is Kind.READ and one.end is not None:
            read_by[one.value] = min(one.end, read_by.get(one.value, one.end))
    known, permissions = [], []
    for one in operations:
        writes = one.kind in (Kind.UPSERT, Kind.UPDATE)
        if writes and one.value in read_by:
            ends = [read_by[one.value], *([] if one.end is None else [one.end])]
            known.append(replace(one, end=max(one.call, min(ends))))
        elif one.end is not None:
            known.append(one)
        elif one.kind in (Kind.DELETE, Kind.UPSERT):
            permissions.append(one)
    return known, permissions


_ORDER = {"permit": 0, "call": 1, "end": 2}
"""Of events at one instant: what touches in time may have overlapped."""


def events(known: Sequence[Operation], permissions: Sequence[Operation]) -> list[tuple[int, str, int]]:
    """Calls, ends and permissions in the order of time: (time, what, index)."""
    found = [(one.call, "permit", index) for index, one in enumerate(permissions)]
    for index, one in enumerate(known):
        assert one.end is not None
        found += [(one.call, "call", index), (one.end, "end", index)]
    return sorted(found, key=lambda event: (event[0], _ORDER[event[1]]))


class Search:
    """The configurations that explain everything so far. `before`: the values that were possible before an end."""

    def __init__(self, operations: Sequence[Operation], read: set[int | None], most: int) -> None:
        self._operations = operations
        self._read = read
        self._hides = {Kind.UPDATE} if self._update_was_read() else {Kind.UPDATE, Kind.UPSERT}
        self._left = most
        self._under_way: set[int] = set()
        self._configurations: set[Configuration] = {(State(), frozenset())}
        self.before: frozenset[int | None] = frozenset()

    def call(self, index: int) -> None:
        self._under_way.add(index)

    def permit(self, operation: Operation) -> None:
        delete = operation.kind is Kind.DELETE
        self._configurations = {
            (State(state.value, state.deletes + delete, state.upserts + (not delete)), done)
            for state, done in self._configurations
        }

    def end(self, index: int) -> bool:
        """Whether anything still explains all answers, this one's included."""
        self.before = frozenset(state.value for state, _ in self._configurations)
        ended: set[Configuration] = set()
        seen, ahead = set(self._configurations), list(self._configurations)
        while ahead:
            state, done = ahead.pop()
            if index in done:
                ended.add((state, done - {index}))
                continue
            for following in self._steps(state, done):
                if following not in seen:
                    seen.add(following)
                    ahead.append(following)
        self._spend(len(seen))
        self._under_way.discard(index)
        self._configurations = undominated(ended)
        return bool(ended)

    def _steps(self, state: State, done: frozenset[int]) -> Iterator[Configuration]:
        left = self._under_way - done
        unseen = {index for index in left if self._unseen(self._operations[index], state)}
        if unseen:
            yield state, done | unseen
            return
        for index in left:
            operation = self._operations[index]
            after = step(state, operation, read=operation.value in self._read)
            if after is not None:
                hidden = self._hidden(left) if operation.kind in (Kind.UPSERT, Kind.DELETE) else set()
                yield after, done | hidden | {index}

    def _unseen(self, operation: Operation, state: State) -> bool:
        """Whether the operation can take effect now, and changes nothing."""
        if operation.kind is Kind.READ:
            return operation.value == state.value
        return operation.kind is Kind.UPDATE and state.value is None and operation.value not in self._read

    def _hidden(self, left: set[int]) -> set[int]:
        """Writes that nobody read: right before an upsert or a delete they cannot be seen."""
        return {
            index
            for index in left
            if self._operations[index].kind in self._hides and self._operations[index].value not in self._read
        }

    def _update_was_read(self) -> bool:
        """Then an upsert that nobody read may still be what made the update possible."""
        return any(one.kind is Kind.UPDATE and one.value in self._read for one in self._operations)

    def _spend(self, configurations: int) -> None:
        self._left -= configurations
        if self._left < 0:
            raise GaveUp


def undominated(configurations: set[Configuration]) -> set[Configuration]:
    """Without those that are as another one, but with fewer permissions."""
    best: dict[tuple[int | None, frozenset[int]], list[State]] = {}
    for state, done in sorted(configurations, key=lambda one: (-one[0].deletes, -one[0].upserts)):
        better = best.setdefault((state.value, done), [])
        if all(state.upserts > other.upserts for other in better):
            better.append(state)
    return {(state, done) for (_, done), states in best.items() for state in states}


def step(state: State, operation: Operation, *, read: bool) -> State | None:
    """The state after the operation took effect; None if it cannot have been answered so. `read`: somebody read it."""
    match operation.kind:
        case Kind.UPSERT:
            return state._replace(value=operation.value)
        case Kind.DELETE:
            return state._replace(value=None)
        case Kind.UPDATE if state.value is not None:
            return state._replace(value=operation.value)
        case Kind.UPDATE if not read:
            return state
        case Kind.UPDATE if state.upserts:
            return State(operation.value, state.deletes, state.upserts - 1)
        case Kind.READ if operation.value == state.value:
            return state
        case Kind.READ if operation.value is None and state.deletes:
            return State(None, state.deletes - 1, state.upserts)
    return None
