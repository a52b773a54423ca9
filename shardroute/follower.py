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
from .rules import margin
from .setbacks import Setbacks
from .shardmap import MapChange, MissedChange
from .view import View

log = logging.getLogger(__name__)

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
        view.on_drained(self._push.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Registers the session, keeps it alive while the block runs, and ends it at once afterwards."""
        await self._renew()
        if not self._view.lease.holds(self._view.clock()):
            await self._renew()
        tasks = [
            asyncio.create_task(self._forever(self._follow), name="shardroute map"),
            asyncio.create_task(self._forever(self._beat), name="shardroute lease"),
        ]
        try:
            yield
        finally:
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
        self._view.adopt(newer)
        self._push.set()

    async def _reload(self) -> None:
        """The whole map. Raises MapLost if it is another one, or older than what is known (rule 13)."""
        current = self._view.map  # as of before: the other task may adopt a newer one while this one loads
        loaded, _ = await self._plane.maps.load()
        if loaded.incarnation != current.incarnation:
            raise MapLost(f"the map is another one now: {loaded.incarnation}, it was {current.incarnation}")
        if loaded.version < current.version:
            raise MapLost(f"the map went back from version {current.version} to {loaded.version}")
        self._view.adopt(loaded)
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
        view, duration, known = self._view, self.lease_duration, self._view.map.version
        usable = duration - margin(duration)
        sent = view.clock()
        view.lease = view.lease.shortened(sent, usable)
        answer = await self._plane.sessions.heartbeat(
            self.session,
            lease=duration,
            acknowledged=view.acknowledged(),
            incarnation=view.map.incarnation,
            info=self._info,
        )
        if answer.version < known:
            raise MapLost(f"the map went back from version {known} to {answer.version}")
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
        lapsed = answer.lapsed or not view.lease.holds(view.clock())
        if lapsed and answer.version > view.map.version:
            await self._reload()
        return lapsed

    async def _leave(self) -> None:
        try:
            await self._plane.sessions.leave(self.session)
        except (ControlPlaneUnavailable, MapLost) as error:
            log.warning("session %s is left to run out: %s", self.session, error)
