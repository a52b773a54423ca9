"""A page of a scan: ids are listed on while the records of those before are fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..errors import InvalidInput
from ..ports import Cursor
from ..records import Record
from .pinecone_batches import PAGE

ListIds = Callable[[str | None, int], Awaitable[tuple[list[str], str | None]]]
Fetch = Callable[[Sequence[str]], Awaitable[dict[str, Record]]]


async def scan_ids(
    list_ids: ListIds, fetch: Fetch, token: str | None, limit: int
) -> tuple[list[Record], str | None]:
    """Up to `limit` records from the token on, in the order of the list, and the token that goes on.

    What is deleted between the list and the fetch is left out. A failure ends what is under way.
    """
    listed: list[str] = []
    fetches: list[asyncio.Future[dict[str, Record]]] = []
    try:
        while True:
            ids, token = await list_ids(token, min(PAGE, limit - len(listed)))
            listed += ids
            if ids:
                fetches.append(asyncio.ensure_future(fetch(ids)))
            if token is None or len(listed) >= limit:
                break
        found: dict[str, Record] = {}
        for records in await asyncio.gather(*fetches):
            found |= records
    finally:
        for under_way in fetches:
            under_way.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
    return [found[name] for name in listed if name in found], token


def cursor_of(kind: str, token: str | None) -> Cursor | None:
    """Pinecone's token, and what kind of listing it belongs to."""
    return None if token is None else f"{kind}:{token}"


def token_of(kind: str, cursor: Cursor | None) -> str | None:
    """The token of a cursor. Raises InvalidInput if it is from another kind of listing, or another store."""
    if cursor is None:
        return None
    found, _, token = cursor.partition(":")
    if found != kind:
        raise InvalidInput(f"cursor {cursor[:40]!r} was not given out by such a scan of a Pinecone store")
    return token
