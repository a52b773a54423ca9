"""What the model may decide: nothing by itself. Each decision is one of the project's functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from shardroute import rules
from shardroute.phases import Phase
from shardroute.rules import Acknowledgement, Journal, Lease, Session, Verdict

RECORD = "record"
NOW, FOREVER, LONG_AGO = 0.0, 100.0, -1.0
LINGER = 1.0


@dataclass(frozen=True)
class Rules:
    """The project's decisions. Replace one to switch it off."""

    refusal: Callable[..., rules.Refusal | None] = rules.refusal
    may_finish: Callable[..., bool] = rules.may_finish
    lagging: Callable[..., list[str]] = rules.lagging
    drained: Callable[..., bool] = rules.drained
    cut_off_at: Callable[..., float] = rules.cut_off_at
    stays_after_leaving: Callable[..., float] = rules.stays_after_leaving
    verdict: Callable[..., Verdict] = rules.verdict
    leaves_debt: Callable[..., bool] = rules.leaves_debt
    overlaps: Callable[..., bool] = rules.overlaps
    mark_stays: Callable[..., bool] = rules.mark_stays
    reaped: Callable[..., Journal] = rules.reaped
    stays_synced: Callable[..., bool] = rules.stays_synced


class Decisions:
    """The rules, asked in the model's terms. They are pure, so each answer is kept."""

    def __init__(self, given: Rules) -> None:
        self._rules = given
        self.barrier_passed = cache(self._barrier_passed)
        self.may_move = cache(self._may_move)
        self.drained = cache(self._drained)
        self.verdict = cache(self._verdict)
        self.leaves_debt = cache(self._leaves_debt)
        self.overlaps = cache(self._overlaps)
        self.mark_stays = cache(self._mark_stays)
        self.reaped = cache(self._reaped)
        self.stays_synced = cache(self._stays_synced)

    def _barrier_passed(self, acknowledged: tuple[int, int], leased: tuple[bool, bool], version: int) -> bool:
        sessions = [
            Session(str(router), Acknowledgement(seen), FOREVER if held else LONG_AGO)
            for router, (seen, held) in enumerate(zip(acknowledged, leased, strict=True))
        ]
        return not self._rules.lagging(sessions, version, RECORD, NOW)

    def _may_move(
        self,
        phase: Phase,
        to: Phase,
        synced: bool,
        tokens: int,
        debt: bool,
        passed: bool,
        overdue: bool,
        crossed: bool,
    ) -> bool:
        journal = Journal(tokens=tokens, debt=int(debt))
        why_not = self._rules.refusal(
            phase,
            to,
            synced=synced,
            journal=journal,
            barrier_passed=passed,
            hold_overdue=overdue,
            crossed=crossed,
        )
        return why_not is None

    def _drained(self, version: int, began: int) -> bool:
        return self._rules.drained(version, [began])

    @property
    def lands_before_the_lease_ends(self) -> bool:
        """Whether what is cut off in time can no longer land when the lease has ended."""
        return self._rules.cut_off_at(Lease(until=FOREVER), LINGER) + LINGER <= FOREVER

    @property
    def finishes_without_its_lock(self) -> bool:
        """Whether a migrator that was stopped in the middle of a request goes on with it after its lock was lost."""
        return self._rules.may_finish(lock_held=False)

    @property
    def lands_before_the_session_ends(self) -> bool:
        """The same of a session that ends with a request under way."""
        return self._rules.stays_after_leaving(1, LINGER) >= LINGER

    def _verdict(self, began: Phase, now: Phase, sent: bool, primary_ok: bool, unbroken: bool) -> Verdict:
        crossed = rules.crossed(began, now)
        return self._rules.verdict(sent=sent, primary_ok=primary_ok, unbroken=unbroken, crossed=crossed)

    def _leaves_debt(self, primary_ok: bool, secondary_ok: bool, unbroken: bool) -> bool:
        return self._rules.leaves_debt(primary_ok=primary_ok, secondary_ok=secondary_ok, unbroken=unbroken)

    def _overlaps(self, tokens: int) -> bool:
        return self._rules.overlaps({RECORD: tokens}, RECORD)

    def _mark_stays(self, touched: bool, in_flight: bool) -> bool:
        return self._rules.mark_stays(touched_since_read=touched, in_flight=in_flight)

    def _reaped(self, tokens: int, debt: bool, gone: int) -> bool:
        return self._rules.reaped(Journal(tokens=tokens, debt=int(debt)), gone).debt > debt

    def _stays_synced(self, to: Phase, synced: bool) -> bool:
        return self._rules.stays_synced(to, synced=synced)
