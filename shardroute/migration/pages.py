"""All records of one side, page by page, with a migrator's patience."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..ports import Page
from ..routing import Target
from .work import Work


async def pages(work: Work, target: Target, most: int, *, vectors: bool) -> AsyncIterator[Page]:
    """Of `most` records at most. Raises ClusterUnavailable, ClusterRejected, LockLost."""
    store, place = target.store, target.place
    cursor, size = None, min(target.limits.scan_records, most)
    while True:
        page = await work.patience.read(
            store.name, lambda: store.scan(place, cursor=cursor, limit=size, vectors=vectors)
        )
        yield page
        if (cursor := page.cursor) is None:
            return
