"""The search through a model's states, and its histories in words."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from .state import Router, Sent, State, Write

_State = TypeVar("_State", bound=Hashable)


class Explorable(Protocol[_State]):
    """What a search needs of a model: states that are values, every step from one, and what must not be."""

    def initial(self) -> _State: ...

    def steps(self, state: _State) -> Iterator[_State]: ...

    def violation(self, state: _State) -> str | None: ...


@dataclass(frozen=True)
class Outcome(Generic[_State]):
    """What a search found. `history` leads from the start to the violation, by a shortest way."""

    violation: str | None
    states: int
    complete: bool
    history: tuple[_State, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> str:
        if self.violation:
            return "violated"
        return "holds" if self.complete else "no violation found, search cut short"


def explore(model: Explorable[_State], limit: int = 10_000_000) -> Outcome[_State]:
    """Every state that can be reached, nearest first, until one is wrong or `limit` is passed."""
    start = model.initial()
    came_from: dict[_State, _State | None] = {start: None}
    frontier = deque([start])
    with _no_collector():
        while frontier:
            state = frontier.popleft()
            wrong = model.violation(state)
            if wrong:
                return Outcome(wrong, len(came_from), False, _history(state, came_from))
            for successor in model.steps(state):
                if successor not in came_from:
                    came_from[successor] = state
                    frontier.append(successor)
            if len(came_from) > limit:
                return Outcome(None, len(came_from), False)
    return Outcome(None, len(came_from), True)


@contextmanager
def _no_collector() -> Iterator[None]:
    """States are many and hold no cycles: looking for some takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _history(last: _State, came_from: dict[_State, _State | None]) -> tuple[_State, ...]:
    history: list[_State] = []
    state: _State | None = last
    while state is not None:
        history.append(state)
        state = came_from[state]
    return tuple(reversed(history))


def told(history: tuple[State, ...]) -> Iterator[str]:
    """A history in words: one line a step, naming what it changed."""
    for number, (before, after) in enumerate(pairwise(history), start=1):
        yield f"{number:3}. {'; '.join(_changes(before, after)) or 'nothing that shows'}"


def _changes(before: State, after: State) -> Iterator[str]:
    if after.phase is not before.phase:
        yield f"the tenant moves to {after.phase} (version {after.version})"
    for router, (was, now) in enumerate(zip(before.routers, after.routers, strict=True)):
        if now != was:
            yield f"router {router} {', '.join(_router_changes(was, now))}"
    for name, held, holds in zip(("old", "new"), before.stores, after.stores, strict=True):
        if holds != held:
            yield f"the {name} store holds {holds}"
    if after.task is not before.task:
        yield f"the migrator {after.task}" + (f" {after.read}" if after.read >= 0 else "")
    if after.debt is not before.debt:
        yield "the record is debt" if after.debt else "the record's debt is paid"
    if after.tokens != before.tokens:
        yield f"tokens of {sorted(token.router for token in after.tokens) or 'nobody'} are in flight"
    for slot, value in after.late - before.late:
        yield f"a request that writes {value} to the {('old', 'new')[slot]} store may land at any time from now on"
    for value in after.answered - before.answered:
        yield f"the caller of write {value} is answered"


def _router_changes(was: Router, now: Router) -> Iterator[str]:
    if was.alive and not now.alive:
        yield "crashes"
    elif now.leased is not was.leased:
        yield "has a lease again" if now.leased else "loses its lease"
    if now.version != was.version:
        yield f"adopts {now.phase}"
    if now.acknowledged != was.acknowledged:
        yield f"acknowledges version {now.acknowledged}"
    if now.write and now.write != was.write:
        yield f"write {now.write.value} under {now.write.phase}: {_how_far(now.write)}"
    if was.write and not now.write:
        yield f"write {was.write.value} is over"


def _how_far(write: Write) -> str:
    if write.settled:
        return "its token is settled"
    if write.primary is Sent.NOT_YET and write.secondary in (Sent.NOT_YET, Sent.NOT_ASKED):
        return "it is sent" if write.token else "begins"
    words = {"primary": write.primary, "secondary": write.secondary}
    return ", ".join(f"{name} {sent.name.lower().replace('_', ' ')}" for name, sent in words.items())
