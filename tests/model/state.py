"""A state of the model, how much of the world is explored, and what must never be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from shardroute.phases import EFFECTS, Phase, Side

SLOT = {Side.OLD: 0, Side.NEW: 1}
PRIMARY = {phase: SLOT[effect.primary] for phase, effect in EFFECTS.items()}
OTHER = {phase: SLOT[effect.primary.other] for phase, effect in EFFECTS.items()}
SECONDARY = {phase: SLOT[effect.secondary] for phase, effect in EFFECTS.items() if effect.secondary}
HELD = frozenset(phase for phase, effect in EFFECTS.items() if effect.held)
SETTLED = frozenset(phase for phase, effect in EFFECTS.items() if effect.settled)

NOTHING_READ = -1
UNDECIDED = -1  # writes are under way: a reader may see the value before them or after
UNPROMISED = -2  # a write that nobody was told of may land at any time: either value is right from now on


class Stage(IntEnum):
    """How far a write has come."""

    BEGIN = 0
    SENT = 1  # to both stores, neither has answered
    PRIMARY_DONE = 2
    BOTH_DONE = 3
    SECONDARY_DONE = 4
    PRIMARY_FAILED = 5
    FAILED = 6
    VALIDATE = 7
    AGAIN = 8


class Task(StrEnum):
    """What the migrator is at."""

    BARRIER = "waits at the barrier"
    IDLE = "is idle"
    COPY_OPENED = "has opened a window for the copy"
    COPY_READ = "has read for the copy"
    COPY_WRITTEN = "has written the copy"
    PAY_OPENED = "has opened a window to pay debt"
    PAY_READ = "has read to pay debt"
    PAY_WRITTEN = "has written to pay debt"


class Write(NamedTuple):
    value: int
    stage: Stage
    phase: Phase
    version: int
    lease_broken: bool = False
    store_failed: bool = False


class Router(NamedTuple):
    phase: Phase
    version: int
    acknowledged: int
    leased: bool
    alive: bool
    write: Write | None
    begun: int


class Token(NamedTuple):
    router: int
    overlapped: bool


class State(NamedTuple):
    stores: tuple[int, int]
    shown: tuple[int, int]  # what the migrator's reads still see of them, where they lag
    phase: Phase
    version: int
    routers: tuple[Router, ...]
    debt: bool
    touched: bool  # by a token, since the migrator last read
    tokens: frozenset[Token]
    answered: frozenset[int]  # the writes whose callers were told
    answered_before: tuple[frozenset[int], ...]  # for each value: what had been answered when its write began
    settled: int  # the value every reader must see, or UNDECIDED or UNPROMISED
    synced: bool
    task: Task
    read: int
    moves: int
    crossed: bool  # whether the hold, if it is one, was entered by the crossing


@dataclass(frozen=True)
class Scope:
    """How much may happen."""

    writes: int = 1
    """Of each router."""
    moves: int = 3
    faulty: frozenset[int] = frozenset()
    """The routers that may crash and lose their leases."""
    start: Phase = Phase.OLD
    primaries_fail: bool = True
    holds_expire: bool = False
    """Whether a router may end a hold (rule 11); it counts as a move."""
    reads_lag: bool = False
    """Whether the migrator's reads may see an older value than the store's, for any time."""
    waits_for_reads: bool = True
    """Whether the migrator waits, once its window is open, until its reads see what the stores had then (rule 7)."""
    overlap_marks_at_once: bool = False
    """Whether overlapping writes are debt as soon as the second begins, rather than when they end (rule 6)."""


def violation(state: State) -> str | None:
    """Nothing answered is lost: a leased router never reads what an answered write has overwritten.

    And what everybody has seen stays: with no write under way, all readers see one value.
    """
    for index, router in enumerate(state.routers):
        if router.leased:
            value = state.stores[PRIMARY[router.phase]]
            if _superseded(value, state):
                return (
                    f"router {index} in {router.phase} reads {value}, which an answered write had overwritten"
                )
            if state.settled >= 0 and value != state.settled:
                return f"router {index} in {router.phase} reads {value} after {state.settled} was settled"
    return None


def _superseded(value: int, state: State) -> bool:
    if value == 0:
        return bool(state.answered)
    return any(value in state.answered_before[answered - 1] for answered in state.answered)


def settled(state: State) -> State:
    """With no write under way, what the primary holds is what every reader must see from now on."""
    if state.settled != UNDECIDED or state.phase in HELD:
        return state
    if any(router.alive and router.write for router in state.routers):
        return state
    return state._replace(settled=state.stores[PRIMARY[state.phase]])
