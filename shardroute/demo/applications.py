"""The application processes as the demo sees them: started, listened to, stopped, their evidence taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ..errors import ShardrouteError
from .child import Child
from .evidence import Evidence
from .plan import Plan
from .progress import Traffic
from .world import World

_START = 30.0  # seconds


class Applications:
    """All of them."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._world = world
        self._traffic = traffic
        self._processes: dict[int, Child] = {}
        self._listening: dict[int, asyncio.Task[None]] = {}
        self._stopping = False

    async def start(self, stack: AsyncExitStack, workers: int) -> None:
        """Returns when all of them have a router. Raises ShardrouteError."""
        ready = {worker: asyncio.Event() for worker in range(workers)}
        for worker in ready:
            process = await stack.enter_async_context(self._world.application(worker))
            self._processes[worker] = process
            self._listening[worker] = asyncio.create_task(self._listen(worker, process, ready[worker]))
            stack.callback(self._listening[worker].cancel)
        for worker, event in ready.items():
            await self._until_ready(worker, event)

    async def _until_ready(self, worker: int, ready: asyncio.Event) -> None:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait(
            {waiting, self._listening[worker]}, timeout=_START, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if not ready.is_set():
            raise ShardrouteError(
                f"application {worker} did not start:\n{self._processes[worker].last_words}"
            )

    async def _listen(self, worker: int, process: Child, ready: asyncio.Event) -> None:
        async for line in process.lines():
            self._traffic.hear(worker, json.loads(line))
            ready.set()

    async def stop(self) -> Evidence:
        """SIGTERM to all; what they saw and did. Raises ShardrouteError if one did not end as it should."""
        for process in self._processes.values():
            process.terminate()
        evidence = Evidence()
        for worker, process in self._processes.items():
            code = await process.ended()
            await self._listening[worker]
            if code != 0:
                raise ShardrouteError(f"application {worker} ended with {code}:\n{process.last_words}")
            evidence.take(Evidence.load(self._world.folder.evidence(worker)))
        return evidence


@asynccontextmanager
async def applications(world: World, plan: Plan, traffic: Traffic) -> AsyncIterator[Applications]:
    """Running, and stopped at the end whatever happens."""
    async with AsyncExitStack() as stack:
        running = Applications(world, traffic)
        await running.start(stack, plan.workers)
        yield running
