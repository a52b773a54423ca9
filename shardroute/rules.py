"""The protocol's decisions, as pure functions. The numbers are those of docs/protocol.md.

Routers and migrators ask these functions; the Lua scripts that must decide inside Redis are held to
them by tests; the model check explores every interleaving over them, with each one switched off in turn.
Time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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


STEP = 0.1
"""Of the short lease: how much of a step of Redis's clock counts at most (`lease_time`)."""


def margin(duration: float) -> float:
    """How much earlier than Redis a router gives up, in seconds.

    A tenth for one step of Redis's clock within the lease (`STEP`), a twentieth for clocks that run at different rates.
    """
    return duration * (STEP + 0.05)


def lease_time(before: int, passed: int, most: int) -> int:
    """The time by which leases count, in milliseconds: Redis's clock, of which no step counts for more than `most`.

    `before`: this time when it was last asked for. `passed`: what Redis's clock says has passed since then; negative
    when it was set back. Counting too little is always safe: who waits for a lease to end waits for longer.
    """
    return before + min(max(passed, 0), most)


def lease_unbroken(lease: Lease, generation: int, now: float) -> bool:
    """Rule 4: the lease that was held when the write began is still held, without a break."""
    return lease.generation == generation and now < lease.until


def cut_off_at(lease: Lease, linger: float) -> float:
    """Rule 4: when a request under way is cut off, unless the lease is renewed before.

    What was cut off may still take effect for `linger` seconds. So nothing lands after the lease, which is the moment
    from which others count on that.
    """
    return lease.until - linger


def stays_after_leaving(open_requests: int, linger: float) -> float:
    """Rule 4: for how many seconds a session that ends is still waited for: what it sent may land for so long."""
    return linger if open_requests else 0.0


class Verdict(Enum):
    """What becomes of a write once all its answers are in."""

    ANSWER = "answer the caller"
    BEGIN_ANEW = "begin anew under the current phase"
    FAIL = "the caller gets the primary's error"
    UNKNOWN = "the caller is told that nobody knows whether it took effect"


def verdict(*, sent: bool, primary_ok: bool, unbroken: bool, crossed: bool) -> Verdict:
    """Rules 4 and 5: a failed primary fails the caller, a failed secondary never does.

    `sent`: whether any request left this process. What may have been seen is never written again: others may have read
    it, and have overwritten it since. `crossed`: another side has become the primary by the time that a broken lease
    is held again. If none has, what the primary answered counts.
    """
    if not sent:
        return Verdict.BEGIN_ANEW
    if not primary_ok:
        return Verdict.FAIL
    return Verdict.ANSWER if unbroken or not crossed else Verdict.UNKNOWN


def crossed(began: Phase, now: Phase) -> bool:
    """Whether reads go to another side than when the write began."""
    return EFFECTS[began].primary is not EFFECTS[now].primary


def leaves_debt(*, primary_ok: bool, secondary_ok: bool, unbroken: bool) -> bool:
    """Rule 5: whether a dual write leaves its ids as debt when its token is settled."""
    return not (primary_ok and secondary_ok and unbroken)


def overlaps(ids_in_flight: Mapping[str, int], record_id: str) -> bool:
    """Rule 6: another token is in flight on this id."""
    return ids_in_flight.get(record_id, 0) > 0


def mark_stays(*, touched_since_read: bool, in_flight: bool) -> bool:
    """Rules 7 and 9: a copied or paid id stays (or becomes) debt if a token touched it meanwhile."""
    return touched_since_read or in_flight


def may_finish(*, lock_held: bool) -> bool:
    """Rule 12: whether the last byte of a migrator's request may leave. No cluster acts on a request without it."""
    return lock_held


def drained(version: int, began: Iterable[int]) -> bool:
    """Rule 3: whether `version` may be acknowledged, given the versions that writes in flight began under."""
    return all(start >= version for start in began)


EVERY_TENANT = ""
"""No tenant has this name; a barrier for it is one of all tenants."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Rule 3: a router has adopted `version`, and speaks for all tenants but those in `withheld`.

    `withheld`: for each tenant with a write of an earlier standing in flight, the last version for which it speaks.
    """

    version: int
    withheld: Mapping[str, int] = field(default_factory=dict)

    def of(self, tenant: str) -> int:
        """The newest version that is acknowledged for `tenant`; for EVERY_TENANT, for all of them."""
        if tenant == EVERY_TENANT:
            return min([self.version, *self.withheld.values()])
        return min(self.version, self.withheld.get(tenant, self.version))


def acknowledgement(version: int, overtaken: Iterable[tuple[str, int]]) -> Acknowledgement:
    """Rule 3: what a router that has adopted `version` may acknowledge.

    `overtaken`: for each write in flight whose tenant has moved since, the tenant, and the last version under which the
    write's view of it was still current.
    """
    withheld: dict[str, int] = {}
    for tenant, last in overtaken:
        withheld[tenant] = min(last, withheld.get(tenant, last))
    return Acknowledgement(version, withheld)


@dataclass(frozen=True, slots=True)
class Session:
    """A router's session as Redis sees it: times in seconds of Redis's lease time."""

    id: str
    acknowledged: Acknowledgement
    expires: float

    def alive(self, now: float) -> bool:
        return self.expires > now


def lagging(sessions: Iterable[Session], version: int, tenant: str, now: float) -> list[str]:
    """Rule 2: the live sessions that have not acknowledged `version` for `tenant`. None left: the barrier is passed."""
    return [
        session.id for session in sessions if session.alive(now) and session.acknowledged.of(tenant) < version
    ]


def follows(known: str, before: str) -> bool:
    """Rule 13: whether a change that came after a version with the stamp `before` follows the version `known`.

    An empty stamp is one from before there were stamps.
    """
    return not known or not before or known == before


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
