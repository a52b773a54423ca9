"""An application under traffic, in a process that may be killed or stopped at any moment."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from shardroute import Record, Router
from shardroute.errors import ShardrouteError
from shardroute.tenant import Tenant
from tests.linearizability.history import Kind
from tests.support.world import record

from .aimed import Aim, take_aim
from .record import SCAN, Log, Recorder, Roles, Values
from .settings import KEPT, SHARED, STABLE

_AFTER_FAILURE = 0.1
_PAUSE = 0.04  # seconds, the longest between two requests of a writer
_EVERYTHING = [*SHARED, *KEPT, *STABLE]


async def main(path: str, log: str, process: int, seed: int, tenants: list[str], aims: list[Any]) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    provider = TracerProvider()
    provider.add_span_processor(Roles())
    trace.set_tracer_provider(provider)
    told = Log(Path(log))
    take_aim([Aim(**aim) for aim in aims], told)
    recorder, numbers = Recorder(told), itertools.count(process * 1_000_000)
    try:
        async with Router.from_config(path) as router, asyncio.TaskGroup() as group:
            for place, name in enumerate([*tenants, *tenants]):
                client = Client(router.tenant(name), recorder, random.Random(seed * 100 + place), numbers)
                group.create_task(client.run(stop))
    except ShardrouteError as error:
        told.note(failed_to_start=repr(error))
        return 3
    return 0


@dataclass
class Client:
    """One thing at a time, on one tenant. All write the same records."""

    tenant: Tenant
    recorder: Recorder
    dice: random.Random
    numbers: Iterator[int]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            failed = await self._one()
            await asyncio.sleep(_AFTER_FAILURE if failed else self.dice.uniform(0, _PAUSE))

    async def _one(self) -> bool:
        """Whether it failed. Now and then the caller goes away on the way."""
        acts = (self._upsert, self._update, self._delete, self._fetch, self._query, self._scan)
        act = self.dice.choices(acts, (28, 15, 10, 40, 5, 2))[0]
        patience = self.dice.random() * 0.1 if self.dice.random() < 0.02 else None
        try:
            async with asyncio.timeout(patience):
                return await act() is not None
        except TimeoutError:
            return True

    # -- writes ----------------------------------------------------------------------------------------------

    async def _upsert(self) -> Exception | None:
        values = {name: next(self.numbers) for name in self._some(SHARED)}

        async def ask() -> None:
            await self.tenant.upsert([record(name, value) for name, value in values.items()])

        return await self.recorder.ask(self.tenant, Kind.UPSERT, values, ask)

    async def _update(self) -> Exception | None:
        name, value = self.dice.choice([*SHARED, *KEPT]), next(self.numbers)
        vector = record(name, value).vector if self.dice.random() < 0.5 else None

        async def ask() -> None:
            await self.tenant.update(name, metadata={"v": value}, vector=vector)

        return await self.recorder.ask(self.tenant, Kind.UPDATE, {name: value}, ask)

    async def _delete(self) -> Exception | None:
        values: Values = dict.fromkeys(self._some(SHARED))

        async def ask() -> None:
            await self.tenant.delete(list(values))

        return await self.recorder.ask(self.tenant, Kind.DELETE, values, ask)

    # -- reads -----------------------------------------------------------------------------------------------

    async def _fetch(self) -> Exception | None:
        names = self._some([*SHARED, *KEPT, *self.dice.sample(STABLE, 2)])

        async def ask() -> Values:
            return seen((await self.tenant.fetch(names)).values())

        return await self.recorder.ask(self.tenant, Kind.READ, dict.fromkeys(names), ask)

    async def _query(self) -> Exception | None:
        async def ask() -> Values:
            found = await self.tenant.query([1.0, 2.0, 3.0, self.dice.uniform(4, 11)], top_k=200)
            return {match.id: int((match.metadata or {})["v"]) for match in found}

        return await self.recorder.ask(self.tenant, Kind.READ, dict.fromkeys(_EVERYTHING), ask)

    async def _scan(self) -> Exception | None:
        async def ask() -> Values:
            return seen([one async for one in self.tenant.scan(vectors=False)])

        return await self.recorder.ask(self.tenant, SCAN, dict.fromkeys(_EVERYTHING), ask)

    def _some(self, names: list[str]) -> list[str]:
        return self.dice.sample(names, self.dice.choice((1, 1, 2, 3)))


def seen(records: Iterable[Record]) -> Values:
    """The value of each."""
    return {one.id: int(one.metadata["v"]) for one in records}
