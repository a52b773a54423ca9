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


class Sent(IntEnum):
    """What became of a write's request to one store."""

    NOT_YET = 0  # of a dual write whose token is registered: it is under way
    LANDED = 1
    FAILED = 2
    NOT_ASKED = 3  # a store that the write does not go to


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
    """`token`: registered, for a dual write. `settled`: its token has ended, or it needs none."""

    value: int
    phase: Phase
    version: int
    primary: Sent
    secondary: Sent
    token: bool = False
    settled: bool = False


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
    late: frozenset[tuple[int, int]]  # requests, as slot and value, that may land though nobody counts on it
    answered: frozenset[int]  # the writes whose callers were told that they hold
    refused: frozenset[int]  # those whose callers were told that the primary refused them
    before: tuple[frozenset[int], ...]  # for each value: what had been answered or read when its write began
    visible: frozenset[int]  # what readers saw last
    gone: frozenset[int]  # what readers have seen and then no longer
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
    """The routers that may crash, lose their leases, or end with a request under way."""
    start: Phase = Phase.OLD
    primaries_fail: bool = True
    holds_expire: bool = False
    """Whether a router may end a hold (rule 11); it counts as a move."""
    reads_lag: bool = False
    """Whether the migrator's reads may see an older value than the store's, for any time."""
    waits_for_reads: bool = True
    """Whether the migrator waits, once its window is open, until its reads see what the stores had then (rule 7)."""
    migrators_stop: bool = False
    """Whether a migrator may be stopped before it writes what it read, and go on after its lock was taken over."""
    overlap_marks_at_once: bool = False
    """Whether overlapping writes are debt as soon as the second begins, rather than when they end (rule 6)."""


def violation(state: State) -> str | None:
    """Readers observe a register: nothing answered is lost, and no value comes back that another has replaced.

    Every value is written by one write. So a value that was read, was no longer read, and is read again means that its
    write took effect twice, or that the write which replaced it was undone.
    """
    for value in _values(state):
        if value in state.refused:
            return f"{value} is read, though its caller was told that it was refused"
        if value in state.gone:
            return f"{value} is read again after another value was read in its place"
        for answered in state.answered:
            if value in state.before[answered - 1]:
                return f"{value} is read after {answered}, which came later, was answered"
    return None


def observed(before: State, after: State) -> State:
    """What readers see now, and what they see no longer."""
    values = _values(after)
    if not values or values == before.visible:
        return after
    return after._replace(visible=values, gone=before.gone | (before.visible - values))


def _values(state: State) -> frozenset[int]:
    """What a leased router may read. By a router without a lease, a stale read may be answered; nothing is promised."""
    return frozenset(state.stores[PRIMARY[router.phase]] for router in state.routers if router.leased)
