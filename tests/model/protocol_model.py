"""The migration protocol as an explicit-state model, over the project's own tables and rules.

One tenant, one record, two routers with stale views and a migrator that walks the line of phases in either
direction. Every interleaving of every atomic step may be explored (`search.explore`), with router crashes,
lapsed leases, late writes and failed writes. What a phase does is read from `shardroute.phases`; whatever has
to be decided is asked of `shardroute.rules` (`decisions`). Run ``python -m tests.model`` for a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    UNDECIDED,
    UNPROMISED,
    Router,
    Scope,
    Stage,
    State,
    Task,
    Token,
    Write,
)


class Model:
    """Every atomic step that anyone may take."""

    def __init__(self, given: Rules | None = None, scope: Scope | None = None) -> None:
        self.scope = scope or Scope()
        self._ask = Decisions(given or Rules())
        self._write_steps: dict[Stage, Callable[[State, int, Router, Write, bool], Iterator[State]]] = {
            Stage.BEGIN: self._begin,
            Stage.SENT: self._sent,
            Stage.PRIMARY_DONE: self._primary_done,
            Stage.SECONDARY_DONE: self._secondary_done,
            Stage.PRIMARY_FAILED: self._primary_failed,
            Stage.BOTH_DONE: self._settle_token,
            Stage.FAILED: self._settle_token,
            Stage.VALIDATE: self._validate,
            Stage.AGAIN: self._again,
        }

    def initial(self) -> State:
        start, writes = self.scope.start, self.scope.writes
        routers = tuple(Router(start, 0, 0, True, True, None, begun=router * writes) for router in range(2))
        return State(
            stores=(0, 0), shown=(0, 0), phase=start, version=0, routers=routers, debt=False, touched=False,
            tokens=frozenset(), answered=frozenset(), answered_before=(frozenset(),) * (2 * writes),
            settled=0, synced=False, task=Task.IDLE, read=NOTHING_READ, moves=0, crossed=False,
        )  # fmt: skip

    def steps(self, state: State) -> Iterator[State]:
        for index, router in enumerate(state.routers):
            if router.alive:
                yield from self._session_steps(state, index, router)
                yield from self._writing_steps(state, index, router)
        yield from self._migrator_steps(state)
        if state.shown != state.stores:
            yield state._replace(shown=state.stores)

    def _stored(self, state: State, slot: int, value: int) -> State:
        old, new = state.stores
        stores = (old, value) if slot else (value, new)
        return state._replace(stores=stores, shown=state.shown if self.scope.reads_lag else stores)

    # -- a router's session: crash, lapse, renew, adopt, acknowledge ----------------------------------------

    def _session_steps(self, state: State, index: int, router: Router) -> Iterator[State]:
        write = router.write
        if index in self.scope.faulty:
            if all(each.alive for each in state.routers):
                yield _with(state, index, router._replace(alive=False, leased=False))
            if router.leased:
                broken = write and write._replace(lease_broken=True)
                yield _with(state, index, router._replace(leased=False, write=broken))
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

    def _expired_hold(self, state: State) -> Iterator[State]:
        """Rule 11, at any moment of a hold: whatever the clocks say, it happens at one of them."""
        if state.moves < self.scope.moves and self._may_move(state, HOLD_ENDS_IN[state.phase], overdue=True):
            yield self._moved(state, HOLD_ENDS_IN[state.phase])

    # -- a write ---------------------------------------------------------------------------------------------

    def _writing_steps(self, state: State, index: int, router: Router) -> Iterator[State]:
        write = router.write
        if write:
            unbroken = self._ask.unbroken(router.leased, write.lease_broken)
            if not unbroken and write.stage in _REACHES_A_STORE:
                state = state._replace(settled=UNPROMISED)
            yield from self._write_steps[write.stage](state, index, router, write, unbroken)
        elif router.leased and router.phase not in HELD and router.begun < (index + 1) * self.scope.writes:
            value = router.begun + 1
            before = (*state.answered_before[: value - 1], state.answered, *state.answered_before[value:])
            begun = router._replace(
                write=Write(value, Stage.BEGIN, router.phase, router.version), begun=value
            )
            yield _with(state, index, begun)._replace(
                answered_before=before, settled=min(UNDECIDED, state.settled)
            )

    def _begin(
        self, state: State, index: int, router: Router, write: Write, unbroken: bool
    ) -> Iterator[State]:
        if write.phase not in SECONDARY:
            written = self._stored(state, PRIMARY[write.phase], write.value)
            yield _with(written, index, _at(router, write, Stage.VALIDATE))
        elif not unbroken:
            yield _with(state, index, _at(router, write, Stage.AGAIN))
        else:
            rest = _tokens_but(state, index)
            overlapped = self._ask.overlaps(len(rest))
            at_once = overlapped and self.scope.overlap_marks_at_once
            flagged = overlapped and not at_once
            others = frozenset(token._replace(overlapped=True) for token in rest) if flagged else rest
            registered = state._replace(
                tokens=others | {Token(index, flagged)}, touched=True, debt=state.debt or at_once
            )
            yield _with(registered, index, _at(router, write, Stage.SENT))

    def _sent(
        self, state: State, index: int, router: Router, write: Write, _unbroken: bool
    ) -> Iterator[State]:
        first = self._stored(state, PRIMARY[write.phase], write.value)
        yield _with(first, index, _at(router, write, Stage.PRIMARY_DONE))
        second = self._stored(state, SECONDARY[write.phase], write.value)
        yield _with(second, index, _at(router, write, Stage.SECONDARY_DONE))
        yield _with(state, index, _at(router, write, Stage.SECONDARY_DONE, failed=True))
        if self.scope.primaries_fail:
            yield _with(state, index, _at(router, write, Stage.PRIMARY_FAILED, failed=True))

    def _primary_done(
        self, state: State, index: int, router: Router, write: Write, _unbroken: bool
    ) -> Iterator[State]:
        both = self._stored(state, SECONDARY[write.phase], write.value)
        yield _with(both, index, _at(router, write, Stage.BOTH_DONE))
        yield _with(state, index, _at(router, write, Stage.BOTH_DONE, failed=True))

    def _secondary_done(
        self, state: State, index: int, router: Router, write: Write, _unbroken: bool
    ) -> Iterator[State]:
        both = self._stored(state, PRIMARY[write.phase], write.value)
        yield _with(both, index, _at(router, write, Stage.BOTH_DONE))
        if self.scope.primaries_fail:
            yield _with(state, index, _at(router, write, Stage.FAILED, failed=True))

    def _primary_failed(
        self, state: State, index: int, router: Router, write: Write, _unbroken: bool
    ) -> Iterator[State]:
        yield _with(
            self._stored(state, SECONDARY[write.phase], write.value), index, _at(router, write, Stage.FAILED)
        )
        yield _with(state, index, _at(router, write, Stage.FAILED))

    def _settle_token(
        self, state: State, index: int, router: Router, write: Write, unbroken: bool
    ) -> Iterator[State]:
        primary_ok = write.stage is not Stage.FAILED
        secondary_ok = not (
            primary_ok and write.store_failed
        )  # with a failed primary, the rule may not rely on it
        debt = self._ask.leaves_debt(primary_ok, secondary_ok, unbroken)
        overlapped = Token(index, True) in state.tokens
        ended = state._replace(
            tokens=_tokens_but(state, index), touched=True, debt=state.debt or debt or overlapped
        )
        failed = self._ask.verdict(unbroken, primary_ok) is Verdict.FAIL
        after = router._replace(write=None) if failed else _at(router, write, Stage.VALIDATE)
        yield _with(ended, index, after)

    def _validate(
        self, state: State, index: int, router: Router, write: Write, unbroken: bool
    ) -> Iterator[State]:
        if self._ask.verdict(unbroken, True) is Verdict.ANSWER:
            answered = state.answered | {write.value}
            yield _with(state, index, router._replace(write=None))._replace(answered=answered)
        else:
            yield _with(state, index, _at(router, write, Stage.AGAIN))

    def _again(
        self, state: State, index: int, router: Router, write: Write, _unbroken: bool
    ) -> Iterator[State]:
        """The lease was lost on the way: renew it, adopt the map, do the write again under its phase."""
        renewed = _renewed(router, state)
        stage = Write(write.value, Stage.AGAIN, state.phase, state.version)
        if state.phase not in HELD:
            yield _with(state, index, renewed._replace(write=stage._replace(stage=Stage.BEGIN)))
        yield _with(state, index, renewed._replace(write=stage))

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
            case Task.COPY_WRITTEN | Task.PAY_WRITTEN:
                reaped = self._reaped(state)
                stays = self._ask.mark_stays(reaped.touched, bool(reaped.tokens))
                older = reaped.debt and state.task is Task.COPY_WRITTEN
                yield reaped._replace(task=Task.IDLE, synced=True, debt=older or stays)

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


_REACHES_A_STORE = frozenset(
    {Stage.BEGIN, Stage.SENT, Stage.PRIMARY_DONE, Stage.SECONDARY_DONE, Stage.PRIMARY_FAILED}
)


def _with(state: State, index: int, router: Router) -> State:
    one, two = state.routers
    return state._replace(routers=(one, router) if index else (router, two))


def _at(router: Router, write: Write, stage: Stage, *, failed: bool = False) -> Router:
    return router._replace(write=write._replace(stage=stage, store_failed=write.store_failed or failed))


def _renewed(router: Router, state: State) -> Router:
    return router._replace(leased=True, phase=state.phase, version=state.version, acknowledged=state.version)


def _tokens_but(state: State, index: int) -> frozenset[Token]:
    return frozenset(token for token in state.tokens if token.router != index)
