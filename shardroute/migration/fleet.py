"""Many tenants: a few at a time, each on its own, one failure not stopping the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from ..errors import ShardrouteError

_Result = TypeVar("_Result")


async def each(
    tenants: Iterable[str], work: Callable[[str], Awaitable[_Result]], *, parallel: int
) -> AsyncIterator[tuple[str, _Result | ShardrouteError]]:
    """Results as they come, `parallel` tenants under way. Errors of shardroute are results; others stop everything."""
    places = asyncio.Semaphore(parallel)

    async def one(tenant: str) -> tuple[str, _Result | ShardrouteError]:
        async with places:
            try:
                return tenant, await work(tenant)
            except ShardrouteError as error:
                return tenant, error

    tasks = [asyncio.create_task(one(tenant), name=f"tenant {tenant}") for tenant in tenants]
    try:
        for finished in asyncio.as_completed(tasks):
            yield await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
