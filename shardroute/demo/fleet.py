"""The admin's part: all tenants, a batch to a process and a few processes at a time; one back, and forth again.

What ended in an error that says "try again" is tried again, as an operator would, until the plan's time is over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..admin import Admin
from .corpus import Corpus
from .plan import Plan
from .progress import Progress
from .world import World

_POLL = 0.2  # seconds between looks at the map
_TRIES = 5  # of a verb that says that it may be tried again
_BETWEEN = 1.5  # seconds of traffic between a rollback and the next move


async def move_all(world: World, corpus: Corpus, plan: Plan, progress: Progress) -> None:
    """All tenants to the new cluster under traffic, the largest of them back to the old and to the new again."""
    progress.now(f"moving {len(corpus)} tenants, {plan.admins} admin processes at a time")
    batches = _batches(sorted(corpus), plan.batch)
    until = time.monotonic() + plan.moving

    async def admin() -> None:
        while batches and time.monotonic() < until:
            late = await _run(world, "migrate", batches.popleft(), progress, parallel=plan.parallel)
            batches.extend(_batches(late, plan.batch))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(plan.admins):
            tasks.create_task(admin())
    left = {tenant for batch in batches for tenant in batch}
    if left:
        progress.moves.out_of_time = True
        progress.now(f"{len(left)} tenants are not moved: {plan.moving:g} s are over")
    if len(left) < len(corpus):
        await _there_and_back(world, max(corpus.keys() - left, key=lambda name: len(corpus[name])), progress)


async def _there_and_back(world: World, tenant: str, progress: Progress) -> None:
    progress.now(f"rolling {tenant} back")
    await _patiently(world, "rollback", tenant, progress)
    await asyncio.sleep(_BETWEEN)
    progress.now(f"moving {tenant} again")
    await _patiently(world, "migrate", tenant, progress)


async def _patiently(world: World, verb: str, tenant: str, progress: Progress) -> None:
    for _ in range(_TRIES):
        if not await _run(world, verb, [tenant], progress):
            return


def _batches(tenants: Sequence[str], size: int) -> deque[Sequence[str]]:
    return deque(tenants[start : start + size] for start in range(0, len(tenants), size))


async def _run(
    world: World, verb: str, tenants: Sequence[str], progress: Progress, *, parallel: int = 1
) -> Sequence[str]:
    """The tenants with which it can be tried again."""
    answer = await world.admin(verb, *tenants, "--parallel", str(parallel))
    progress.moves.hear(verb, answer)
    for result in answer["results"]:
        progress.tell(_in_words(verb, result))
    for error in answer["errors"]:
        progress.tell(f"{verb} {error['tenant']} failed: {error['error']}: {error['message']}")
    over = {result["tenant"] for result in answer["results"]}
    over |= {error["tenant"] for error in answer["errors"] if not error["retryable"]}
    return [] if None in over else [tenant for tenant in tenants if tenant not in over]


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
