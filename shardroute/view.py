"""What one process knows: the map, its lease, and its writes in flight. No await, no I/O; time comes from `clock`.

The follower changes it, requests read it. It answers three questions: may a write begin, was the lease
held throughout (rule 4), and which version may be acknowledged (rule 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .errors import MapLost, ShardrouteError
from .rules import Lease, acknowledgeable, lease_unbroken
from .shardmap import Migration, ShardMap, Standing
from .timing import clock

InFlight = tuple[str, int]
"""A tenant and the epoch under which a write of it began."""


class View:
    """The state that all requests of a router share. `confirmed`: when Redis last said that the map is current."""

    def __init__(self, migration: Migration, shard_map: ShardMap, clock: Callable[[], float] = clock) -> None:
        self.migration = migration
        self.map = shard_map
        self.lease = Lease()
        self.clock = clock
        self.confirmed = clock()
        self.failure: MapLost | None = None
        self._closing = False
        self._in_flight: dict[InFlight, int] = {}
        self._overtaken: dict[InFlight, int] = {}
        self._changed = asyncio.Event()
        self._drained: Callable[[], None] = lambda: None

    def standing(self, tenant: str) -> Standing:
        return self.migration.standing(self.map, tenant)

    # -- writes ----------------------------------------------------------------------------------------------

    def may_write(self) -> bool:
        """Whether the lease is held. Raises MapLost once the map was lost (rule 13), ShardrouteError at the end."""
        if self.failure is not None:
            raise MapLost(str(self.failure)) from self.failure
        if self._closing:
            raise ShardrouteError("the router has been closed: it answers no more writes")
        return self.lease.holds(self.clock())

    def may_answer(self, generation: int, *, ahead: float = 0.0) -> bool:
        """Rule 4: whether a write that began under this generation of the lease may be answered.

        `ahead`: and the lease holds for so many seconds more, even if nobody renews it.
        """
        return lease_unbroken(self.lease, generation, self.clock() + ahead)

    def enter(self, write: InFlight) -> None:
        """A write begins."""
        self._in_flight[write] = self._in_flight.get(write, 0) + 1

    def leave(self, write: InFlight) -> None:
        """A write has ended; if a change was waiting for it, the acknowledgement is pushed at once (rule 3)."""
        left = self._in_flight[write] - 1
        if left:
            self._in_flight[write] = left
            return
        del self._in_flight[write]
        if self._overtaken.pop(write, None) is not None:
            self._drained()

    @property
    def writes_in_flight(self) -> int:
        return sum(self._in_flight.values())

    def acknowledged(self) -> int:
        """The newest version under which no write of an earlier standing is still in flight (rule 3)."""
        return acknowledgeable(self.map.version, self._overtaken.values())

    # -- the follower ----------------------------------------------------------------------------------------

    def on_drained(self, callback: Callable[[], None]) -> None:
        self._drained = callback

    def adopt(self, newer: ShardMap) -> None:
        """Swaps the map, unless it is old news. Writes whose tenant has moved hold back the acknowledgement."""
        if newer.version <= self.map.version:
            return
        before, self.map = self.map, newer
        for write in self._in_flight:
            tenant, epoch = write
            if self.standing(tenant).epoch != epoch:
                self._overtaken.setdefault(write, before.version)
        self.announce()

    def fail(self, failure: MapLost) -> None:
        """The map is lost: writing stops."""
        self.failure = failure
        self.lease = Lease(generation=self.lease.generation + 1)
        self.announce()

    def refuse_writes(self) -> None:
        """No write begins any more; those in flight may still be answered."""
        self._closing = True
        self.announce()

    def close(self) -> None:
        """The session is about to end, and with it the right to answer what is still in flight (rule 4)."""
        self.lease = Lease(generation=self.lease.generation + 1)
        self.refuse_writes()

    def announce(self) -> None:
        """Wakes whoever waits for the map or the lease to change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Returns at the next change of map or lease."""
        await self._changed.wait()
