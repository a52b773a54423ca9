"""A tenant's records on one cluster, gone."""

from __future__ import annotations

from shardroute.ports import Store
from shardroute.topology import Place


async def emptied(store: Store, place: Place) -> None:
    cursor = None
    while True:
        page = await store.scan(place, cursor=cursor, vectors=False)
        await store.remove(place, [record.id for record in page.records], "test")
        if (cursor := page.cursor) is None:
            return
