"""Clusters in memory that answer when a test lets them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shardroute.records import Match, Query, Record
from shardroute.stores.memory import MemoryStore
from shardroute.topology import Place


class Gated(MemoryStore):
    """The first upsert after `close` waits for `open`; `asked` once it is there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked = asyncio.Event()
        self._gate = asyncio.Event()
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def open(self) -> None:
        self._gate.set()

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        if self._closed:
            self._closed = False
            self.asked.set()
            await self._gate.wait()
        await super().upsert(place, records, insert_only=insert_only)


class Pinged(MemoryStore):
    """Counts how often it was asked whether it answers. With an `error` it does not; with `silent` it never says."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.pings = 0
        self.asked = asyncio.Event()
        self.error: Exception | None = None
        self.silent = False

    async def ping(self) -> None:
        self.pings += 1
        self.asked.set()
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


class Refusing(MemoryStore):
    """Raises `error` for every query."""

    error: Exception

    async def query(self, place: Place, query: Query) -> list[Match]:
        raise self.error
