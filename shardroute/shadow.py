"""Shadow reads: while a tenant is on two clusters, a share of its reads also asks the side that did not answer.

After the fact, and at nobody's cost: the request path draws a number and puts a small value into a bounded queue,
workers do the rest, and whatever happens to them is counted and never raised. They share the event loop with the
callers: so they get a part of its time and no more (`shadow.budget`). Reads beyond that go without a shadow, counted.

The other side may lack what is debt or in flight, or what its reads do not show yet. That is a disagreement like any
other, since a reader would see it too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Generic, TypeVar

from opentelemetry.trace import Span, Status, StatusCode

from . import telemetry as names
from .allowance import Allowance, Metered
from .comparisons import Example
from .config import ShadowConfig
from .errors import TenantBreach
from .questions import Finding, Question
from .routing import Route, Target
from .spans import Trace, client_span, comparison, request
from .statistics import Events
from .tallies import Tallies
from .telemetry import agreement, shadows_cast, shadows_shed
from .view import View

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_SAVING = 0.04
"""Seconds for which time that was not spent is kept: shadows come evenly, not in bursts after a pause."""
_EXPECTED = 0.002
"""Seconds that a shadow is charged with when it is queued, until it is known what it took: else all reads that come
while the first shadow is under way would find time left."""

_MOST_IDS = 50  # of an answer in an example
_FAILED, _BREACHED = 1.0, 2.0  # how bad


@dataclass(frozen=True, slots=True)
class Shadow(Generic[_Answer]):
    """A read that has been answered, and who is to be asked as well. `seconds`: how long the answer took."""

    question: Question[_Answer]
    route: Route
    answered: Target
    other: Target
    answer: _Answer
    seconds: float
    trace: Trace | None = None

    @property
    def by_primary(self) -> bool:
        """Whether the caller had the primary's answer. A canary had the secondary's."""
        return self.answered.side is self.route.primary.side

    def finding(self, theirs: _Answer) -> Finding:
        """The primary's answer is the yardstick, whoever had it."""
        pair = (self.answer, theirs) if self.by_primary else (theirs, self.answer)
        return self.question.compared(*pair, self.route)


