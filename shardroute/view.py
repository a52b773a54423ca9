"""What one process knows: the map, its lease, and its writes in flight. No await, no I/O; time comes from `clock`.

The follower changes it, requests read it. It answers four questions: may a write begin, was the lease held throughout
(rule 4), what has to be cut off before the lease ends (rule 4), and what may be acknowledged (rule 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .errors import MapLost, ShardrouteError
from .rules import Acknowledgement, Lease, acknowledgement, cut_off_at, lease_unbroken
from .shardmap import Migration, ShardMap, Standing
from .timing import clock

InFlight = tuple[str, int]
"""A tenant and the epoch under which a write of it began."""

Requests = Sequence["asyncio.Task[Any]"]


class Flight:
    """A write in flight.

    `requests`: the tasks that wait for clusters, empty while it waits for none. `cancelling`: None until they were cut
    off; then how many other cancellations the first of them had pending. `overtaken`: None while the write's view of
    its tenant is current, then the last version of the map for which it was.
    """

    # Of the class, and not set for each: nearly every write ends without either.
    cancelling: int | None = None
    overtaken: int | None = None

    def __init__(self, of: InFlight, requests: Requests = ()) -> None:
        self.of = of
        self.requests = requests

    def cut_off(self) -> None:
        """Cancels what is under way. Done once: a request that was cut off comes to an end by itself."""
        if self.cancelling is None and self.requests:
            self.cancelling = self.requests[0].cancelling()
            for request in self.requests:
                request.cancel()


class View:
    """The state that all requests of a router share.

    `confirmed`: when Redis last said that the map is current. `linger`: for how many seconds a request that was cut off
    may still take effect.
    """

    def __init__(
        self,
        migration: Migration,
        shard_map: ShardMap,
        clock: Callable[[], float] = clock,
        *,
        linger: float = 0.0,
    ) -> None:
        self.migration = migration
        self.map = shard_map
        self.lease = Lease()
        self.clock = clock
        self.confirmed = clock()
        self.failure: MapLost | None = None
        self.closing = False
        self.linger = linger
        self._flights: set[Flight] = set()
        self._changed = asyncio.Event()
        self._drained: Callable[[], None] = lambda: None

    def standing(self, tenant: str) -> Standing:
        return self.migration.standing(self.map, tenant)

    # -- writes ----------------------------------------------------------------------------------------------

    def may_write(self) -> bool:
        """Whether a write may be sent now: the lease outlasts whatever of it may still land (rule 4).

        Raises MapLost once the map was lost (rule 13), ShardrouteError at the end.
        """
        if self.failure is not None:
            raise MapLost(str(self.failure)) from self.failure
        if self.closing:
            raise ShardrouteError("the router has been closed: it answers no more writes")
        return self.clock() < cut_off_at(self.lease, self.linger)

    @property
    def writable(self) -> bool:
        """Whether the lease is held for so long that a write can still be sent."""
        return self.until_cut_off() > 0

    def may_answer(self, generation: int) -> bool:
        """Rule 4: whether a write that began under this generation of the lease may be answered."""
        return lease_unbroken(self.lease, generation, self.clock())

    def enter(self, write: InFlight, requests: Requests = ()) -> Flight:
        """A write begins."""
        flight = Flight(write, requests)
        self._flights.add(flight)
        return flight

    def leave(self, flight: Flight) -> None:
        """A write has ended; if a change was waiting for it, the acknowledgement is pushed at once (rule 3)."""
        self._flights.discard(flight)
        if flight.overtaken is not None:
            self._drained()

    @property
    def writes_in_flight(self) -> int:
        return len(self._flights)

    def acknowledged(self) -> Acknowledgement:
        """The newest version, less the tenants with a write of an earlier standing in flight (rule 3)."""
        overtaken = [(one.of[0], one.overtaken) for one in self._flights if one.overtaken is not None]
        return acknowledgement(self.map.version, overtaken)

    # -- cutting off (rule 4) ----------------------------------------------------------------------------------

    def until_cut_off(self) -> float:
        """Seconds until what is under way has to be cut off, unless the lease is renewed before; 0 or less: now."""
        return cut_off_at(self.lease, self.linger) - self.clock()

    def cut_off(self) -> None:
        """Nothing that was sent under this lease may land after it."""
        for flight in self._flights:
            flight.cut_off()

    # -- the follower ----------------------------------------------------------------------------------------

    def on_drained(self, callback: Callable[[], None]) -> None:
        self._drained = callback

    def adopt(self, newer: ShardMap) -> None:
        """Swaps the map, unless it is old news. Writes whose tenant has moved hold back the acknowledgement."""
        if newer.version <= self.map.version:
            return
        before, self.map = self.map, newer
        for flight in self._flights:
            tenant, epoch = flight.of
            if flight.overtaken is None and self.standing(tenant).epoch != epoch:
                flight.overtaken = before.version
        self.announce()

    def fail(self, failure: MapLost) -> None:
        """The map is lost: writing stops."""
        self.failure = failure
        self.lease = Lease(generation=self.lease.generation + 1)
        self.announce()

    def refuse_writes(self) -> None:
        """No write begins any more; those in flight may still be answered."""
        self.closing = True
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
