"""Pages as both vendors' clients have them: full until the last one."""

from __future__ import annotations

from collections.abc import Callable

from ..filters import FilterLike
from ..ports import Page
from ..records import Record
from ..tenant import Tenant


def _any(_: Record) -> bool:
    return True


async def filled(
    tenant: Tenant,
    cursor: str | None,
    limit: int,
    *,
    condition: FilterLike | None = None,
    wanted: Callable[[Record], bool] | None = None,
    vectors: bool = False,
    timeout: float | None = None,
) -> Page:
    """`limit` records, or all that are left. With `wanted`, those of the first page that holds one.

    A cursor stands between pages of the cluster, so of what a page holds nothing can be left for the next.
    """
    found: list[Record] = []
    enough = limit if wanted is None else 1
    while True:
        page = await tenant.page(
            cursor, limit=limit - len(found), filter=condition, vectors=vectors, timeout=timeout
        )
        found += filter(wanted or _any, page.records)
        cursor = page.cursor
        if cursor is None or len(found) >= enough:
            return Page(found, cursor)
