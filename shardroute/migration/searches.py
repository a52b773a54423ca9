"""Searches that are put to both sides of a tenant: whether what was compared record by record is found as well.

Two sides may have equal records and still answer differently: an index that is not built yet, another modifier of a
sparse vector, a filter that strict mode refuses. So `verify` asks both for the neighbours of some of the records.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..agreement import agreement
from ..errors import ClusterRejected
from ..records import Match, Query, Record
from ..routing import Target
from .work import Work

SAMPLE = 20
"""Records whose neighbours are asked for."""

_NEIGHBOURS = 10


@dataclass(slots=True)
class Searches:
    """`asked`: how many were answered by both sides. `recall`: the mean share, 0 to 1, of the primary's neighbours that
    the secondary found; None where none was asked. `refused`: by side, what its cluster said."""

    asked: int = 0
    recall: float | None = None
    refused: dict[str, str] = field(default_factory=dict)


class Reservoir:
    """A sample of records that come by, each as likely as any other (Vitter 1985, algorithm R)."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._seen = 0
        self.held: list[Record] = []

    def offer(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.vector is None:
                continue
            self._seen += 1
            if len(self.held) < SAMPLE:
                self.held.append(record)
            elif (place := self._chance.randrange(self._seen)) < SAMPLE:
                self.held[place] = record


async def searched(work: Work, primary: Target, secondary: Target, sample: Iterable[Record]) -> Searches:
    """Both sides asked for the neighbours of each record, one after the other. Raises ClusterUnavailable, LockLost."""
    found, recalls = Searches(), list[float]()
    for record in sample:
        query = Query(record.vector, _NEIGHBOURS, include_metadata=False)
        ours, theirs = await asyncio.gather(
            *(_neighbours(work, side, query, found) for side in (primary, secondary))
        )
        if ours is None or theirs is None:
            break  # the next ones would be refused as well
        recalls.append(agreement(ours, theirs, _NEIGHBOURS, scores_compare=False).recall)
    found.asked = len(recalls)
    found.recall = sum(recalls) / len(recalls) if recalls else None
    return found


async def _neighbours(work: Work, side: Target, query: Query, found: Searches) -> list[Match] | None:
    store, place = side.store, side.place
    try:
        return await work.patience.read(store.name, lambda: store.query(place, query))
    except ClusterRejected as error:
        found.refused[side.side.value] = str(error)
        return None
