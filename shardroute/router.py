"""The router: one per application process. Opens everything, closes everything, hands out tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from .clusters import connected
from .config import Config
from .control import ControlPlane
from .encoding import encoding_of
from .errors import ShardrouteError
from .follower import Follower
from .ports import Store
from .reads import Reader
from .recording import Recorder
from .routing import Sides
from .shadow import Shadows
from .shardmap import ShardMap
from .tallies import Tallies
from .tenant import Tenant
from .tenant_creation import Declarer
from .topology import check_tenant
from .view import View
from .writes import Writer

_CREATION = 10.0  # seconds that declaring a tenant may take, beside the lag of the clusters' reads
_HANDLES = 10_000  # tenants whose handle is kept ready


class Router:
    """Serves all tenants of a namespace, each from the cluster on which the map says it is.

    ``async with Router.from_config("shardroute.toml") as router: …``

    Entering raises ConfigError, MapLost (no map yet: `shardroute init`) or ControlPlaneUnavailable.
    """

    def __init__(self, config: Config, *, stores: Mapping[str, Store] | None = None) -> None:
        """`stores` replaces the configured clusters by ready ones, which then stay the caller's to close."""
        self.config = config
        self._given = stores
        self._stack = AsyncExitStack()
        self._running: _Running | None = None

    @classmethod
    def from_config(cls, config: Config | str | Path) -> Self:
        """From a TOML file, or a Config. Raises ConfigError."""
        return cls(config if isinstance(config, Config) else Config.load(config))

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise ShardrouteError("this router is open already")
        async with AsyncExitStack() as stack:
            self._running = await stack.enter_async_context(_opened(self.config, self._given))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for writes under way, ends the session at once, closes all connections."""
        self._running = None
        await self._stack.__aexit__(kind, error, trace)

    def tenant(self, name: str) -> Tenant:
        """The tenant's handle: no I/O, cheap enough for every request. Raises InvalidTenant."""
        return self._open.tenant(name)

    async def create_tenant(self, name: str, *, timeout: float | None = None) -> Tenant:
        """Declares a tenant that has no data yet as one of the new cluster, in all processes, and returns it.

        Both clusters are asked first, and once more when no process writes to the old one any longer: writes of this
        tenant wait meanwhile, for milliseconds as a rule; for `migration.max_hold` and the longer `lag` of the two
        clusters at most. `timeout`, in seconds, has to be above that lag; without one it is ten more.

        A tenant that has been declared before is returned as it is. Raises TenantHasData if there is something on
        a cluster, and MoveRefused if it has begun to move: then nothing was declared. Raises ClusterUnavailable, and
        TimeoutError if not all processes know of it in time: it may be called again.
        """
        if timeout is None:
            timeout = _CREATION + max(store.lag for store in self.stores.values())
        async with asyncio.timeout(timeout):
            return await self._open.create_tenant(check_tenant(name))

    @property
    def stores(self) -> Mapping[str, Store]:
        """The clusters by name, past the map: for making collections, not for a tenant's requests."""
        return self._open.stores

    @property
    def map(self) -> ShardMap:
        """The map as this process has it."""
        return self._open.view.map

    @property
    def session(self) -> str:
        """This process's name among the sessions in Redis."""
        return self._open.follower.session

    @property
    def ready(self) -> bool:
        """Whether writes are possible now: the lease is held and the map is there."""
        view = self._open.view
        return view.failure is None and view.writable

    @property
    def map_age(self) -> float:
        """Seconds since Redis was last asked for changes of the map and answered: one or two while all is well."""
        view = self._open.view
        return view.clock() - view.confirmed

    @property
    def _open(self) -> _Running:
        if self._running is None:
            raise ShardrouteError("the router is not open: use it inside `async with Router.from_config(…)`")
        return self._running


class _Running:
    """What there is between entering and leaving."""

    def __init__(
        self, config: Config, plane: ControlPlane, stores: Mapping[str, Store], view: View, follower: Follower
    ) -> None:
        self.plane = plane
        self.view = view
        self.follower = follower
        self.stores = stores
        self.shadows = Shadows(config.shadow, view, Tallies(plane, config.shadow))
        self.reader = Reader(
            view,
            self.shadows,
            serve_stale=config.router.stale_reads,
            failover=config.router.failover_reads,
        )
        self.recorder = Recorder(plane.stats, config.recording) if config.recording.share else None
        self.writer = Writer(
            plane,
            view,
            follower.session,
            deadline=config.router.deadline,
            max_hold=config.migration.max_hold,
        )
        self.declarer = Declarer(plane, view, max_hold=config.migration.max_hold)
        self.tenant = lru_cache(maxsize=_HANDLES)(self._tenant)

    def _tenant(self, name: str) -> Tenant:
        sides = Sides(check_tenant(name), self.view.migration, self.stores)
        return Tenant(sides, self.view, self.reader, self.writer, self.recorder)

    async def create_tenant(self, name: str) -> Tenant:
        await self.declarer.declare(Sides(name, self.view.migration, self.stores))
        return self.tenant(name)


@asynccontextmanager
async def _opened(config: Config, given: Mapping[str, Store] | None) -> AsyncIterator[_Running]:
    encoding_of(config.route)  # imports now what may take long, before there is a lease to renew
    plane = ControlPlane.open(config.control)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(plane.aclose)
        view = View(config.route, await plane.map_for(config), linger=config.router.linger)
        stores = given if given is not None else await stack.enter_async_context(connected(config.clusters))
        follower = Follower(plane, view, config.control)
        await stack.enter_async_context(follower.running())
        running = _Running(config, plane, stores, view, follower)
        if running.shadows.on:
            await stack.enter_async_context(running.shadows.running())
        if running.recorder is not None:
            await stack.enter_async_context(running.recorder.running())
        stack.push_async_callback(running.writer.drain, config.router.drain)
        yield running