class Shadows:
    """The shadows of one router. Where the configuration has none, they cost nothing."""

    def __init__(
        self,
        config: ShadowConfig,
        view: View,
        tallies: Tallies,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.on = config.share > 0
        self._config = config
        self._view = view
        self._tallies = tallies
        self._dice = dice
        self._allowance = Allowance(config.budget, _SAVING, monotonic())
        self._queue: asyncio.Queue[Shadow[Any]] = asyncio.Queue(max(1, config.queue))

    # -- on the request's path: no await, and nothing that can fail ------------------------------------------

    def drawn(self, route: Route) -> bool:
        """Whether a read is to have a shadow. One that there is no time for is counted, and costs nothing else."""
        if not self.on or self._dice() >= self._config.share:
            return False
        affordable = self._allowance.left(monotonic())
        if not affordable:
            self._shed(route)
        return affordable

    def offer(self, shadow: Shadow[Any]) -> None:
        """Queues it, or counts that there was no room, or no time any more: others were drawn before it."""
        if self._queue.full() or not self._allowance.left(monotonic()):
            self._shed(shadow.route)
            return
        self._allowance.spend(_EXPECTED)
        self._queue.put_nowait(shadow)

    def _shed(self, route: Route) -> None:
        self._tallies.of(route.tenant).event(Events.SHED)
        shadows_shed.add(1, {names.PHASE: route.standing.phase.value})

    def served(self, question: Question[Any], route: Route) -> None:
        """A caller asks."""
        if self.on:
            question.served(self._tallies.of(route.tenant), route.standing.phase)

    def answered(self, question: Question[Any], route: Route, target: Target, seconds: float) -> None:
        """A side answered a caller."""
        if self.on:
            question.answered(self._tallies.of(route.tenant), target.side, seconds)

    def failed(self, question: Question[Any], route: Route, target: Target, error: BaseException) -> None:
        """A side failed a caller."""
        if self.on:
            tally = self._tallies.of(route.tenant)
            question.failed(tally, target.side, type(error).__name__)
            tally.event(Events.BREACH, isinstance(error, TenantBreach))

    # -- beside it -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Workers, while the block runs; shadows that wait at its end are forgotten."""
        async with self._tallies.sending():
            workers = [
                asyncio.create_task(self._work(), name=f"shardroute shadow {number}")
                for number in range(self._config.concurrency)
            ]
            try:
                yield
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            shadow = await self._queue.get()
            cast = Metered(self._cast(shadow))
            try:
                await cast
            except Exception:
                log.exception("a shadow of tenant %s was not counted", shadow.route.tenant)
            finally:
                self._allowance.spend(cast.seconds - _EXPECTED)

    async def _cast(self, shadow: Shadow[Any]) -> None:
        if self._moved(shadow):
            return
        if shadow.by_primary and self._dice() < self._config.floor:
            await self._repeat(shadow)
        began = perf_counter()
        try:
            async with asyncio.timeout(self._config.timeout):
                theirs = await self._ask(shadow, shadow.other)
            seconds = perf_counter() - began
            finding = shadow.finding(theirs)
        except (Exception, asyncio.CancelledError) as error:
            if _told_to_end():
                raise
            self._gone_wrong(shadow, error, perf_counter() - began)
        else:
            self._found(shadow, finding, seconds)

    async def _repeat(self, shadow: Shadow[Any]) -> None:
        """Asks the primary again: what approximate search leaves open, nobody can expect of the other side."""
        try:
            async with asyncio.timeout(self._config.timeout):
                second = await self._ask(shadow, shadow.answered)
            shadow.question.repeated(shadow.answer, second, self._tallies.of(shadow.route.tenant))
        except (Exception, asyncio.CancelledError) as error:
            if _told_to_end():
                raise
            self.failed(shadow.question, shadow.route, shadow.answered, error)

    async def _ask(self, shadow: Shadow[Any], target: Target) -> Any:
        operation, question = shadow.question.operation, shadow.question
        span = client_span(operation, shadow.trace)
        return await request(operation, "shadow", shadow.route, target, question.put(target), span=span)

    # -- what comes of it ------------------------------------------------------------------------------------

    def _moved(self, shadow: Shadow[Any]) -> bool:
        """The tenant has left the phase, perhaps a cluster, and its records there may have been purged."""
        route = shadow.route
        moved = self._view.standing(route.tenant).moved(route.standing)
        if moved:
            self._count(shadow, "moved")
        return moved

    def _found(self, shadow: Shadow[Any], finding: Finding, seconds: float) -> None:
        if self._moved(shadow):
            return
        verdict = "same" if finding.same else "differs"
        with comparison(shadow.route, shadow.trace) as span:
            span.set_attributes(finding.attributes)
            self._tell(span, shadow, verdict, seconds)
        self.answered(shadow.question, shadow.route, shadow.other, seconds)
        finding.count(self._tallies.of(shadow.route.tenant))
        self._count(shadow, verdict)
        if finding.agreement is not None:
            agreement.record(finding.agreement.recall, {names.PHASE: shadow.route.standing.phase.value})
        if finding.badness:
            self._note(shadow, finding.badness, seconds, finding.ours, finding.theirs, finding.note)

    def _gone_wrong(self, shadow: Shadow[Any], error: BaseException, seconds: float) -> None:
        if self._moved(shadow):
            return
        breach, kind = isinstance(error, TenantBreach), type(error).__name__
        verdict = "breach" if breach else "error"
        with comparison(shadow.route, shadow.trace) as span:
            span.set_attribute(names.ERROR_TYPE, kind)
            span.set_status(Status(StatusCode.ERROR, kind))
            self._tell(span, shadow, verdict, seconds)
        self.failed(shadow.question, shadow.route, shadow.other, error)
        self._count(shadow, verdict)
        ids = shadow.question.ids(shadow.answer)
        ours, theirs = (ids, ()) if shadow.by_primary else ((), ids)
        self._note(shadow, _BREACHED if breach else _FAILED, seconds, ours, theirs, kind)

    def _tell(self, span: Span, shadow: Shadow[Any], verdict: str, seconds: float) -> None:
        later = seconds - shadow.seconds if shadow.by_primary else shadow.seconds - seconds
        span.set_attributes({names.VERDICT: verdict, names.LATENCY_DIFFERENCE: later * 1000})

    def _count(self, shadow: Shadow[Any], outcome: str) -> None:
        shadows_cast.add(
            1,
            {
                names.VERDICT: outcome,
                names.DB_OPERATION: shadow.question.operation,
                names.PATH: shadow.other.side.value,
                names.PHASE: shadow.route.standing.phase.value,
            },
        )

    def _note(
        self,
        shadow: Shadow[Any],
        badness: float,
        seconds: float,
        ours: tuple[str, ...],
        theirs: tuple[str, ...],
        note: str,
    ) -> None:
        by_primary = shadow.by_primary
        example = Example(
            digest=shadow.question.digest(),
            badness=badness,
            at=time.time(),
            phase=shadow.route.standing.phase,
            top_k=shadow.question.size,
            primary_ids=ours[:_MOST_IDS],
            other_ids=theirs[:_MOST_IDS],
            primary_seconds=shadow.seconds if by_primary else seconds,
            other_seconds=seconds if by_primary else shadow.seconds,
            note=note,
        )
        self._tallies.note(shadow.route.tenant, example)


def _told_to_end() -> bool:
    """Whether this task itself is cancelled, and not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
