"""The admin verbs as async functions. The script `shardroute` is a thin wrapper of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from .checkup import (
    lag_notes,
    memory_notes,
    memory_problems,
    unnamed,
    unnamed_problems,
    unread,
    unrouted,
)
from .clusters import connected
from .comparisons import Comparison, Example, RecordedQuery, StatsWindow
from .config import Config
from .control import ControlPlane, Memory, SessionState
from .encoding import encoding_of
from .errors import MigrationError, ShardrouteError, VerbRefused
from .gates import breaches
from .migration import (
    Finisher,
    Migrator,
    Observer,
    Options,
    Outcome,
    Plan,
    Verification,
    mismatches,
    session_problems,
)
from .phases import EFFECTS, Phase, Side, check_verb
from .ports import Store
from .preparation import new_like_old, prepared, starting, starts
from .records import check_id
from .replay import check_fits, read_lines, replay
from .routing import Sides
from .shardmap import ShardMap, Standing
from .statistics import added
from .topology import Place, Topology, check_tenant

_PATIENCE = 30.0  # seconds that an admin verb waits for a Redis that is away
_BATCH = 1000
_NAMED = 5  # records that a problem names


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """One tenant, as the map and the journal have it. `holder`: who works on it now.

    `suspects`: records of the side that is read that a migrator may have written after it had lost its lock.
    """

    tenant: str
    shard: int
    phase: Phase
    epoch: int
    synced: bool
    debt: int = 0
    tokens: int = 0
    suspects: int = 0
    holder: str | None = None
    overdue: bool = False

    @property
    def half_done(self) -> bool:
        return not EFFECTS[self.phase].settled


@dataclass(slots=True)
class Diagnosis:
    """What `doctor` found. `notes` say what to do; `problems` are those of them that are wrong, not just under way."""

    version: int = 0
    incarnation: str = ""
    sessions: list[SessionState] = field(default_factory=list)
    half_done: list[TenantStatus] = field(default_factory=list)
    memory: Memory = field(default_factory=lambda: Memory(0, 0, ()))
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Admin:
    """All verbs on one configuration: `async with Admin.open(config) as admin`."""

    def __init__(
        self, config: Config, plane: ControlPlane, stores: Mapping[str, Store], migrator: Migrator
    ) -> None:
        self.config = config
        self._plane = plane
        self._stores = stores
        self._migrator = migrator

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: Config,
        *,
        observer: Observer | None = None,
        stores: Mapping[str, Store] | None = None,
        patience: float = _PATIENCE,
    ) -> AsyncIterator[Self]:
        """Connects to Redis and the clusters (unless ready `stores` are given) and closes them again.

        `patience`: for how many seconds a Redis that is away is asked again.
        """
        async with AsyncExitStack() as stack:
            plane = ControlPlane.open(config.control, patience=patience)
            stack.push_async_callback(plane.aclose)
            opened = (
                stores if stores is not None else await stack.enter_async_context(connected(config.clusters))
            )
            yield cls(config, plane, opened, Migrator(plane, config, opened, observer))

    # -- looking -----------------------------------------------------------------------------------------------

    async def map(self) -> ShardMap:
        """The map, if it was made for this configuration. Raises MapLost, ConfigError."""
        return await self._plane.map_for(self.config)

    async def tenants(self, phases: Iterable[Phase] | None = None) -> list[str]:
        """Every tenant that has a record in the map or data on either side, sorted; only those in `phases`."""
        shard_map = await self.map()
        names = set(shard_map.tenants)
        for topology in (self.config.route.old, self.config.route.new):
            names |= {tenant async for tenant in self._with_data(topology)}
        wanted = set(Phase) if phases is None else set(phases)
        return sorted(name for name in names if self.config.route.standing(shard_map, name).phase in wanted)

    async def status(self, tenants: Sequence[str] | None = None) -> list[TenantStatus]:
        """Where tenants stand: those named, or all for None."""
        names = await self.tenants() if tenants is None else [check_tenant(name) for name in tenants]
        shard_map = await self.map()
        now, counted = await self._plane.time(), await self._plane.lease_time()
        return [
            await self._status(name, self.config.route.standing(shard_map, name), now, counted)
            for name in names
        ]

    async def plan(self, tenant: str, *, purge_target: bool = False) -> Plan:
        """What stands against moving the tenant, and what the move would do. Changes nothing."""
        await self._ready()
        return await self._migrator.plan(check_tenant(tenant), purge_target=purge_target)

    async def doctor(self) -> Diagnosis:
        """What is half-done, who holds it, which sessions lag, how much debt, and what ails Redis or a cluster."""
        found = Diagnosis()
        shard_map = await self.map()
        found.version, found.incarnation = shard_map.version, shard_map.incarnation
        found.sessions = await self._plane.sessions.all()
        found.problems += await session_problems(self._plane)
        found.problems += await self._cluster_problems(shard_map)
        found.notes += await self._redis_notes()
        found.notes += lag_notes(self.config, self._stores)
        moving = [name for name, standing in shard_map.tenants.items() if not EFFECTS[standing.phase].settled]
        found.half_done = await self.status(moving) if moving else []
        found.memory = await self._plane.memory(moving)
        found.problems += memory_problems(found.memory)
        found.notes += memory_notes(found.memory)
        for look in (
            unread(self.config.route, shard_map, self._stores),
            unrouted(self.config.route.old, self._stores),
            unnamed_problems(self.config.route, self._stores),
        ):
            problems, notes = await look
            found.problems += problems
            found.notes += notes
        for name in await self._plane.journal.suspected():
            suspects = await self._plane.journal.suspects(name)
            found.problems.append(_suspicion(name, self.config.route.standing(shard_map, name), suspects))
        _diagnose_sessions(found)
        _diagnose_tenants(found)
        return found

    # -- comparing ---------------------------------------------------------------------------------------------

    async def compare(self, tenant: str, *, seconds: float | None = None) -> Comparison:
        """What routers saw of the tenant's two paths: all that is kept, or the last `seconds`. Judged by [gates]."""
        stats = self._plane.stats
        standing = self.config.route.standing(await self.map(), check_tenant(tenant))
        windows = await stats.windows(tenant, seconds=seconds)
        return await self._comparison(tenant, standing, windows, await stats.examples(tenant))

    async def forget_comparisons(self, tenant: str) -> None:
        """Clears the tenant's counts, examples and recorded queries."""
        await self.map()
        await self._plane.stats.clear(check_tenant(tenant))

    async def recorded(self, tenant: str) -> list[RecordedQuery]:
        """The queries that routers recorded, oldest first (`recording.share`)."""
        await self.map()
        return await self._plane.stats.recorded(check_tenant(tenant))

    def read_queries(self, tenant: str, lines: Iterable[str]) -> list[RecordedQuery]:
        """Of a file, for `replay`. Raises InvalidInput with the number of a line that the clusters cannot answer."""
        return read_lines(lines, self._sides(tenant))

    async def replay(self, tenant: str, queries: Sequence[RecordedQuery]) -> Comparison:
        """Asks both clusters these queries, past every router.

        Raises VerbRefused for a tenant that is not on two clusters; InvalidInput for a query that they cannot answer,
        before any is asked.
        """
        await self._ready()
        standing = self.config.route.standing(await self.map(), check_tenant(tenant))
        check_verb("replay", tenant, standing.phase)
        sides, shadow = self._sides(tenant), self.config.shadow
        for query in queries:
            check_fits(query, sides)
        began = await self._plane.time()
        found = await replay(sides, standing, queries, concurrency=shadow.concurrency, timeout=shadow.timeout)
        window = StatsWindow(began, await self._plane.time() - began, found.tally)
        return await self._comparison(tenant, standing, [window], found.worst)

    def _sides(self, tenant: str) -> Sides:
        return Sides(check_tenant(tenant), self.config.route, self._stores)

    async def _comparison(
        self, tenant: str, standing: Standing, windows: Sequence[StatsWindow], examples: Sequence[Example]
    ) -> Comparison:
        route = self.config.route
        return Comparison(
            tenant=tenant,
            phase=standing.phase,
            windows=windows,
            examples=examples,
            old=route.old.placement.cluster,
            new=route.new.placement.cluster,
            gates=self.config.gates,
            breaches=breaches(self.config.gates, added(window.tally for window in windows)),
            made_at=await self._plane.time(),
        )

    # -- moving ------------------------------------------------------------------------------------------------

    async def init(self) -> bool:
        """Makes the map of a new deployment; False if there was one (for the same configuration) already."""
        if await self._plane.maps.create(self.config.digest()):
            return True
        await self.map()
        return False

    async def prepare(
        self, tenants: Sequence[str] = (), *, like_old: bool = False
    ) -> dict[tuple[str, str], bool]:
        """Makes what tenants need where they are and that is not there yet: collections, their index, shard keys.

        Without tenants: the collections that tenants share and start in. `like_old`: those of the new topology instead,
        made like those of the old one, as `migrate` would. Returns cluster and collection of each, and whether it was
        made. Raises InvalidInput where each tenant has something of its own, or the old collections are not alike;
        ConfigError for one of another dimension or metric, and for what cannot be made alike; ClusterRejected for what
        is not ours to make, an index of Pinecone.
        """
        if like_old:
            wanted = await new_like_old(self.config.route, self._stores, tenants)
        else:
            places = starts(self.config.route, self._stores, await self.map(), tenants)
            wanted = [(place, None) for place in places]
        return await prepared(self._stores, wanted)

    async def move(self, verb: str, tenant: str, options: Options | None = None) -> Outcome:
        """`migrate`, `rollback`, `abort` or `complete`. Raises MigrationError and Unavailable; may be run again."""
        await self._ready()
        return await self._migrator.run(verb, check_tenant(tenant), options)

    async def verify(
        self, tenant: str, *, repair: bool = False, accept_loss: int = 0, trust: Side | None = None
    ) -> Verification:
        """Compares every record of both sides; with `repair`, brings those that differ to the secondary.

        Raises LossRefused if the secondary would lose more than `migration.repair_share` and `accept_loss` records,
        SuspectsDiffer if the primary may be wrong and is not the side to `trust`.
        """
        await self._ready()
        return await self._migrator.verify(
            check_tenant(tenant), repair=repair, accept_loss=accept_loss, trust=trust
        )

    async def purge(self, tenant: str, *, accept_loss: int = 0) -> int:
        """Deletes the tenant's data on the cluster that it is not on; how many records.

        Raises PurgeRefused if the cluster that it is on lacks more of them than `migration.repair_share` and
        `accept_loss`.
        """
        await self._ready()
        return await self._migrator.purge(check_tenant(tenant), accept_loss=accept_loss)

    async def touch(self, tenant: str, ids: Sequence[str]) -> int:
        """Notes that something outside wrote these ids on the primary: they are copied again. How many.

        A tenant on one cluster needs no note: 0.
        """
        await self.map()
        check_tenant(tenant)
        for record_id in ids:
            check_id(record_id)
        try:
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                await self._plane.journal.mark(tenant, self.config.route.old.shard(tenant), batch)
        except VerbRefused:
            return 0
        return len(ids)

    async def finish(self, *, leave_unnamed: bool = False) -> dict[int, int]:
        """After every tenant is at NEW: new tenants start there too, and the map forgets the moved ones.

        How many records went, by shard. Raises MigrationError naming tenants that are not at NEW yet; and, unless told
        to `leave_unnamed`, where the old cluster has records that are no tenant's.
        """
        await self.map()
        if not leave_unnamed and (left := await unnamed(self.config.route.old, self._stores)):
            listing = "".join(f"\n  - {line}" for line in left[:_NAMED])
            raise MigrationError(
                f"nothing was finished: records would stay behind that no tenant has. Give them one, or leave them "
                f"where they are with `--leave-unnamed`:{listing}"
            )
        finisher = Finisher(
            self._plane, self.config, self._stores, self._migrator.owner, self._migrator.observer
        )
        return {shard: await finisher.finish(shard) for shard in range(self.config.route.old.shards)}

    async def repair(self, tenant: str) -> Outcome:
        """Ends overdue holds, reaps tokens of the dead and pays debt, without moving the tenant on."""
        await self._ready()
        return await self._migrator.repair(check_tenant(tenant))

    async def evict(self, session: str) -> bool:
        """Ends a session that is known to be dead, so that no barrier waits for its lease.

        What it sent before it died is still waited for, for `router.linger`.
        """
        return await self._plane.sessions.leave(session, stays=self.config.router.linger)

    # -- parts -------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """The map is there, and so are the encoders: importing one may take longer than a tenant's lock lives."""
        await self.map()
        encoding_of(self.config.route)

    async def _with_data(self, topology: Topology) -> AsyncIterator[str]:
        store = self._stores[topology.placement.cluster]
        async for tenant in store.tenants(topology.placement, topology.collections()):
            yield tenant

    async def _status(self, tenant: str, standing: Standing, now: float, counted: float) -> TenantStatus:
        counts = await self._plane.journal.counts(tenant)
        lock = await self._plane.locks.state(tenant)
        return TenantStatus(
            tenant=tenant,
            shard=self.config.route.old.shard(tenant),
            phase=standing.phase,
            epoch=standing.epoch,
            synced=standing.synced,
            debt=counts.debt,
            tokens=counts.tokens,
            suspects=len(await self._plane.journal.suspects(tenant)),
            holder=lock.owner if lock is not None and lock.until > now else None,
            overdue=standing.hold_until is not None and standing.hold_until < counted,
        )

    async def _cluster_problems(self, shard_map: ShardMap) -> list[str]:
        found, away = [], set()
        for name, store in self._stores.items():
            try:
                await store.ping()
            except ShardrouteError as error:
                found.append(str(error))
                away.add(name)
        starting_in = starting(self.config.route, shard_map)
        for place in [place for topology in starting_in for place in topology.shared_places()]:
            if place.cluster not in away:
                found += await self._collection_problems(place)
        return found

    async def _collection_problems(self, place: Place) -> list[str]:
        try:
            described = await self._stores[place.cluster].describe(place)
        except ShardrouteError as error:
            return [str(error)]
        if described is None:
            return [
                f"cluster {place.cluster!r} has no collection {place.collection!r}: see `shardroute prepare`"
            ]
        return mismatches(place, described)

    async def _redis_notes(self) -> list[str]:
        """A Redis that forgets would forget where tenants are."""
        try:
            policy = await self._setting("maxmemory-policy")
            durable = await self._setting("appendonly")
        except ShardrouteError:
            return [
                "Redis does not say how it is configured: see to `maxmemory-policy noeviction` and persistence"
            ]
        return [
            *(
                []
                if policy in ("noeviction", None)
                else [f"Redis may evict the map: maxmemory-policy is {policy}"]
            ),
            *(
                []
                if durable in ("yes", None)
                else ["Redis keeps no append-only file: a restart may lose the map"]
            ),
        ]

    async def _setting(self, name: str) -> str | None:
        answer: Any = await self._plane.setting(name)
        return str(answer) if answer is not None else None


