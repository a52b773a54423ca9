"""A store that answers queries wrongly, slowly or not at all, as it is told; everything else it does well."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from shardroute.errors import ClusterUnavailable
from shardroute.ports import Store
from shardroute.records import Match, Query
from shardroute.topology import Place

from .flaky import FlakyStore


@dataclass
class Ways:
    """`wrong`: share of the nearest records that are kept back, so that farther ones stand in for them.

    `seconds`: that every query takes. `failing`: share of queries that fail.
    """

    wrong: float = 0.0
    seconds: float = 0.0
    failing: float = 0.0


class MisleadingStore(FlakyStore):
    def __init__(self, inner: Store, seed: int = 1) -> None:
        super().__init__(inner, seed)
        self.ways = Ways()
        self.queries = 0
        self._dice = random.Random(seed)

    async def query(self, place: Place, query: Query) -> list[Match]:
        self.queries += 1
        await asyncio.sleep(self.ways.seconds)
        if self._dice.random() < self.ways.failing:
            raise ClusterUnavailable(self.name, "told to fail", may_land=False)
        held_back = round(query.top_k * self.ways.wrong)
        wider = Query(query.vector, query.top_k + held_back, query.filter, query.sparse_vector)
        return (await super().query(place, wider if held_back else query))[held_back:]
