"""The admin's part: all tenants, a batch to a process and a few processes at a time; one back, and forth again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..admin import Admin
from .corpus import Corpus
from .plan import Plan
from .progress import Progress
from .world import World

_POLL = 0.2  # seconds between looks at the map
_BETWEEN = 1.5  # seconds of traffic between a rollback and the next move


async def move_all(world: World, corpus: Corpus, plan: Plan, progress: Progress) -> None:
    """All tenants to the new cluster under traffic, the largest of them back to the old and to the new again."""
    progress.now(f"moving {len(corpus)} tenants, {plan.admins} admin processes at a time")
    batches = iter(_batches(sorted(corpus), plan.batch))

    async def admin() -> None:
        for batch in batches:
            await _run(world, "migrate", batch, progress, parallel=plan.parallel)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(plan.admins):
            tasks.create_task(admin())
    await _there_and_back(world, max(corpus, key=lambda tenant: len(corpus[tenant])), progress)


async def _there_and_back(world: World, tenant: str, progress: Progress) -> None:
    progress.now(f"rolling {tenant} back")
    await _run(world, "rollback", [tenant], progress)
    await asyncio.sleep(_BETWEEN)
    progress.now(f"moving {tenant} again")
    await _run(world, "migrate", [tenant], progress)


def _batches(tenants: Sequence[str], size: int) -> list[Sequence[str]]:
    return [tenants[start : start + size] for start in range(0, len(tenants), size)]


async def _run(
    world: World, verb: str, tenants: Sequence[str], progress: Progress, *, parallel: int = 1
) -> None:
    answer = await world.admin(verb, *tenants, "--parallel", str(parallel))
    progress.moves.hear(verb, answer)
    for result in answer["results"]:
        progress.tell(_in_words(verb, result))
    for error in answer["errors"]:
        progress.tell(f"{verb} {error['tenant']} failed: {error['error']}: {error['message']}")


def _in_words(verb: str, result: Mapping[str, Any]) -> str:
    holds = ", ".join(f"{1000 * hold:.0f} ms" for hold in result["hold_seconds"])
    counts = ", ".join(f"{result[count]} {count}" for count in ("copied", "compared", "repaired"))
    where = f"{verb} {result['tenant']}: {result['phase']}"
    return f"{where}, {counts}, hold {holds or 'none'}, {result['seconds']:.1f} s"


@asynccontextmanager
async def watched(world: World, progress: Progress) -> AsyncIterator[None]:
    """Keeps the phases of all tenants current in `progress`."""
    async with Admin.open(world.config, stores={}) as admin:
        task = asyncio.create_task(_watch(admin, progress))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _watch(admin: Admin, progress: Progress) -> None:
    route = admin.config.route
    while True:
        shard_map = await admin.map()
        progress.phases = {tenant: route.standing(shard_map, tenant).phase for tenant in progress.tenants}
        await asyncio.sleep(_POLL)
