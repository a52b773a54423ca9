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

_START = 240.0  # seconds: Pythons start slowly on a busy machine


class Applications:
    """All of them. `listening`: a task for each, which raises ShardrouteError if its process ends too early."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._world = world
        self._traffic = traffic
        self._processes: dict[int, Child] = {}
        self._ready: dict[int, asyncio.Event] = {}
        self._stopping = False

    async def start(self, worker: int, stack: AsyncExitStack, listening: asyncio.TaskGroup) -> None:
        """Starts a process that lives as long as `stack`."""
        self._ready[worker] = asyncio.Event()
        self._processes[worker] = await stack.enter_async_context(self._world.application(worker))
        listening.create_task(self._listen(worker))

    async def ready(self) -> None:
        """Returns when all of them have a router. Raises ShardrouteError."""
        try:
            async with asyncio.timeout(_START):
                for event in self._ready.values():
                    await event.wait()
        except TimeoutError as error:
            raise ShardrouteError(f"the applications did not start within {_START:g} s") from error

    async def _listen(self, worker: int) -> None:
        process = self._processes[worker]
        async for line in process.lines():
            self._traffic.hear(worker, json.loads(line))
            self._ready[worker].set()
        code = await process.ended()
        if code != 0 or not self._stopping:
            raise ShardrouteError(f"application {worker} ended with {code}:\n{process.last_words}")

    def stop(self) -> None:
        """SIGTERM to all: they end what is under way, and hand their evidence over."""
        self._stopping = True
        for process in self._processes.values():
            process.terminate()

    def evidence(self) -> Evidence:
        """Of all of them, once they have ended."""
        evidence = Evidence()
        for worker in self._processes:
            evidence.take(Evidence.load(self._world.folder.evidence(worker)))
        return evidence


@asynccontextmanager
async def applications(world: World, plan: Plan, traffic: Traffic) -> AsyncIterator[Applications]:
    """Running while the block runs; when it is left, they have ended. Raises ShardrouteError if one does early."""
    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as listening:
            running = Applications(world, traffic)
            for worker in range(plan.workers):
                await running.start(worker, stack, listening)
            await running.ready()
            yield running
            running.stop()
    except BaseExceptionGroup as errors:
        if _interrupted():
            raise asyncio.CancelledError from errors
        raise _first(errors) from errors


def _interrupted() -> bool:
    """Whether somebody ends the demo: an interrupt from the terminal goes to its processes as well."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