def _diagnose_sessions(found: Diagnosis) -> None:
    for session in found.sessions:
        if session.alive and session.acknowledged < found.version:
            found.notes.append(
                f"session {session.id} has acknowledged version {session.acknowledged} of {found.version}; its lease "
                f"ends in {session.remaining:.0f} s. If you know it dead: `shardroute doctor --evict {session.id}`"
            )


def _suspicion(tenant: str, standing: Standing, suspects: Sequence[tuple[Side, str]]) -> str:
    named = ", ".join(record_id for _, record_id in suspects[:_NAMED])
    named += f" and {len(suspects) - _NAMED} more" if len(suspects) > _NAMED else ""
    what = (
        "the tenant is on one cluster, so nothing tells: see 'Suspects' in docs/operations.md"
        if EFFECTS[standing.phase].settled
        else f"`shardroute verify {tenant}` compares them with the other side"
    )
    return (
        f"tenant {tenant}: {len(suspects)} records may have been written by a migrator that had lost its lock "
        f"({named}): {what}"
    )


def _diagnose_tenants(found: Diagnosis) -> None:
    for status in found.half_done:
        if status.overdue:
            found.problems.append(
                f"tenant {status.tenant} is in an overdue hold ({status.phase}): `doctor --repair`"
            )
        elif status.holder is None and EFFECTS[status.phase].dual and not status.synced:
            found.notes.append(
                f"tenant {status.tenant} was left half-copied: `shardroute migrate {status.tenant}`"
            )
        if status.debt and status.holder is None:
            found.notes.append(
                f"tenant {status.tenant} has {status.debt} ids of debt: `doctor --repair` pays it"
            )
