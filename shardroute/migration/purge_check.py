"""A last look before a purge: whether the side that stays has what the side that goes has."""

from __future__ import annotations

from functools import partial

from ..errors import PurgeRefused
from ..records import Record
from ..routing import Target
from .loss import Loss
from .pages import pages
from .work import Work

_LISTED = 20


async def refuse_loss(work: Work, kept: Target, unused: Target, accepted: int) -> None:
    """Raises PurgeRefused if too many records of `unused` are missing on the side that is `kept`, or have less there.

    Some are: what was deleted since the tenant was completed. So a share may go, as in a repair.
    """
    if await work.patience.read(unused.store.name, lambda: unused.store.describe(unused.place)) is None:
        return
    await work.fresh(kept, unused)
    loss = Loss(kept=await _count(work, kept))
    async for page in pages(work, unused, kept.limits.fetch_ids, vectors=True):
        own = [record for record in page.records if record.id not in page.shared]
        loss.held += len(own)
        there = await _fetch(work, kept, [record.id for record in own])
        for record in own:
            if (other := there.get(record.id)) is None:
                loss.deleted[record.id] = "missing"
            elif lacking := _vectors(record) - _vectors(other):
                loss.replaced[record.id] = f"without {', '.join(sorted(lacking))}"
    if loss.excessive(work.config.migration.repair_share, accepted):
        listed = [f"{name!r}: {what}" for name, what in sorted(loss.records.items())[:_LISTED]]
        raise PurgeRefused(
            work.tenant,
            kept.side,
            missing=len(loss.deleted),
            lesser=len(loss.replaced),
            held=loss.held,
            examples=listed,
        )
    work.step("purge allowed")


async def _count(work: Work, target: Target) -> int:
    return await work.patience.read(target.store.name, lambda: target.store.estimate(target.place))


async def _fetch(work: Work, target: Target, ids: list[str]) -> dict[str, Record]:
    return (
        await work.patience.read(target.store.name, partial(target.store.fetch, target.place, ids))
        if ids
        else {}
    )


def _vectors(record: Record) -> set[str]:
    """What kinds of vectors a record has. The one that is searched is called otherwise on each side."""
    own = {"its vector": record.vector, "its sparse vector": record.sparse_vector}
    return {name for name, vector in own.items() if vector is not None} | {
        f"vector {name!r}" for name in record.named_vectors
    }
