"""Reads: from the primary of the tenant's phase, by the map that this process has.

On two clusters the other side may be asked instead (a canary, a failover) or as well, afterwards (a shadow). Its
answer counts only if the tenant is still in that phase when it comes: later it may have been purged there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from opentelemetry.metrics import Counter
from opentelemetry.trace import Span

from . import telemetry as names
from .errors import LeaseLost, Unavailable
from .questions import Question, is_canary
from .records import EMPTY
from .routing import Route, Target
from .shadow import Shadow, Shadows
from .spans import Trace, both_paths, client_span, request
from .telemetry import canary_fallbacks, failover_reads, stale_reads
from .view import View

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Ask:
    """Who is asked, and in which role."""

    target: Target
    role: str
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is asked first, and who instead where that fails with one of `gives_way`, which `counter` counts."""

    first: Ask
    instead: Ask | None = None
    gives_way: type[Exception] = Unavailable
    counter: Counter | None = None


def planned(route: Route, other: Target, *, canary: bool, failover: bool) -> Plan:
    """How a read of a tenant on two clusters is answered."""
    primary = Ask(route.primary, "primary")
    if canary:
        return Plan(Ask(other, "canary"), primary, Exception, canary_fallbacks)
    if failover and route.standing.synced:
        instead = Ask(other, "secondary", {names.FAILOVER: True})
        return Plan(primary, instead, Unavailable, failover_reads)
    return Plan(primary)


@dataclass(frozen=True, slots=True)
class Answered(Generic[_Answer]):
    """An answer, whose it is, and the span of its request. `seconds`: how long it took."""

    target: Target
    answer: _Answer
    seconds: float
    span: Span


class Reader:
    """All reads of one router."""

    def __init__(self, view: View, shadows: Shadows, *, serve_stale: bool, failover: bool) -> None:
        self._view = view
        self._shadows = shadows
        self._serve_stale = serve_stale
        self._failover = failover

    async def read(self, operation: str, route: Route, call: Awaitable[_Answer]) -> _Answer:
        """The answer of the primary. Without a lease the map may be old: then the span is marked stale.

        Raises LeaseLost instead where the configuration refuses stale reads.
        """
        view = self._view
        generation = view.lease.generation
        if not view.may_answer(generation):
            return await self._stale(operation, route, call)
        answer = await request(operation, "primary", route, route.primary, call)
        if not view.may_answer(generation):  # a process that was stopped on the way
            self._check_stale(route)
        return answer

    # -- on two clusters -------------------------------------------------------------------------------------

    async def ask(self, route: Route, question: Question[_Answer], sticky: str | None = None) -> _Answer:
        """The answer of the primary, or of the other side where that may stand in for it. Raises as `read` does.

        `sticky`: what decides whether a canary answers, instead of the question itself.
        """
        other, standing = route.secondary, route.standing
        generation = self._view.lease.generation
        if other is None or not self._view.may_answer(generation):
            return await self.read(question.operation, route, question.put(route.primary))
        canary = bool(standing.canary) and is_canary(standing, sticky or question.digest())
        shadowed = standing.synced and self._shadows.drawn(
            route
        )  # before, the other side has no more than a part
        plan = planned(route, other, canary=canary, failover=self._failover)
        self._shadows.served(question, route)
        if shadowed or plan.instead is not None:
            found = await self._below_a_root(plan, route, question, generation, shadowed=shadowed)
        else:
            found = await self._put(plan.first, route, question)
        if not self._view.may_answer(generation):  # a process that was stopped on the way
            self._check_stale(route)
        return found.answer

    async def _below_a_root(
        self, plan: Plan, route: Route, question: Question[_Answer], generation: int, *, shadowed: bool
    ) -> Answered[_Answer]:
        """The same in a trace in which both sides' requests are siblings."""
        with both_paths(question.operation, route, EMPTY) as root:
            found = await self._carried_out(plan, route, question, generation)
        first = found.target is plan.first.target
        if shadowed and first:
            self._shadows.offer(_shadow(route, question, found, Trace.of(root, found.span)))
        return found

    async def _carried_out(
        self, plan: Plan, route: Route, question: Question[_Answer], generation: int
    ) -> Answered[_Answer]:
        failure: Exception | None = None
        try:
            found = await self._put(plan.first, route, question)
            if self._counts(found, route, generation):
                return found
        except plan.gives_way as error:
            if plan.instead is None:
                raise
            failure = error
        assert plan.instead is not None, "the primary's answer always counts"
        if plan.counter is not None:
            plan.counter.add(
                1, {names.PHASE: route.standing.phase.value, names.DB_OPERATION: question.operation}
            )
        return await self._instead(plan.instead, route, question, generation, failure)

    async def _instead(
        self,
        ask: Ask,
        route: Route,
        question: Question[_Answer],
        generation: int,
        failure: Exception | None,
    ) -> Answered[_Answer]:
        """The second answer. Where it is no use either, the primary's failure is raised."""
        if ask.target is route.primary:
            return await self._put(ask, route, question)
        assert failure is not None, "the primary failed"
        try:
            found = await self._put(ask, route, question)
        except Exception as error:
            raise failure from error
        if not self._counts(found, route, generation):
            raise failure
        return found

    def _counts(self, found: Answered[Any], route: Route, generation: int) -> bool:
        """Whether the tenant is, provably, still where its other side may answer."""
        if found.target is route.primary:
            return True
        moved = self._view.standing(route.tenant).moved(route.standing)
        return self._view.may_answer(generation) and not moved

    async def _put(self, ask: Ask, route: Route, question: Question[_Answer]) -> Answered[_Answer]:
        operation, target = question.operation, ask.target
        span, began = client_span(operation), perf_counter()
        try:
            answer = await request(operation, ask.role, route, target, question.put(target), ask.extra, span)
        except Exception as error:
            self._shadows.failed(question, route, target, error)
            raise
        seconds = perf_counter() - began
        self._shadows.answered(question, route, target, seconds)
        return Answered(target, answer, seconds, span)

    # -- without a lease -------------------------------------------------------------------------------------

    async def _stale(self, operation: str, route: Route, call: Awaitable[_Answer]) -> _Answer:
        try:
            self._check_stale(route)
        except LeaseLost:
            _discard(call)
            raise
        return await request(operation, "primary", route, route.primary, call, {names.STALE: True})

    def _check_stale(self, route: Route) -> None:
        if not self._serve_stale:
            raise LeaseLost(
                f"tenant {route.tenant!r}: Redis cannot be asked whether the tenant has moved, and "
                "router.stale_reads is off",
                retry_after=1.0,
            )
        stale_reads.add(1)


def _shadow(
    route: Route, question: Question[_Answer], found: Answered[_Answer], trace: Trace | None
) -> Shadow[_Answer]:
    """Of what was answered, the side that was not asked."""
    assert route.secondary is not None, "it was asked on two clusters"
    by_primary = found.target is route.primary
    other = route.secondary if by_primary else route.primary
    kept = question.kept(found.answer)  # the caller may change what it was given
    return Shadow(question, route, found.target, other, kept, found.seconds, trace)


def _discard(call: Awaitable[object]) -> None:
    close = getattr(call, "close", None)
    if close is not None:
        close()
