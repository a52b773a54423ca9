"""One run of a schedule: traffic, verbs and troubles; then calm; then everything is read on both sides."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import compress
from typing import Any

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.control import ControlPlane
from shardroute.errors import MigrationError, Unavailable
from shardroute.migration import Options
from shardroute.phases import EFFECTS, Side
from shardroute.tenant import Tenant
from tests.linearizability.history import Kind
from tests.support.world import record

from .client import seen
from .nursery import Child
from .record import Log, Recorder, Values, entries
from .schedule import MIGRATORS, ROUTERS, Fault, Schedule, Verb
from .settings import IDLE_LEASE, KEPT, LINGER, SHARED, STABLE, TENANTS
from .troubles import ROBBERY, LeftOut, suffer
from .waiting import CALM, comes_true, patiently, stopped
from .world import Party, World

_COULD_NOT_START = 3
_AGAIN = 1
_TRIES = 4
_BETWEEN_TRIES = 1.0
"""Seconds: the lock of a migrator that was killed stands for a while."""
_WRITES = (Kind.UPSERT, Kind.UPDATE, Kind.DELETE)


@dataclass
class Run:
    """`complaints`: what is wrong, beside what the history shows. `left_out`: troubles that could not be made."""

    world: World
    schedule: Schedule
    complaints: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    late: float = 0.0
    """Seconds that this process was late at worst: a machine that stands still is no fair one."""
    processes: int = 0
    verbs: int = 0
    troubles: int = 0

    def __post_init__(self) -> None:
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fills = itertools.count()
        self.log = Log(self.world.folder / "troubles.jsonl")
        self.recorder = Recorder(Log(self.world.folder / "history-fill.jsonl"))

    async def all(self) -> None:
        """Everything, from an empty world to the last read."""
        watch = asyncio.create_task(self._watch())
        await patiently(self._fill)
        supervisors = [asyncio.create_task(self._supervise(self.world.parties[name])) for name in ROUTERS]
        try:
            await self._troubles()
            await self._calm()
        finally:
            await stopped(supervisors)
        await self._end_routers()
        await patiently(self._read_everything)
        if self.schedule.forgets:
            await self._lose_the_map()
        await stopped([watch])

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            self.late = max(self.late, time.monotonic() - began - 0.05)

    async def _fill(self) -> None:
        config = Config.load(self.world.config)
        async with Admin.open(config) as admin:
            await admin.init()
        async with Router(config) as router:
            for name, store in router.stores.items():
                topology = config.route.old if name == "a" else config.route.new
                for tenant in TENANTS:
                    await store.prepare(topology.place(tenant))
            for tenant in TENANTS:
                await self._write(router.tenant(tenant), dict.fromkeys((*STABLE, *KEPT), next(self._fills)))

    async def _write(self, tenant: Tenant, values: Values) -> None:
        async def ask() -> None:
            await tenant.upsert([record(name, value or 0) for name, value in values.items()])

        if (failed := await self.recorder.ask(tenant, Kind.UPSERT, values, ask)) is not None:
            raise failed

    # -- routers ---------------------------------------------------------------------------------------------------

    async def _supervise(self, party: Party) -> None:
        """One router after the other: the next one starts when the last one has ended, or was asked to."""
        while True:
            child = await self._start(party)
            while not (child.ended.is_set() or child.leaving):  # noqa: ASYNC110 - either of two
                await asyncio.sleep(0.05)
            if child.status not in (None, 0, -signal.SIGKILL, _COULD_NOT_START):
                self.complaints.append(f"{party.name} crashed with status {child.status}: see noise.log")

    async def _start(self, party: Party) -> Child:
        self.processes += 1
        number, aims = self.processes, self.schedule.aims[self.processes % len(self.schedule.aims)]
        log, seed = (
            self.world.folder / f"history-{party.name}-{len(party.children)}.jsonl",
            self.schedule.seed * 1000 + number,
        )
        raw = [asdict(aim) for aim in aims]
        child = await self.world.nursery.start(
            "router", str(party.config), str(log), number, seed, list(TENANTS), raw
        )
        party.children.append(child)
        return child

    async def _end_routers(self) -> None:
        children = [child for name in ROUTERS for child in self.world.parties[name].children]
        for child in children:
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)
        await asyncio.gather(*(child.end(20) for child in children))

    # -- troubles --------------------------------------------------------------------------------------------------

    async def _troubles(self) -> None:
        began = time.monotonic()
        troubles = [asyncio.create_task(self._trouble(fault, began)) for fault in self.schedule.faults]
        running = [*troubles, *(asyncio.create_task(self._walk(tenant)) for tenant in TENANTS)]
        await asyncio.sleep(self.schedule.seconds)
        # What a test of the judges relies on happens, however late this machine is.
        robberies = [fault.kind == ROBBERY for fault in self.schedule.faults]
        await asyncio.gather(*compress(troubles, robberies))
        await stopped(running)
        for task in running:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _trouble(self, fault: Fault, began: float) -> None:
        await asyncio.sleep(began + fault.at - time.monotonic())
        async with self._one_at_a_time[
            fault.who
        ]:  # where this machine is late, the one before is not over yet
            self.log.note(at=time.monotonic_ns(), trouble=fault.kind, who=fault.who, seconds=fault.seconds)
            try:
                await suffer(self.world, fault)
            except LeftOut as why:
                self.left_out.append(str(why))
            else:
                self.troubles += 1

    async def _walk(self, tenant: str) -> None:
        party = self.world.parties[MIGRATORS[TENANTS.index(tenant)]]
        for verb in self.schedule.verbs[tenant]:
            for _ in range(_TRIES):
                child = await self._verb(verb, party, tenant)
                if child.status != _AGAIN:
                    break
                await asyncio.sleep(_BETWEEN_TRIES)

    async def _verb(self, verb: Verb, party: Party, tenant: str) -> Child:
        self.verbs += 1
        aim = None if verb.aim is None else asdict(verb.aim)
        log = str(self.world.folder / "migrators.jsonl")
        child = await self.world.nursery.start(
            "migrator", str(party.config), log, verb.verb, tenant, verb.verify, aim
        )
        party.children.append(child)
        try:
            await child.end(verb.patience)
        finally:
            child.kill()
        return child

    # -- calm ------------------------------------------------------------------------------------------------------

    async def _calm(self) -> None:
        """Every router writes again on every tenant: nothing of what has passed ends writing for good."""
        for party in self.world.parties.values():
            for child in party.children:
                child.signal(signal.SIGCONT)
        since = time.monotonic_ns()
        waiting = {(name, tenant) for name in ROUTERS for tenant in TENANTS}
        until = time.monotonic() + CALM
        while waiting and time.monotonic() < until:
            await asyncio.sleep(0.3)
            waiting -= {(name, tenant) for name in ROUTERS for tenant in self._answered(name, since)}
        for name, tenant in sorted(waiting):
            last = self._last_failure(name)
            self.complaints.append(
                f"{name} answers no write of {tenant} in {CALM:.0f} s, though all is well; it says {last}"
            )

    def _lines(self, party: str) -> list[dict[str, Any]]:
        life = len(self.world.parties[party].children) - 1
        return list(entries(self.world.folder / f"history-{party}-{life}.jsonl"))

    def _answered(self, party: str, since: int) -> set[str]:
        """The tenants of which a write was begun since then, and answered."""
        lines = self._lines(party)
        answered = {line["n"] for line in lines if "end" in line}
        written = [line for line in lines if line.get("kind") in _WRITES]
        return {line["tenant"] for line in written if line["call"] > since and line["n"] in answered}

    def _last_failure(self, party: str) -> str:
        lines = self._lines(party)
        writes = {line["n"] for line in lines if line.get("kind") in _WRITES}
        failures = [str(line["failed"]) for line in lines if "failed" in line and line["n"] in writes]
        return failures[-1] if failures else "nothing"

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _read_everything(self) -> None:
        """On the side where each tenant is, then on the other one, then back: what differs shows as a read."""
        config = Config.load(self.world.config)
        await asyncio.sleep(LINGER)
        async with Admin.open(config) as admin, Router(config) as router:
            for name in TENANTS:
                await self._quiet(config, admin, name)
                for _ in range(2):
                    await patiently(partial(self._read, router.tenant(name)))
                    await patiently(partial(self._to_the_other_side, admin, name))
                await patiently(partial(self._read, router.tenant(name)))

    async def _read(self, tenant: Tenant) -> None:
        names = [*SHARED, *KEPT, *STABLE]

        async def ask() -> Values:
            return seen((await tenant.fetch(names)).values())

        if (failed := await self.recorder.ask(tenant, Kind.READ, dict.fromkeys(names), ask)) is not None:
            raise failed

    async def _lose_the_map(self) -> None:
        """Redis comes back empty (rule 13): from then on a router answers no write, and says why."""
        party, began = self.world.parties[ROUTERS[0]], time.monotonic_ns()
        await self._start(party)
        await comes_true(lambda: bool(self._answered(party.name, began)))
        await self.world.redis.empty()
        emptied = time.monotonic_ns()
        if not await comes_true(lambda: "MapLost" in self._last_failure(party.name)):
            self.complaints.append("Redis came back empty, and a router did not say that the map is lost")
        await asyncio.sleep(IDLE_LEASE)
        if self._answered(party.name, emptied + int(IDLE_LEASE * 1e9)):
            self.complaints.append("Redis came back empty, and a router went on answering writes")
        await self._end_routers()

    async def _quiet(self, config: Config, admin: Admin, tenant: str) -> None:
        """Returns when no debt and no token is left."""
        plane = ControlPlane.open(config.control)
        try:
            until = time.monotonic() + 40
            while (left := await plane.journal.counts(tenant)).debt or left.tokens:
                if time.monotonic() > until:
                    self.complaints.append(f"{tenant}: {left} do not end")
                    return
                try:
                    await admin.repair(tenant)
                except (MigrationError, Unavailable):
                    await asyncio.sleep(0.2)
        finally:
            await plane.aclose()

    @staticmethod
    async def _to_the_other_side(admin: Admin, tenant: str) -> None:
        """Without comparing: what differs then was not known to differ."""
        [status] = await admin.status([tenant])
        verb = "rollback" if EFFECTS[status.phase].primary is Side.NEW else "migrate"
        await admin.move(verb, tenant, Options(purge_target=True, verify=False))
