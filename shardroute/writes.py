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
from .errors import ClusterUnavailable, ControlPlaneUnavailable, Unavailable, for_log
from .operations import Operation
from .routing import Route, Sides, Target
from .rules import Verdict, leaves_debt, verdict
from .spans import both_paths, request
from .telemetry import debt_marked, writes_repeated
from .view import View

log = logging.getLogger(__name__)

_PAUSE = 0.05  # seconds between attempts when Redis is away
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
        linger: float,
        max_hold: float,
    ) -> None:
        self._plane = plane
        self._view = view
        self._session = session
        self._deadline = deadline
        self._linger = linger
        self._admission = Admission(plane, view, max_hold=max_hold)
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def write(
        self, sides: Sides, route: Route, operation: Operation, timeout: float | None = None
    ) -> None:
        """Returns when every process reads the write from now on. Raises what `tenant.Tenant` documents.

        `route` is the tenant's route by the current map; it is looked up again after every wait.
        """
        if timeout is None and not route.held and route.secondary is None and self._view.may_write():
            operation.check(route)
            if await self._single(route, operation):
                return
        await self._until_deadline(sides, operation, self._deadline if timeout is None else timeout)

    async def _until_deadline(self, sides: Sides, operation: Operation, timeout: float) -> None:
        wait = Wait()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    route = await self._admission.admitted(sides, wait)
                    operation.check(route)
                    if await self._attempt(route, operation, wait):
                        return
                    wait.attempts += 1
                    writes_repeated.add(1)
        except TimeoutError as error:
            raise self._admission.late(sides.tenant, wait, timeout) from error

    async def _attempt(self, route: Route, operation: Operation, wait: Wait) -> bool:
        if route.secondary is None:
            return await self._single(route, operation, wait.attributes())
        task = self._own(self._dual(route, route.secondary, operation, wait.attributes()))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # by `drain`, not by the caller
                raise Unavailable(
                    f"tenant {route.tenant!r}: the router was closed before the write ended"
                ) from None
            raise

    # -- one cluster -----------------------------------------------------------------------------------------

    async def _single(
        self, route: Route, operation: Operation, extra: Mapping[str, Any] | None = None
    ) -> bool:
        view = self._view
        generation = view.lease.generation
        view.enter(route.in_flight)
        try:
            await request(
                operation.name, "primary", route, route.primary, operation.apply(route.primary), extra
            )
        except BaseException as error:
            # A request that may still land holds up the drain (rule 3) until it no longer can.
            wait = self._linger if may_land(error) else 0
            asyncio.get_running_loop().call_later(wait, view.leave, route.in_flight)
            raise
        view.leave(route.in_flight)
        return view.may_answer(generation)

    # -- two clusters ----------------------------------------------------------------------------------------

    async def _dual(
        self, route: Route, secondary: Target, operation: Operation, extra: Mapping[str, Any]
    ) -> bool:
        """One dual write under one standing; whether it may be answered. Raises the primary's error."""
        view = self._view
        generation = view.lease.generation
        token = f"{self._session}/{next(self._numbers)}"
        view.enter(route.in_flight)
        late: asyncio.Task[None] | None = None
        try:
            if not await self._begin(route, operation, token, generation):
                return False
            with both_paths(operation.name, route, extra) as span:
                failures = await self._both(route, secondary, operation)
                unbroken = view.may_answer(generation)
                debt = leaves_debt(
                    primary_ok=failures[0] is None, secondary_ok=failures[1] is None, unbroken=unbroken
                )
                span.set_attribute(names.DEBT, debt)
            if any(may_land(failure) for failure in failures):
                late = self._own(self._settle_late(route, operation, token))
            else:
                await self._settle(route, operation, token, debt=debt)
            if failures[0] is not None:
                raise failures[0]
            if late is not None and not view.may_answer(generation, ahead=self._linger):
                # The token stands for as long as the session lives. This one may end before what may still land.
                await asyncio.wait([late])
            return verdict(unbroken=view.may_answer(generation), primary_ok=True) is Verdict.ANSWER
        finally:
            self._leave(route, late)

    def _leave(self, route: Route, late: asyncio.Task[None] | None) -> None:
        """A write of which something may still land holds up the drain (rule 3) until it no longer can."""
        if late is None:
            self._view.leave(route.in_flight)
        else:
            late.add_done_callback(lambda _: self._view.leave(route.in_flight))

    async def _settle_late(self, route: Route, operation: Operation, token: str) -> None:
        """While the token stands, what is written on its ids overlaps (rule 6) and is not forgiven (rule 9)."""
        await asyncio.sleep(self._linger)
        await self._settle(route, operation, token, debt=True)

    async def _both(
        self, route: Route, secondary: Target, operation: Operation
    ) -> tuple[BaseException | None, BaseException | None]:
        """Rule 5: both at the same time; a failure of one does not stop the other."""
        outcome = await asyncio.gather(
            request(operation.name, "primary", route, route.primary, operation.apply(route.primary)),
            request(operation.name, "secondary", route, secondary, operation.apply(secondary)),
            return_exceptions=True,
        )
        first, second = outcome
        if isinstance(second, BaseException):
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
        if not self._view.may_answer(generation):
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
        """Waits for writes under way, `timeout` seconds at most; what is left then is reaped as debt (rule 8)."""
        self._view.refuse_writes()
        try:
            async with asyncio.timeout(timeout):
                while self._tasks or self._view.writes_in_flight:  # noqa: ASYNC110 - the last of many ends it
                    await asyncio.sleep(_DRAIN_POLL)
        except TimeoutError:
            log.warning("closing with %d writes under way", self._view.writes_in_flight)
        for task in (left := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def may_land(failure: BaseException | None) -> bool:
    """Whether a request that failed so may still take effect: it was cut off, or nobody answered."""
    if isinstance(failure, ClusterUnavailable):
        return failure.may_land
    return isinstance(failure, asyncio.CancelledError)
