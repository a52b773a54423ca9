"""The protocol's decisions, as pure functions. The numbers are those of docs/protocol.md.

Routers and migrators ask these functions; the Lua scripts that must decide inside Redis are held to
them by tests; the model check explores every interleaving over them, with each one switched off in turn.
Time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from .phases import CROSSING, EFFECTS, HOLD_ENDS_IN, NEIGHBOURS, Phase


@dataclass(frozen=True, slots=True)
class Lease:
    """A session's right to answer writes, on the router's own clock (seconds).

    `generation` grows whenever the lease was broken, so that a write can tell that it held all along.
    """

    until: float = float("-inf")
    generation: int = 0

    def holds(self, now: float) -> bool:
        return now < self.until

    def shortened(self, now: float, duration: float) -> Lease:
        """Before asking Redis for less: this side gives up first (rule 4)."""
        return replace(self, until=min(self.until, now + duration))

    def renewed(self, sent: float, now: float, duration: float, *, lapsed: bool) -> Lease:
        """After a renewal that was sent at `sent`; `lapsed` is Redis's own view of the lease before it."""
        broken = lapsed or not self.holds(now)
        return Lease(until=sent + duration, generation=self.generation + broken)


def margin(duration: float) -> float:
    """How much earlier than Redis a router gives up: a tenth, for clocks that run at different rates."""
    return duration * 0.1


def lease_unbroken(lease: Lease, generation: int, now: float) -> bool:
    """Rule 4: the lease that was held when the write began is still held, without a break."""
    return lease.generation == generation and lease.holds(now)


class Verdict(Enum):
    """What becomes of a write once all its answers are in."""

    ANSWER = "answer the caller"
    AGAIN = "do it again under the current phase"
    FAIL = "the caller gets the primary's error"


def verdict(*, unbroken: bool, primary_ok: bool) -> Verdict:
    """Rules 4 and 5: a failed primary fails the caller, a failed secondary never does."""
    if not primary_ok:
        return Verdict.FAIL
    return Verdict.ANSWER if unbroken else Verdict.AGAIN


def leaves_debt(*, primary_ok: bool, secondary_ok: bool, unbroken: bool) -> bool:
    """Rule 5: whether a dual write leaves its ids as debt when its token is settled."""
    return not (primary_ok and secondary_ok and unbroken)


def overlaps(ids_in_flight: Mapping[str, int], record_id: str) -> bool:
    """Rule 6: another token is in flight on this id."""
    return ids_in_flight.get(record_id, 0) > 0


def mark_stays(*, touched_since_read: bool, in_flight: bool) -> bool:
    """Rules 7 and 9: a copied or paid id stays (or becomes) debt if a token touched it meanwhile."""
    return touched_since_read or in_flight


def drained(version: int, began: Iterable[int]) -> bool:
    """Rule 3: whether `version` may be acknowledged, given the versions that writes in flight began under."""
    return all(start >= version for start in began)


def acknowledgeable(version: int, current_until: Iterable[int]) -> int:
    """Rule 3: the newest version that may be acknowledged by a router that has adopted `version`.

    `current_until`: for each write in flight whose tenant has moved since, the last version under which
    the write's view of its tenant was still current.
    """
    return min(version, min(current_until, default=version))


@dataclass(frozen=True, slots=True)
class Session:
    """A router's session as Redis sees it: times in seconds of Redis's clock."""

    id: str
    acknowledged: int
    expires: float

    def alive(self, now: float) -> bool:
        return self.expires > now


def lagging(sessions: Iterable[Session], version: int, now: float) -> list[str]:
    """Rule 2: the live sessions that have not acknowledged `version`. None left: the barrier is passed."""
    return [session.id for session in sessions if session.alive(now) and session.acknowledged < version]


class Refusal(StrEnum):
    """Why a move is refused. The same words come back from the script."""

    NOT_NEIGHBOUR = "NOT_NEIGHBOUR"
    BARRIER = "BARRIER"
    NOT_SYNCED = "NOT_SYNCED"
    HOLD_OVER = "HOLD_OVER"
    TOKENS = "TOKENS"
    DEBT = "DEBT"


@dataclass(frozen=True, slots=True)
class Journal:
    """What the journal holds of one tenant, in numbers."""

    tokens: int = 0
    debt: int = 0


def reaped(journal: Journal, gone: int) -> Journal:
    """Rule 8: the journal after `gone` tokens, whose sessions are no more, have become debt."""
    return Journal(tokens=journal.tokens - gone, debt=journal.debt + gone)


def refusal(
    phase: Phase,
    to: Phase,
    *,
    synced: bool,
    journal: Journal,
    barrier_passed: bool,
    hold_overdue: bool,
    crossed: bool = True,
) -> Refusal | None:
    """Rules 1, 2, 10 and 11: why a tenant may not move from `phase` to `to` now, or None if it may.

    `crossed`: whether the hold was entered by the crossing. A hold that was not ends, when it is overdue, in the phase
    that it came from: who has not heard of it is there still, and need not be waited for.
    """
    if to not in NEIGHBOURS[phase]:
        return Refusal.NOT_NEIGHBOUR
    returns = hold_overdue and not crossed and HOLD_ENDS_IN.get(phase) is to
    if not barrier_passed and not returns:
        return Refusal.BARRIER
    if EFFECTS[phase].dual and EFFECTS[to].held and not synced:
        return Refusal.NOT_SYNCED
    if {phase, to} == CROSSING:
        return _crossing_refusal(synced=synced, journal=journal, hold_overdue=hold_overdue)
    return None


def _crossing_refusal(*, synced: bool, journal: Journal, hold_overdue: bool) -> Refusal | None:
    if not synced:
        return Refusal.NOT_SYNCED
    if hold_overdue:
        return Refusal.HOLD_OVER
    if journal.tokens:
        return Refusal.TOKENS
    return Refusal.DEBT if journal.debt else None


def stays_synced(to: Phase, *, synced: bool) -> bool:
    """A copy counts until the tenant is on one cluster again."""
    return synced and not EFFECTS[to].settled
