"""Each rule with one of the project's functions replaced, in the cheapest scope that shows what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shardroute import rules
from shardroute.phases import Phase
from shardroute.rules import Journal, Refusal, Verdict

from .decisions import Rules
from .state import Scope

ONE_FAULTY = frozenset({0})
BOTH_FAULTY = frozenset({0, 1})
FAULTS = Scope(faulty=ONE_FAULTY)


@dataclass(frozen=True)
class Case:
    """A rule that is left out."""

    name: str
    text: str
    rules: Rules
    scope: Scope = Scope()  # noqa: RUF009 - frozen


def _refusal(**overruled: Any) -> Callable[..., Refusal | None]:
    return lambda phase, to, **known: rules.refusal(phase, to, **(known | overruled))


def _written_again(*, sent: bool, primary_ok: bool, unbroken: bool, crossed: bool) -> Verdict:
    if sent and not primary_ok:
        return Verdict.FAIL
    return Verdict.ANSWER if sent and unbroken else Verdict.BEGIN_ANEW


SWITCHED_OFF = (
    Case(
        "barrier",
        "rule 2: wait for every live session to acknowledge a phase before acting on it",
        Rules(lagging=lambda *_: []),
    ),
    Case(
        "drain",
        "rule 3: acknowledge only once writes begun under an earlier phase have ended",
        Rules(drained=lambda _version, _began: True),
    ),
    Case(
        "once",
        "rule 4: a write that may have been seen is never written again",
        Rules(verdict=_written_again),
        FAULTS,
    ),
    Case(
        "cut off",
        "rule 4: cut off in time what is under way, so that nothing lands after its lease",
        Rules(cut_off_at=lambda lease, linger: lease.until),
        FAULTS,
    ),
    Case(
        "leave",
        "rule 4: a session that ends with a request under way is waited for until that can no longer land",
        Rules(stays_after_leaving=lambda open_requests, linger: 0.0),
        FAULTS,
    ),
    Case(
        "journal",
        "rule 5: a dual write that failed leaves its ids as debt",
        Rules(leaves_debt=lambda **_: False),
    ),
    Case(
        "failed primary",
        "rule 5: a dual write that failed on the primary alone leaves its ids as debt",
        Rules(
            leaves_debt=lambda primary_ok, secondary_ok, unbroken: rules.leaves_debt(
                primary_ok=True, secondary_ok=secondary_ok, unbroken=unbroken
            )
        ),
    ),
    Case(
        "overlap",
        "rule 6: dual writes that overlap on an id leave it as debt",
        Rules(overlaps=lambda _ids_in_flight, _record_id: False),
    ),
    Case(
        "touch",
        "rules 7 and 9: a copied or paid id that was touched meanwhile is debt",
        Rules(mark_stays=lambda **_: False),
    ),
    Case(
        "reap",
        "rule 8: tokens of sessions that are gone become debt",
        Rules(reaped=lambda journal, gone: replace(journal, tokens=journal.tokens - gone)),
        FAULTS,
    ),
    Case(
        "copy",
        "rule 10: hold and cross only after a full copy",
        Rules(refusal=_refusal(synced=True)),
    ),
    Case(
        "copy again",
        "rule 10: a copy counts until the tenant is on one cluster again",
        Rules(stays_synced=lambda _to, synced: synced),
        Scope(start=Phase.DUAL_OLD, moves=4),
    ),
    Case(
        "debt",
        "rule 10: cross only without debt and tokens",
        Rules(refusal=_refusal(journal=Journal())),
    ),
    Case(
        "fresh",
        "rule 7: where reads lag, wait until they have caught up with the opening of the window",
        Rules(),
        Scope(reads_lag=True, waits_for_reads=False),
    ),
    Case(
        "last byte",
        "rule 12: a migrator that was stopped in the middle of a request finishes it only with its lock",
        Rules(may_finish=lambda *, lock_held: True),
        Scope(migrators_stop=True),
    ),
    Case(
        "crossed hold",
        "rule 11: a hold that was entered by the crossing ends only after the barrier",
        Rules(refusal=_refusal(crossed=False)),
        Scope(moves=5, holds_expire=True),
    ),
)
