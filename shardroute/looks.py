"""Reads of a cluster that lags, whose replicas may differ: what one answer says is not believed alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from .ports import Store
from .records import Record, difference
from .topology import Place

_LOOKS = 3
"""Answers in a row that have to agree. They prove nothing by themselves: `Store.fresh` was waited for before."""


def looks(store: Store) -> int:
    """How often a cluster is asked before something follows from its answer: once where reads see writes at once."""
    return _LOOKS if store.lag else 1


async def found_by_any(store: Store, look: Callable[[], Awaitable[bool]]) -> bool:
    """Whether one of several looks finds something; absence takes all of them."""
    for _ in range(looks(store)):
        if await look():
            return True
    return False


async def agreed(
    store: Store, place: Place, fetch: Callable[[], Awaitable[Mapping[str, Record]]]
) -> tuple[Mapping[str, Record], frozenset[str]]:
    """The records of the last look, and the ids of which the looks said different things: reads went back."""
    last = await fetch()
    unclear = set[str]()
    for _ in range(looks(store) - 1):
        before, last = last, await fetch()
        unclear |= {
            record_id
            for record_id in before.keys() | last.keys()
            if not _same(before.get(record_id), last.get(record_id), place)
        }
    return last, frozenset(unclear)


def _same(one: Record | None, other: Record | None, place: Place) -> bool:
    if one is None or other is None:
        return one is other
    return difference(one, other, place.metric) is None
