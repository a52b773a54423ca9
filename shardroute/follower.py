"""Keeps a process's view current: follows the change stream, renews the lease, acknowledges versions.

Two tasks, owned by whoever enters `running()`. Neither dies of an error of the world: when Redis is away the
lease runs out by itself, writes wait, and both go on asking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from .config import ControlConfig
from .control import ControlPlane, SessionInfo, new_session_id
from .control.sessions import Heartbeat
from .errors import ControlPlaneUnavailable, MapLost
from .rules import STEP, follows, margin, stays_after_leaving
from .setbacks import Setbacks
from .shardmap import ForkedMap, MapChange, MissedChange
from .timing import RedisClock
from .view import View

log = logging.getLogger(__name__)

_GUARD_LEAST = 0.05  # seconds between looks at a lease that has ended
_GUARD_MOST = 0.5
_STREAM_WAIT = 1.0  # seconds that one blocking read of the stream lasts


class Follower:
    """One session of one process."""

    def __init__(self, plane: ControlPlane, view: View, config: ControlConfig) -> None:
        self.session = new_session_id()
        self._plane = plane
        self._view = view
        self._config = config
        self._info = SessionInfo.of_this_process()
        self._push = asyncio.Event()
        self._guarding: asyncio.TimerHandle | None = None
        self._redis_clock = RedisClock()
        view.on_drained(self._push.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Registers the session, keeps it alive while the block runs, and ends it at once afterwards."""
        await self._renew()
        if not self._view.writable:
            await self._renew()
        tasks = [
            asyncio.create_task(self._forever(self._follow), name="shardroute map"),
            asyncio.create_task(self._forever(self._beat), name="shardroute lease"),
        ]
        self._guard()
        try:
            yield
        finally:
            if self._guarding is not None:
                self._guarding.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._view.close()
            await self._leave()

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Runs a step again and again, whatever it raises. Only a lost map ends it: then writing stops as well."""
        view, setbacks = self._view, Setbacks(self._config.lease, self._view.clock)
        while view.failure is None:
            try:
                await step()
                setbacks.over()
            except Exception as error:
                await self._after(error, setbacks)

    async def _after(self, error: Exception, setbacks: Setbacks) -> None:
        view = self._view
        try:
            pause = setbacks.met(error)
        except MapLost as lost:
            log.error("writing stops: %s", lost)
            view.fail(lost)
            return
        if isinstance(error, MapLost):
            view.lease = view.lease.shortened(view.clock(), 0.0)  # until the map is found to be there
            view.cut_off()
        await asyncio.sleep(pause)
        self._push.set()

    # -- the change stream -----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        asked = self._view.clock()
        await self._advance(await self._plane.maps.changes_after(self._view.map.version, wait=_STREAM_WAIT))
        self._view.confirmed = asked

    async def _advance(self, changes: Sequence[MapChange]) -> None:
        if not changes:
            return
        try:
            newer = self._view.map
            for change in changes:
                newer = newer.apply(change)
        except MissedChange:
            await self._reload()
            return
        except ForkedMap as error:
            raise MapLost(f"the map went on without what this process has seen: {error}") from error
        self._view.adopt(newer)
        self._push.set()

    async def _reload(self) -> None:
        """The whole map. Raises MapLost if it is another one, or older than what is known (rule 13)."""
        known = self._view.map  # as of before: the other task may adopt a newer one while this one loads
        self._view.adopt(await self._plane.maps.reload(known))
        self._push.set()

    # -- the lease -------------------------------------------------------------------------------------------

    @property
    def lease_duration(self) -> float:
        """Generous while nothing moves, short while anything does."""
        return self._config.lease if self._view.map.moving else self._config.idle_lease

    async def _beat(self) -> None:
        """Renews at a third of the lease, or at once when there is something to acknowledge."""
        try:
            async with asyncio.timeout(min(self.lease_duration / 3, self._config.lease)):
                await self._push.wait()
        except TimeoutError:
            pass
        self._push.clear()
        try:
            await self._renew()
        except ControlPlaneUnavailable:
            self._push.set()  # again as soon as `_forever` has paused
            raise

    async def _renew(self) -> None:
        view, duration, known = self._view, self.lease_duration, self._view.map
        usable = duration - margin(duration)
        sent = view.clock()
        view.lease = view.lease.shortened(sent, usable)
        answer = await self._plane.sessions.heartbeat(
            self.session,
            lease=duration,
            acknowledged=view.acknowledged(),
            incarnation=view.map.incarnation,
            info=self._info,
            step=self._config.lease * STEP,
        )
        self._redis_clock.heard(answer.clock, sent, view.clock())
        if answer.version < known.version:
            raise MapLost(f"the map went back from version {known.version} to {answer.version}")
        if answer.version == known.version and not follows(known.stamp, answer.stamp):
            raise MapLost(f"the map has another version {known.version} than the one this process has seen")
        lapsed = await self._caught_up(answer)
        before = view.lease
        view.lease = before.renewed(sent, view.clock(), usable, lapsed=lapsed)
        if view.lease.generation != before.generation:
            log.info("session %s holds a new lease", self.session)
            view.announce()

    async def _caught_up(self, answer: Heartbeat) -> bool:
        """A lease that had lapsed counts only with a map that is current (rule 4): adopt it first."""
        view = self._view
        if answer.lapsed:
            view.lease = view.lease.shortened(view.clock(), 0.0)  # until the map is there
            view.cut_off()  # others no longer wait for what it sent
        lapsed = answer.lapsed or not view.lease.holds(view.clock())
        if lapsed and answer.version > view.map.version:
            await self._reload()
        return lapsed

    # -- cutting off (rule 4) ----------------------------------------------------------------------------------

    def _guard(self) -> None:
        """Cuts off what could land after the lease. A timer and no task: after a pause it comes before anything else.

        It looks twice a second at least, as the loop's clock stands still while the machine is suspended.
        """
        left = self._view.until_cut_off()
        if left <= 0:
            self._view.cut_off()
        wait = min(max(left, _GUARD_LEAST), _GUARD_MOST)
        self._guarding = asyncio.get_running_loop().call_later(wait, self._guard)

    async def _leave(self) -> None:
        """The session is waited for while something of it may still land."""
        stays = stays_after_leaving(self._view.writes_in_flight, self._view.linger)
        try:
            await self._plane.sessions.leave(self.session, stays=stays)
        except (ControlPlaneUnavailable, MapLost) as error:
            log.warning("session %s is left to run out: %s", self.session, error)
