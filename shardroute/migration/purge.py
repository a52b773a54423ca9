"""Deleting what a tenant has on the cluster that it is not on: record by record, so that nothing written later goes.

What the tenant has of its own there, a collection, a shard key or a namespace, stays, empty: no cluster can be told
to drop it only if it is empty, and a request to drop it that lands late would take all that was written since.
"""

from __future__ import annotations

import uuid
from functools import partial

from ..errors import MigrationError
from ..looks import found_by_any
from ..routing import Target
from .observer import Stage
from .pages import pages
from .patience import Hit
from .work import Work

_PASSES = 4


async def empty(work: Work, target: Target) -> int:
    """How many records went. Raises MigrationError if some do not go, or others come.

    Those that another tenant has too stay.
    """
    store, place = target.store, target.place
    if await work.patience.read(store.name, lambda: store.describe(place)) is None:
        return 0
    work.observer.stage(
        work.tenant, Stage.PURGE, await work.patience.read(store.name, lambda: store.estimate(place))
    )
    mark, gone = uuid.uuid4().hex, 0
    for _ in range(_PASSES):
        await work.fresh(target)
        found = 0
        async for page in pages(work, target, target.limits.delete_ids, vectors=False):
            ids = [record.id for record in page.records if record.id not in page.shared]
            found += len(ids)
            if ids:
                remove = partial(store.remove, place, ids, mark)
                await work.patience.write(store.name, remove, Hit(target.side, ids))
                work.observer.advance(work.tenant, Stage.PURGE, len(ids))
        if not found and not await found_by_any(store, partial(_any_left, work, target)):
            work.step("purged")
            return gone
        gone = gone or found  # later passes find what came meanwhile, or what lagging reads still show
    raise MigrationError(
        f"tenant {work.tenant!r}: cluster {store.name!r} still shows records of it after {_PASSES} passes: somebody "
        "goes on writing there past shardroute, or something else than shardroute wrote them"
    )


async def _any_left(work: Work, target: Target) -> bool:
    async for page in pages(work, target, target.limits.delete_ids, vectors=False):
        if any(record.id not in page.shared for record in page.records):
            return True
    return False
