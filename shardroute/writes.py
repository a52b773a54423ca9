"""Writes by the phase table. What is decided here is decided by `rules`; numbers are docs/protocol.md's.

A write to one cluster is one request. A write to two runs in a task of the router's own, so that a caller who
goes away leaves a finished write behind and no half of one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from itertools import count
from typing import Any

from . import telemetry as names
from .admission import Admission, Wait
from .control import Begun, ControlPlane
from .errors import (
    ClusterUnavailable,
    ControlPlaneUnavailable,
    OutcomeUnknown,
    ShardrouteError,
    VerbRefused,
    for_log,
)
from .operations import Operation
from .permits import Permit, needing, no_longer_require, require
from .routing import Route, Sides, Target
from .rules import Verdict, crossed, leaves_debt, verdict
from .spans import both_paths, request
from .telemetry import debt_marked, writes_repeated
from .view import Flight, View

log = logging.getLogger(__name__)

_PAUSE = 0.05  # seconds between attempts when Redis is away
_ONE_PIECE = 16 * 1024  # bytes of a body that any system takes at once on a fresh connection
_DRAIN_POLL = 0.005  # seconds between looks at the last writes


class Writer:
    """All writes of one router."""

    def __init__(
        self,
        plane: ControlPlane,
        view: View,
        session: str,
        *,
        deadline: float,
        max_hold: float,
    ) -> None:
        self._plane = plane
        self._view = view
        self._session = session
        self._deadline = deadline
        self._admission = Admission(plane, view, max_hold=max_hold)
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._permit = Permit(self._may_send, in_one_piece=_ONE_PIECE)

    async def write(
        self, sides: Sides, route: Route, operation: Operation, timeout: float | None = None
    ) -> None:
        """Returns when every process reads the write from now on. Raises what `tenant.Tenant` documents.

        `route` is the tenant's route by the current map; it is looked up again after every wait.
        """
        sent = None
        if timeout is None and not route.held and route.secondary is None and self._view.may_write():
            operation.check(route)
            if await self._single(route, operation):
                return
            sent = route
        await self._until_deadline(sides, operation, self._deadline if timeout is None else timeout, sent)

    async def _until_deadline(
        self, sides: Sides, operation: Operation, timeout: float, sent: Route | None
    ) -> None:
        """`sent`: the route of a write whose lease broke while it was under way."""
        wait = Wait(sent=sent is not None)
        try:
            async with asyncio.timeout(timeout):
                while sent is None:
                    route = await self._admission.admitted(sides, wait)
                    operation.check(route)
                    match await self._attempt(route, operation, wait):
                        case Verdict.ANSWER:
                            return
                        case Verdict.BEGIN_ANEW:
                            wait.attempts += 1
                            writes_repeated.add(1)
                        case _:
                            sent = route
                await self._decide(sides, sent, operation, wait)
        except TimeoutError as error:
            raise self._admission.late(sides.tenant, wait, timeout) from error

    async def _attempt(self, route: Route, operation: Operation, wait: Wait) -> Verdict:
        """ANSWER, BEGIN_ANEW if nothing was sent, or UNKNOWN while the lease is broken; raises the primary's error."""
        if route.secondary is None:
            extra, wait.sent = wait.attributes(), True
            return Verdict.ANSWER if await self._single(route, operation, extra) else Verdict.UNKNOWN
        task = self._own(self._dual(route, route.secondary, operation, wait))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # by `drain`, not by the caller
                raise OutcomeUnknown(
                    f"tenant {route.tenant!r}: the router was closed before the write ended"
                ) from None
            raise

    async def _decide(self, sides: Sides, began: Route, operation: Operation, wait: Wait) -> None:
        """The primary took a write whose lease broke on the way: returns if that counts, else raises OutcomeUnknown.

        It is never written again: others may have read it, and have overwritten it since (rule 4).
        """
        wait.sent = True
        try:
            await self._admission.lease_held(wait)
            standing = self._view.standing(sides.tenant)
            if standing.moved(began.standing):
                await self._owe(sides, operation)
        except ShardrouteError as error:
            raise OutcomeUnknown(f"tenant {sides.tenant!r}: the write was sent, and then: {error}") from error
        across = crossed(began.standing.phase, standing.phase)
        if verdict(sent=True, primary_ok=True, unbroken=False, crossed=across) is not Verdict.ANSWER:
            raise OutcomeUnknown(
                f"tenant {sides.tenant!r}: the write was sent to the {began.primary.side} cluster. While this process "
                "could not be sure of its lease, the tenant was moved to the other one. It may have taken effect."
            )

    async def _owe(self, sides: Sides, operation: Operation) -> None:
        """Where the tenant is on two sides by now, it may not have been when the write was sent."""
        while True:
            try:
                await self._plane.journal.mark(sides.tenant, sides.shard, operation.ids)
            except VerbRefused:
                return  # on one side: nothing is to be brought anywhere
            except ControlPlaneUnavailable:
                await asyncio.sleep(_PAUSE)
            else:
                debt_marked.add(len(operation.ids))
                return

    # -- one cluster -----------------------------------------------------------------------------------------

    async def _single(
        self, route: Route, operation: Operation, extra: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether the primary took it under an unbroken lease. Raises the primary's error, OutcomeUnknown."""
        view = self._view
        generation = view.lease.generation
        task = asyncio.current_task()
        flight = view.enter(route.in_flight, (task,) if task else ())
        permit = require(self._permit)
        try:
            await request(
                operation.name, "primary", route, route.primary, operation.apply(route.primary), extra
            )
        except BaseException as error:
            no_longer_require(permit)
            self._ended(flight, may_still_land=may_land(error))
            # Our own cancellation of the caller's task is taken back; one of the caller's own goes on.
            ours = flight.cancelling is not None and task is not None and task.uncancel() <= flight.cancelling
            if ours and isinstance(error, asyncio.CancelledError):
                raise self._told(route, error) from error
            raise
        no_longer_require(permit)
        view.leave(flight)
        if flight.cancelling is not None and task is not None:
            task.uncancel()
        return view.may_answer(generation)

    def _told(self, route: Route, failure: BaseException) -> BaseException:
        """To the caller: the primary's own error, or why its answer was not waited for."""
        if not isinstance(failure, asyncio.CancelledError):
            return failure
        why = "the router was closed" if self._view.closing else "the lease of this process was about to end"
        return OutcomeUnknown(
            f"tenant {route.tenant!r}: {why}, and cluster {route.primary.store.name!r} had not answered yet. The write "
            "may have taken effect, or may still do so.",
            retry_after=1.0,
        )

    async def _may_send(self) -> None:
        """Before the last byte of a request: the process may have been stopped since the first (rule 4)."""
        if not self._view.writable:
            raise OutcomeUnknown("the lease of this process ended while it sent a request", retry_after=1.0)

    def _ended(self, flight: Flight, *, may_still_land: bool) -> None:
        """A request that may still land holds up the drain (rule 3) until it no longer can."""
        flight.requests = ()
        wait = self._view.linger if may_still_land else 0
        asyncio.get_running_loop().call_later(wait, self._view.leave, flight)

    # -- two clusters ----------------------------------------------------------------------------------------

    async def _dual(self, route: Route, secondary: Target, operation: Operation, wait: Wait) -> Verdict:
        """One dual write under one standing. Raises the primary's error."""
        view = self._view
        generation = view.lease.generation
        token = f"{self._session}/{next(self._numbers)}"
        flight = view.enter(route.in_flight)
        late: asyncio.Task[None] | None = None
        try:
            if not await self._begin(route, operation, token, generation):
                self._leave(flight, late)
                return Verdict.BEGIN_ANEW
            extra, wait.sent = wait.attributes(), True
            with both_paths(operation.name, route, extra) as span:
                failures = await self._both(route, secondary, operation, flight)
                unbroken = view.may_answer(generation)
                debt = leaves_debt(
                    primary_ok=failures[0] is None, secondary_ok=failures[1] is None, unbroken=unbroken
                )
                span.set_attribute(names.DEBT, debt)
            if any(may_land(failure) for failure in failures):
                late = self._own(self._settle_late(route, operation, token))
            else:
                await self._settle(route, operation, token, debt=debt)
        except asyncio.CancelledError:
            # The router closes. What was sent may land: the flight stays, and with it the session (rule 4).
            raise
        except BaseException:
            self._leave(flight, late)
            raise
        self._leave(flight, late)
        if failures[0] is not None:
            raise self._told(route, failures[0])
        return Verdict.ANSWER if view.may_answer(generation) else Verdict.UNKNOWN

    def _leave(self, flight: Flight, late: asyncio.Task[None] | None) -> None:
        """A write of which something may still land holds up the drain (rule 3) until it no longer can."""
        if late is None:
            self._view.leave(flight)
        else:
            late.add_done_callback(lambda task: None if task.cancelled() else self._view.leave(flight))

    async def _settle_late(self, route: Route, operation: Operation, token: str) -> None:
        """While the token stands, what is written on its ids overlaps (rule 6) and is not forgiven (rule 9)."""
        await asyncio.sleep(self._view.linger)
        await self._settle(route, operation, token, debt=True)

    async def _both(
        self, route: Route, secondary: Target, operation: Operation, flight: Flight
    ) -> tuple[BaseException | None, BaseException | None]:
        """Rule 5: both at the same time; a failure of one does not stop the other."""
        with needing(self._permit):
            flight.requests = requests = [
                self._own(request(operation.name, role, route, target, operation.apply(target)))
                for role, target in (("primary", route.primary), ("secondary", secondary))
            ]
        await asyncio.wait(requests)
        flight.requests = ()
        first, second = map(_failure, requests)
        if second is not None:
            log.warning("tenant %s: %s left as debt: %s", route.tenant, operation.name, for_log(second))
        return first, second

    async def _begin(self, route: Route, operation: Operation, token: str, generation: int) -> bool:
        """Registers the token. False: the standing is old or the lease gone, try again when that has changed."""
        try:
            begun = await self._plane.journal.begin(
                route.tenant, route.shard, route.standing.epoch, self._session, token, operation.ids
            )
        except ControlPlaneUnavailable:
            # It may have been registered all the same: give it up, so that no token outlives its write.
            await self._settle(route, operation, token, debt=False)
            return False
        if begun is not Begun.OK:
            await self._admission.change(_PAUSE)
            return False
        if not (self._view.may_answer(generation) and self._view.writable):
            # Stopped while it asked, perhaps for long: nothing has been sent, and nothing is under an old standing.
            await self._settle(route, operation, token, debt=False)
            return False
        return True

    async def _settle(self, route: Route, operation: Operation, token: str, *, debt: bool) -> None:
        """Ends the token, however long Redis is away: while it stands, the tenant cannot cross (rule 10)."""
        if debt:
            debt_marked.add(len(operation.ids))
        while True:
            try:
                await self._plane.journal.settle(route.tenant, route.shard, token, operation.ids, debt=debt)
            except ControlPlaneUnavailable:
                # No longer provably clean: what happens meanwhile is not known here.
                debt = True
                await asyncio.sleep(_PAUSE)
            else:
                return

    # -- tasks of the router's own ---------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller has it, or has gone away

    async def drain(self, timeout: float) -> None:
        """Waits for writes under way, `timeout` seconds at most; what is left then is cut off.

        What was cut off may still land: its flight stays, and the session with it (rule 4); its token is reaped as debt
        (rule 8).
        """
        self._view.refuse_writes()
        try:
            async with asyncio.timeout(timeout):
                while self._tasks or self._view.writes_in_flight:  # noqa: ASYNC110 - the last of many ends it
                    await asyncio.sleep(_DRAIN_POLL)
        except TimeoutError:
            log.warning("closing with %d writes under way", self._view.writes_in_flight)
        self._view.cut_off()
        for task in (left := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def may_land(failure: BaseException | None) -> bool:
    """Whether a request that failed so may still take effect: it was cut off, or nobody answered."""
    if isinstance(failure, ClusterUnavailable):
        return failure.may_land
    return isinstance(failure, asyncio.CancelledError | OutcomeUnknown)


def _failure(request: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if request.cancelled() else request.exception()
