"""The migration protocol as an explicit-state model, over the project's own tables and rules.

One tenant, one record, two routers with stale views that write and read, and a migrator that walks the line of phases
in either direction. Every interleaving of every atomic step may be explored (`search.explore`), with routers that
crash, lapse and end in the middle of a write, and writes that fail. What a phase does is read from
`shardroute.phases`; whatever has to be decided is asked of `shardroute.rules` (`decisions`). Run
``python -m tests.model`` for a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shardroute.phases import HOLD_ENDS_IN, NEIGHBOURS, Phase
from shardroute.rules import Verdict

from .decisions import Decisions, Rules
from .state import (
    HELD,
    NOTHING_READ,
    OTHER,
    PRIMARY,
    SECONDARY,
    SETTLED,
    Router,
    Scope,
    Sent,
    State,
    Task,
    Token,
    Write,
    observed,
    violation,
)


class Model:
    """Every atomic step that anyone may take."""

    def __init__(self, given: Rules | None = None, scope: Scope | None = None) -> None:
        self.scope = scope or Scope()
        self._ask = Decisions(given or Rules())

    def initial(self) -> State:
        start, writes = self.scope.start, self.scope.writes
        routers = tuple(Router(start, 0, 0, True, True, None, begun=router * writes) for router in range(2))
        return State(
            stores=(0, 0), shown=(0, 0), phase=start, version=0, routers=routers, debt=False, touched=False,
            tokens=frozenset(), late=frozenset(), answered=frozenset(), refused=frozenset(),
            before=(frozenset(),) * (2 * writes),
            visible=frozenset({0}), gone=frozenset(), synced=False, task=Task.IDLE, read=NOTHING_READ, moves=0,
            crossed=False,
        )  # fmt: skip

    def steps(self, state: State) -> Iterator[State]:
        return (observed(state, step) for step in self._steps(state))

    def violation(self, state: State) -> str | None:
        return violation(state)

    def _steps(self, state: State) -> Iterator[State]:
        for index, router in enumerate(state.routers):
            if router.alive:
                yield from self._session_steps(state, index, router)
                yield from self._writing_steps(state, index, router)
        yield from self._migrator_steps(state)
        for slot, value in state.late:
            yield self._stored(state, slot, value)._replace(late=state.late - {(slot, value)})
        if state.shown != state.stores:
            yield state._replace(shown=state.stores)

    def _stored(self, state: State, slot: int, value: int) -> State:
        old, new = state.stores
        stores = (old, value) if slot else (value, new)
        return state._replace(stores=stores, shown=state.shown if self.scope.reads_lag else stores)

    # -- a router's session: crash, lapse, end, renew, adopt, acknowledge -----------------------------------

    def _session_steps(self, state: State, index: int, router: Router) -> Iterator[State]:
        if index in self.scope.faulty:
            yield from self._faults(state, index, router)
        write = router.write
        if not router.leased:
            if not write:
                yield _with(state, index, _renewed(router, state))
            return
        if router.version < state.version:
            yield _with(state, index, router._replace(phase=state.phase, version=state.version))
        if router.acknowledged < router.version and (
            not write or self._ask.drained(router.version, write.version)
        ):
            yield _with(state, index, router._replace(acknowledged=router.version))
        if self.scope.holds_expire and state.phase in HELD:
            yield from self._expired_hold(state)

    def _faults(self, state: State, index: int, router: Router) -> Iterator[State]:
        """A session that ends by itself, or with its process; or that leaves in the middle of a write."""
        may_crash = all(each.alive for each in state.routers)
        gone = router._replace(alive=False, leased=False, write=None)
        if not router.leased:
            if may_crash:
                yield _with(state, index, gone)
            return
        for ended, write in self._cut_off(state, router.write, in_time=self._ask.lands_before_the_lease_ends):
            if may_crash:
                yield _with(ended, index, gone)
            yield _with(ended, index, router._replace(leased=False, write=write))
        if may_crash and not self._ask.lands_before_the_session_ends:
            for ended, _ in self._cut_off(state, router.write, in_time=False):
                yield _with(ended, index, gone)

    def _cut_off(
        self, state: State, write: Write | None, *, in_time: bool
    ) -> Iterator[tuple[State, Write | None]]:
        """What may have become of the requests under way when the lease ends. Not `in_time`: they may land later."""
        if write is None or write.settled or Sent.NOT_YET not in (write.primary, write.secondary):
            yield state, write
            return
        if not write.token:
            yield state, write  # perhaps nothing was sent
            if write.phase in SECONDARY:
                return  # certainly
        for primary in _fates(write.primary):
            for secondary in _fates(write.secondary):
                after = write._replace(primary=primary, secondary=secondary)
                yield self._landed(state, write, after, in_time=in_time), after

    def _landed(self, state: State, before: Write, after: Write, *, in_time: bool) -> State:
        pairs = (
            (PRIMARY[before.phase], before.primary, after.primary),
            (OTHER[before.phase], before.secondary, after.secondary),
        )
        for slot, was, now in pairs:
            if was is Sent.NOT_YET and now is Sent.LANDED:
                state = self._stored(state, slot, before.value)
            elif was is Sent.NOT_YET and not in_time:
                state = state._replace(late=state.late | {(slot, before.value)})
        return state

    def _expired_hold(self, state: State) -> Iterator[State]:
        """Rule 11, at any moment of a hold: whatever the clocks say, it happens at one of them."""
        if state.moves < self.scope.moves and self._may_move(state, HOLD_ENDS_IN[state.phase], overdue=True):
            yield self._moved(state, HOLD_ENDS_IN[state.phase])

    # -- a write ---------------------------------------------------------------------------------------------

    def _writing_steps(self, state: State, index: int, router: Router) -> Iterator[State]:
        write = router.write
        if not write:
            if router.leased and router.phase not in HELD and router.begun < (index + 1) * self.scope.writes:
                yield _begun(state, index, router)
        elif not router.leased:
            yield from self._held_again(state, index, router, write)
        elif write.phase not in SECONDARY:
            yield from self._single_steps(state, index, router, write)
        elif not write.token:
            yield from self._registered(state, index, router, write)
        else:
            yield from self._dual_steps(state, index, router, write)

    def _single_steps(self, state: State, index: int, router: Router, write: Write) -> Iterator[State]:
        if write.primary is Sent.NOT_YET:
            landed = self._stored(state, PRIMARY[write.phase], write.value)
            yield _with(landed, index, _at(router, primary=Sent.LANDED))
            if self.scope.primaries_fail:
                yield _refused(state, index, router, write)
        else:
            yield self._answered(state, index, router, write)

    def _registered(self, state: State, index: int, router: Router, write: Write) -> Iterator[State]:
        rest = _tokens_but(state, index)
        if len(rest) < len(state.tokens):
            return  # the token of this router's last write is not settled yet
        overlapped = self._ask.overlaps(len(rest))
        at_once = overlapped and self.scope.overlap_marks_at_once
        flagged = overlapped and not at_once
        others = frozenset(token._replace(overlapped=True) for token in rest) if flagged else rest
        yield _with(state, index, _at(router, token=True))._replace(
            tokens=others | {Token(index, flagged)}, touched=True, debt=state.debt or at_once
        )

    def _dual_steps(self, state: State, index: int, router: Router, write: Write) -> Iterator[State]:
        if write.settled:
            yield self._answered(state, index, router, write)
            return
        if write.primary is Sent.NOT_YET:
            landed = self._stored(state, PRIMARY[write.phase], write.value)
            yield _with(landed, index, _at(router, primary=Sent.LANDED))
            if self.scope.primaries_fail:
                yield _with(state, index, _at(router, primary=Sent.FAILED))
        if write.secondary is Sent.NOT_YET:
            landed = self._stored(state, SECONDARY[write.phase], write.value)
            yield _with(landed, index, _at(router, secondary=Sent.LANDED))
            yield _with(state, index, _at(router, secondary=Sent.FAILED))
        if Sent.NOT_YET not in (write.primary, write.secondary):
            yield self._settled(state, index, router, write)

    def _settled(self, state: State, index: int, router: Router, write: Write) -> State:
        ok = write.primary is Sent.LANDED
        # With a failed primary, the rule may not rely on the secondary.
        debt = self._ask.leaves_debt(ok, not ok or write.secondary is Sent.LANDED, True)
        overlapped = Token(index, True) in state.tokens
        ended = state._replace(
            tokens=_tokens_but(state, index), touched=True, debt=state.debt or debt or overlapped
        )
        failed = self._ask.verdict(write.phase, write.phase, True, ok, True) is Verdict.FAIL
        return (
            _refused(ended, index, router, write)
            if failed
            else _with(ended, index, _at(router, settled=True))
        )

    def _answered(self, state: State, index: int, router: Router, write: Write) -> State:
        answered = state.answered | {write.value}
        return _with(state, index, router._replace(write=None))._replace(answered=answered)

    def _held_again(self, state: State, index: int, router: Router, write: Write) -> Iterator[State]:
        """The lease was lost on the way: renew it, adopt the map, and decide what becomes of the write (rule 4)."""
        renewed = _renewed(router, state)
        after = self._given_up(state, index, write)
        sent = write.primary is not Sent.NOT_YET or write.secondary not in (Sent.NOT_YET, Sent.NOT_ASKED)
        for known in (True, False) if write.primary is Sent.LANDED else (False,):
            match self._ask.verdict(write.phase, state.phase, sent, known, False):
                case Verdict.ANSWER:
                    done = _with(after, index, renewed._replace(write=None))
                    yield done._replace(answered=done.answered | {write.value})
                case Verdict.BEGIN_ANEW if not sent:
                    anew = renewed._replace(write=None, begun=write.value - 1)
                    yield _with(after, index, anew)
                case Verdict.BEGIN_ANEW:  # only where a rule is left out
                    if state.phase not in HELD:
                        yield _with(after, index, renewed._replace(write=_fresh(write.value, state)))
                case _:
                    yield _with(after, index, renewed._replace(write=None))

    def _given_up(self, state: State, index: int, write: Write) -> State:
        """Where there are two sides, what a broken lease leaves behind is debt."""
        owes = state.phase not in SETTLED
        return state._replace(
            tokens=_tokens_but(state, index), debt=state.debt or owes, touched=state.touched or owes
        )

    # -- the migrator ----------------------------------------------------------------------------------------

    def _migrator_steps(self, state: State) -> Iterator[State]:
        match state.task:
            case Task.BARRIER:
                if self._barrier_passed(state):
                    yield self._reaped(state)._replace(task=Task.IDLE)
            case Task.IDLE:
                yield from self._idle_steps(state)
            case Task.COPY_OPENED | Task.PAY_OPENED:
                read = state.shown[PRIMARY[state.phase]]
                task = Task.COPY_READ if state.task is Task.COPY_OPENED else Task.PAY_READ
                yield state._replace(task=task, read=read)
            case Task.COPY_READ | Task.PAY_READ:
                written = self._stored(state, OTHER[state.phase], state.read)
                task = Task.COPY_WRITTEN if state.task is Task.COPY_READ else Task.PAY_WRITTEN
                yield written._replace(task=task, read=NOTHING_READ)
                if self.scope.migrators_stop:
                    yield from self._taken_over(state)
            case Task.COPY_WRITTEN | Task.PAY_WRITTEN:
                reaped = self._reaped(state)
                stays = self._ask.mark_stays(reaped.touched, bool(reaped.tokens))
                older = reaped.debt and state.task is Task.COPY_WRITTEN
                yield reaped._replace(task=Task.IDLE, synced=True, debt=older or stays)

    def _taken_over(self, state: State) -> Iterator[State]:
        """Another migrator has the lock. It waited, so what the first had sent whole has landed by now."""
        heir = state._replace(task=Task.IDLE, read=NOTHING_READ)
        yield heir
        yield self._stored(heir, OTHER[state.phase], state.read)
        if self._ask.finishes_without_its_lock:
            yield heir._replace(late=heir.late | {(OTHER[state.phase], state.read)})

    def _idle_steps(self, state: State) -> Iterator[State]:
        if state.moves < self.scope.moves:
            for to in NEIGHBOURS[state.phase]:
                if self._may_move(state, to, overdue=False):
                    yield self._moved(state, to)._replace(task=Task.BARRIER)
        if state.phase in SECONDARY and not state.synced:
            yield self._window(state, Task.COPY_OPENED, Task.COPY_READ)
        if state.debt and state.synced and state.phase not in SETTLED:
            yield self._window(state, Task.PAY_OPENED, Task.PAY_READ)
        reaped = self._reaped(state)
        if reaped is not state:
            yield reaped

    def _window(self, state: State, opened: Task, read: Task) -> State:
        """Where reads see every write at once, reading is one step with opening: nothing can tell them apart."""
        opening = state._replace(touched=False)
        if not self.scope.reads_lag:
            return opening._replace(task=read, read=state.stores[PRIMARY[state.phase]])
        return opening._replace(
            task=opened, shown=state.stores if self.scope.waits_for_reads else state.shown
        )

    def _barrier_passed(self, state: State) -> bool:
        one, two = state.routers
        return self._ask.barrier_passed(
            (one.acknowledged, two.acknowledged), (one.leased, two.leased), state.version
        )

    def _may_move(self, state: State, to: Phase, *, overdue: bool) -> bool:
        passed = self._barrier_passed(state)
        return self._ask.may_move(
            state.phase, to, state.synced, len(state.tokens), state.debt, passed, overdue, state.crossed
        )

    def _moved(self, state: State, to: Phase) -> State:
        synced = self._ask.stays_synced(to, state.synced)
        crossed = state.phase in HELD and to in HELD
        return state._replace(
            phase=to, version=state.version + 1, moves=state.moves + 1, synced=synced, crossed=crossed
        )

    def _reaped(self, state: State) -> State:
        if not state.tokens:
            return state
        left = frozenset(token for token in state.tokens if state.routers[token.router].leased)
        gone = len(state.tokens) - len(left)
        if not gone:
            return state
        marked = self._ask.reaped(len(state.tokens), state.debt, gone)
        return state._replace(tokens=left, debt=state.debt or marked, touched=state.touched or marked)


def _with(state: State, index: int, router: Router) -> State:
    one, two = state.routers
    return state._replace(routers=(one, router) if index else (router, two))


def _at(router: Router, **changes: Any) -> Router:
    assert router.write is not None
    return router._replace(write=router.write._replace(**changes))


def _refused(state: State, index: int, router: Router, write: Write) -> State:
    return _with(state, index, router._replace(write=None))._replace(refused=state.refused | {write.value})


def _begun(state: State, index: int, router: Router) -> State:
    value = router.begun + 1
    known = state.answered | state.gone | state.visible
    before = (*state.before[: value - 1], known, *state.before[value:])
    write = Write(value, router.phase, router.version, Sent.NOT_YET, _secondary(router.phase))
    return _with(state, index, router._replace(write=write, begun=value))._replace(before=before)


def _fresh(value: int, state: State) -> Write:
    return Write(value, state.phase, state.version, Sent.NOT_YET, _secondary(state.phase))


def _secondary(phase: Phase) -> Sent:
    return Sent.NOT_YET if phase in SECONDARY else Sent.NOT_ASKED


def _fates(sent: Sent) -> tuple[Sent, ...]:
    return (Sent.LANDED, Sent.FAILED) if sent is Sent.NOT_YET else (sent,)


def _renewed(router: Router, state: State) -> Router:
    return router._replace(leased=True, phase=state.phase, version=state.version, acknowledged=state.version)


def _tokens_but(state: State, index: int) -> frozenset[Token]:
    return frozenset(token for token in state.tokens if token.router != index)
