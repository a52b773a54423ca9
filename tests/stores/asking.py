"""A store asked filters by every way that it has, its answers held against the reference."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from shardroute.errors import InvalidFilter
from shardroute.filters import Filter, parse
from shardroute.ports import Page, Store
from shardroute.records import Query
from shardroute.topology import Place

from ..support.reference_filters import satisfies
from .conftest import Case, unit
from .generated import Metadata, Raw

AT_ONCE = 8
PAGE = 16


@dataclass
class Asked:
    """Records in a store, and the filters on them that it refused."""

    store: Store
    place: Place
    held: Mapping[str, Metadata]
    refused: list[Raw] = field(default_factory=list)

    @classmethod
    async def written(cls, case: Case, metadatas: list[Metadata], tenant: str = "acme") -> Asked:
        """The records, without the fields that the store cannot hold, visible to reads."""
        place = await case.prepared(tenant)
        fitting = [dict(case.fitting(metadata)) for metadata in metadatas]
        records = [case.record(number, metadata) for number, metadata in enumerate(fitting, 1)]
        await case.store.upsert(place, records)
        await case.store.fresh(place)
        return cls(
            case.store, place, {record.id: held for record, held in zip(records, fitting, strict=True)}
        )

    async def disagreements(self, filters: list[Raw]) -> list[str]:
        """What is wrong with the store's answers, the shortest filters first."""
        free = asyncio.Semaphore(AT_ONCE)

        async def limited(raw: Raw) -> list[str]:
            async with free:
                return await self._disagreement(raw)

        answers = await asyncio.gather(*map(limited, sorted(filters, key=lambda raw: len(json.dumps(raw)))))
        return [problem for problems in answers for problem in problems]

    async def _disagreement(self, raw: Raw) -> list[str]:
        condition = parse(raw)
        assert condition is not None
        if self.store.filter_misfit(condition) is not None:
            self.refused.append(raw)
            return await self._not_refused(raw, condition)
        expected = {name for name, metadata in self.held.items() if satisfies(metadata, raw)}
        answers = {"scan": await self._scan(condition), "query": await self._query(condition)}
        problems = [
            self._told(raw, how, expected, found)
            for how, found in answers.items()
            if sorted(expected) != found
        ]
        count = await self.store.count(self.place, condition)
        if count != len(answers["scan"]):
            problems.append(f"{json.dumps(raw)}\n  count says {count}, scan finds {answers['scan']}")
        return problems

    async def _not_refused(self, raw: Raw, condition: Filter) -> list[str]:
        asked = {"scan": self._scan, "query": self._query, "count": self._count}
        problems: list[str] = []
        for how, ask in asked.items():
            try:
                answer = await ask(condition)
            except InvalidFilter:
                continue
            problems.append(f"{json.dumps(raw)}\n  a misfit, but {how} answers {answer}")
        return problems

    async def _scan(self, condition: Filter) -> list[str]:
        page = await self._page(None, condition)
        found = page.records
        while page.cursor is not None:
            page = await self._page(page.cursor, condition)
            found = [*found, *page.records]
        return sorted(record.id for record in found)

    async def _page(self, cursor: str | None, condition: Filter) -> Page:
        return await self.store.scan(
            self.place, cursor=cursor, limit=PAGE, condition=condition, vectors=False
        )

    async def _query(self, condition: Filter) -> list[str]:
        query = Query(unit(1), top_k=len(self.held) + 1, filter=condition, include_metadata=False)
        return sorted(match.id for match in await self.store.query(self.place, query))

    async def _count(self, condition: Filter) -> list[str]:
        return [str(await self.store.count(self.place, condition))]

    def _told(self, raw: Raw, how: str, expected: set[str], found: list[str]) -> str:
        lines = [f"{json.dumps(raw)}\n  {how} finds {found}, the reference {sorted(expected)}"]
        for name in sorted(expected ^ set(found)):
            says = "only the reference matches" if name in expected else "only the store matches"
            lines.append(f"  {says} {name}: {json.dumps(self.held.get(name))}")
        return "\n".join(lines)


def report(problems: list[str]) -> str:
    return f"{len(problems)} disagreements, the first are:\n" + "\n".join(problems[:5])
