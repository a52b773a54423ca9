"""A filter means the same on every store, and what the text in `shardroute.filters` says.

Some hundred generated filters over generated records, then the traps one by one. What a store gives a
reason not to evaluate (`filter_misfit`), it has to refuse: never to answer otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from shardroute.errors import InvalidFilter
from shardroute.filters import Filter, matches, parse
from shardroute.ports import Page, Store
from shardroute.records import Query
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.testing.pinecone import PineconeServer
from shardroute.topology import Place

from ..support.reference_filters import satisfies
from . import generated
from .conftest import UNHURRIED, Case, Setup, unit
from .generated import Metadata, Raw, Universe

AT_ONCE = 8
PAGE = 16
UNIVERSES = [generated.portable, generated.wide]
NEGATIONS = ["$ne", "$nin", "$not"]
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or", "$not"]


@dataclass(frozen=True)
class Trap:
    """A sentence about what filters mean, and records that show it."""

    sentence: str
    filter: Raw
    match: list[Metadata]
    differ: list[Metadata]

    def __str__(self) -> str:
        return self.sentence


@dataclass
class Asked:
    """Records in a store, and the filters on them that it refused."""

    store: Store
    place: Place
    held: Mapping[str, Metadata]
    refused: list[Raw] = field(default_factory=list)

    @classmethod
    async def written(cls, case: Case, metadatas: list[Metadata]) -> Asked:
        """The records, without the fields that the store cannot hold, visible to reads."""
        place = await case.prepared("acme")
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
        left_open = self._left_open(raw)
        problems = [
            self._told(raw, how, expected, found)
            for how, found in answers.items()
            if sorted(expected - left_open) != [name for name in found if name not in left_open]
        ]
        count = await self.store.count(self.place, condition)
        if count != len(answers["scan"]):
            problems.append(f"{json.dumps(raw)}\n  count says {count}, scan finds {answers['scan']}")
        return problems

    def _left_open(self, raw: Raw) -> set[str]:
        """Records of which the store may think as it likes.

        Pinecone's `$exists` asks for the key, whatever its value, and no filter of it asks for an empty list.
        """
        if "pinecone" not in self.store.system or '"$exists"' not in json.dumps(raw):
            return set()
        return {name for name, metadata in self.held.items() if [] in metadata.values()}

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


# -- what is generated


@pytest.mark.parametrize("universe", UNIVERSES)
def test_many_of_the_generated_filters_tell_records_apart(universe: Callable[[], Universe]) -> None:
    drawn = universe()
    assert len(drawn.filters) >= 250
    met = [sum(satisfies(metadata, raw) for metadata in drawn.metadatas) for raw in drawn.filters]
    assert sum(0 < number < len(drawn.metadatas) for number in met) >= 0.4 * len(met)


@pytest.mark.parametrize("universe", UNIVERSES)
def test_each_operator_is_in_many_of_the_generated_filters(universe: Callable[[], Universe]) -> None:
    written = [json.dumps(raw) for raw in universe().filters]
    seldom = {name for name in OPERATORS if sum(f'"{name}": ' in raw for raw in written) < 50}
    assert not seldom


@pytest.mark.parametrize("universe", UNIVERSES)
def test_generated_filters_mean_what_the_text_says(universe: Callable[[], Universe]) -> None:
    drawn = universe()
    for raw in drawn.filters:
        condition = parse(raw)
        for metadata in drawn.metadatas:
            assert matches(condition, metadata) is satisfies(metadata, raw), (raw, metadata)


# -- what the stores make of it


async def test_every_store_answers_portable_filters_alike(case: Case) -> None:
    universe = generated.portable()
    asked = await Asked.written(case, universe.metadatas)
    assert list(asked.held.values()) == universe.metadatas
    problems = await asked.disagreements(universe.filters)
    assert not problems, report(problems)
    assert [raw for raw in asked.refused if not _cannot(case.store, raw)] == []
    assert len(universe.filters) - len(asked.refused) >= 200


async def test_filters_on_what_not_every_store_can_hold_are_answered_alike_or_refused(case: Case) -> None:
    universe = generated.wide()
    asked = await Asked.written(case, universe.metadatas)
    problems = await asked.disagreements(universe.filters)
    assert not problems, report(problems)
    assert len(asked.refused) < len(universe.filters) / 2


async def test_pinecone_agrees_as_well_if_its_ne_and_nin_leave_out_records_without_the_field() -> None:
    """It is not documented, and was seen to change (deepset-ai/haystack-core-integrations, issue 590)."""
    universe = generated.portable()
    async with PineconeServer(ne_matches_missing=False) as server:
        store = PineconeVectorsStore.connect(
            "test", api_key="any", control_host=server.url, lag=0.0, rate=UNHURRIED
        )
        case = Case(Setup("pinecone-vectors", "namespace"), store, server.url)
        asked = await Asked.written(case, universe.metadatas)
        negated = [raw for raw in universe.filters if any(word in json.dumps(raw) for word in NEGATIONS)]
        problems = await asked.disagreements(negated)
        await store.aclose()
    assert not problems, report(problems)


def _cannot(store: Store, raw: Raw) -> bool:
    """Whether the filter may hold what the store has no words for: on Pinecone, a range that is negated."""
    written = json.dumps(raw)
    bounded = any(f'"{operator}"' in written for operator in ("$gt", "$gte", "$lt", "$lte"))
    return "pinecone" in store.system and '"$not"' in written and bounded


# -- the traps

TRAPS = [
    Trap(
        "$ne matches records that lack the field",
        {"a": {"$ne": 1}},
        [{}, {"b": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"a": None}, {"a": []}],
        [{"a": 1}, {"a": 1.0}],
    ),
    Trap(
        "$nin matches records that lack the field",
        {"a": {"$nin": [1, "x"]}},
        [{}, {"b": 1}, {"a": 2}, {"a": "1"}, {"a": "X"}, {"a": None}, {"a": []}],
        [{"a": 1}, {"a": 1.0}, {"a": "x"}],
    ),
    Trap(
        "$not of an equality matches records that lack the field",
        {"$not": {"a": "x"}},
        [{}, {"a": "y"}, {"a": ["y"]}],
        [{"a": "x"}, {"a": ["y", "x"]}],
    ),
    Trap(
        "$not of a range matches records that lack the field or hold no number in it",
        {"$not": {"a": {"$gt": 1}}},
        [{}, {"a": 1}, {"a": "2"}, {"a": True}, {"a": ["2"]}],
        [{"a": 2}, {"a": 1.5}],
    ),
    Trap(
        "$exists and $ne together match records that have the field",
        {"a": {"$exists": True, "$ne": 1}},
        [{"a": 2}, {"a": ["x"]}],
        [{}, {"a": 1}, {"a": None}, {"a": []}],
    ),
    Trap("42 matches 42.0", {"a": 42}, [{"a": 42}, {"a": 42.0}], [{"a": "42"}, {"a": 41}, {"a": 42.5}]),
    Trap("42.0 matches 42", {"a": 42.0}, [{"a": 42}, {"a": 42.0}], [{"a": "42.0"}, {"a": "42"}]),
    Trap("0 matches -0.0", {"a": 0}, [{"a": 0}, {"a": -0.0}], [{"a": False}, {"a": ""}, {}, {"a": 5e-324}]),
    Trap(
        "an $in of whole numbers matches floats",
        {"a": {"$in": [1, 2]}},
        [{"a": 1.0}, {"a": 2}],
        [{"a": "1"}, {"a": True}, {"a": 1.5}],
    ),
    Trap("true is not 1", {"a": True}, [{"a": True}], [{"a": 1}, {"a": 1.0}, {"a": "true"}, {"a": False}]),
    Trap("1 is not true", {"a": 1}, [{"a": 1}, {"a": 1.0}], [{"a": True}, {"a": "1"}]),
    Trap(
        "false is neither 0 nor absent",
        {"a": False},
        [{"a": False}],
        [{"a": 0}, {"a": -0.0}, {"a": ""}, {}, {"a": None}],
    ),
    Trap(
        "true is in no range",
        {"a": {"$gte": 0, "$lte": 1}},
        [{"a": 0}, {"a": 1.0}, {"a": 0.5}],
        [{"a": True}, {"a": False}, {}],
    ),
    Trap("strings are in no range", {"a": {"$gt": 1}}, [{"a": 2}], [{"a": "2"}, {"a": "x"}, {"a": ["2"]}]),
    Trap(
        "a number is told from the string that spells it",
        {"a": "42"},
        [{"a": "42"}, {"a": ["42"]}],
        [{"a": 42}, {"a": 42.0}, {"a": "42.0"}],
    ),
    Trap(
        "an $in may hold strings, numbers and booleans side by side",
        {"a": {"$in": ["x", 1, False]}},
        [{"a": "x"}, {"a": 1.0}, {"a": False}, {"a": ["y", "x"]}],
        [{"a": True}, {"a": "1"}, {"a": 0}, {}],
    ),
    Trap(
        "a $nin may hold strings, numbers and booleans side by side",
        {"a": {"$nin": ["x", 1, False]}},
        [{"a": True}, {"a": "1"}, {"a": 0}, {}],
        [{"a": "x"}, {"a": 1.0}, {"a": False}, {"a": ["y", "x"]}],
    ),
    Trap("an empty $in matches nothing", {"a": {"$in": []}}, [], [{"a": 1}, {"a": ["x"]}, {}, {"a": []}]),
    Trap(
        "an empty $nin matches everything",
        {"a": {"$nin": []}},
        [{"a": 1}, {"a": ["x"]}, {}, {"a": []}, {"a": None}],
        [],
    ),
    Trap(
        "an empty $in in an $or leaves the others",
        {"$or": [{"a": {"$in": []}}, {"b": 1}]},
        [{"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}, {}],
    ),
    Trap("$not of an empty $in matches everything", {"$not": {"a": {"$in": []}}}, [{}, {"a": 1}], []),
    Trap(
        "any element of a list is enough",
        {"a": "x"},
        [{"a": "x"}, {"a": ["x"]}, {"a": ["w", "x"]}],
        [{"a": []}, {"a": ["xy"]}, {"a": "x y"}],
    ),
    Trap(
        "$in matches a list if any element is in it",
        {"a": {"$in": ["x", "z"]}},
        [{"a": ["w", "x"]}, {"a": "z"}],
        [{"a": ["w", "y"]}, {"a": []}],
    ),
    Trap(
        "$ne does not match a list with the value among others",
        {"a": {"$ne": "x"}},
        [{"a": ["y", "z"]}, {"a": []}],
        [{"a": ["x", "y"]}, {"a": ["x"]}],
    ),
    Trap(
        "$nin does not match a list with one of the values among others",
        {"a": {"$nin": ["x", "z"]}},
        [{"a": ["w", "y"]}, {"a": []}],
        [{"a": ["w", "x"]}, {"a": ["z"]}],
    ),
    Trap(
        "two equalities on one field are both met by a list",
        {"$and": [{"a": "x"}, {"a": "y"}]},
        [{"a": ["x", "y"]}, {"a": ["z", "y", "x"]}],
        [{"a": ["x"]}, {"a": "x"}, {"a": "y"}],
    ),
    Trap(
        "any number of a mixed list is enough for a range",
        {"a": {"$gt": 3}},
        [{"a": [1, 4]}, {"a": ["x", None, 5]}],
        [{"a": [1, 2]}, {"a": ["x", True]}],
    ),
    Trap(
        "two bounds may be met by different elements of a list",
        {"a": {"$gt": 1, "$lt": 3}},
        [{"a": 2}, {"a": [0, 4]}, {"a": [2]}],
        [{"a": 0}, {"a": 4}, {"a": [4, 5]}, {"a": 1}, {"a": 3}],
    ),
    Trap(
        "all operators on one field hold together",
        {"a": {"$gte": 1, "$lte": 5, "$ne": 3, "$nin": [4]}},
        [{"a": 1}, {"a": 2.5}, {"a": 5}],
        [{"a": 3}, {"a": 3.0}, {"a": 4}, {"a": 0.5}, {"a": 6}, {}],
    ),
    Trap("bounds that exclude each other match nothing", {"a": {"$gt": 2, "$lt": 1}}, [], [{"a": 1.5}, {}]),
    Trap(
        "$exists matches what is false, zero or an empty string",
        {"a": {"$exists": True}},
        [{"a": False}, {"a": 0}, {"a": ""}, {"a": ["x"]}, {"a": [None]}, {"a": {}}],
        [{}, {"b": 1}],
    ),
    Trap(
        "null and the empty list count as absent",
        {"a": {"$exists": False}},
        [{}, {"a": None}, {"a": []}],
        [{"a": 0}, {"a": ""}, {"a": [None]}, {"a": {}}],
    ),
    Trap(
        "several keys in an object are joined by $and",
        {"a": 1, "b": 2},
        [{"a": 1, "b": 2.0}],
        [{"a": 1}, {"b": 2}, {"a": 1, "b": 3}],
    ),
    Trap(
        "$not negates the whole object and not each of its keys",
        {"$not": {"a": 1, "b": 2}},
        [{}, {"a": 1}, {"b": 2}, {"a": 1, "b": 3}],
        [{"a": 1, "b": 2}],
    ),
    Trap(
        "$not of an $or means none of them",
        {"$not": {"$or": [{"a": 1}, {"b": {"$exists": True}}]}},
        [{}, {"a": 2}],
        [{"a": 1}, {"b": 0}, {"a": 2, "b": ""}],
    ),
    Trap("$not of a $ne means $eq", {"$not": {"a": {"$ne": 1}}}, [{"a": 1.0}, {"a": 1}], [{}, {"a": 2}]),
    Trap(
        "$not twice is no $not",
        {"$not": {"$not": {"a": {"$gte": 1}}}},
        [{"a": 1}, {"a": 2}],
        [{}, {"a": 0}, {"a": "1"}],
    ),
    Trap(
        "a key beside an $or has to be met as well",
        {"a": 1, "$or": [{"b": 1}, {"b": 2}]},
        [{"a": 1, "b": 1}, {"a": 1, "b": 2}],
        [{"a": 1}, {"b": 1}, {"a": 2, "b": 1}],
    ),
    Trap(
        "a dot in a field's name is no path", {"a.b": 1}, [{"a.b": 1}], [{"a": {"b": 1}}, {"a": 1}, {"b": 1}]
    ),
    Trap(
        "brackets in a field's name are no index",
        {"$or": [{"a[0]": "x"}, {"a[]": "x"}]},
        [{"a[0]": "x"}, {"a[]": "x"}],
        [{"a": ["x"]}, {"a": "x"}],
    ),
    Trap(
        "field names may hold spaces and any letters, and their case counts",
        {"$or": [{"two words": 1}, {"größe": 1}, {"日本": 1}]},
        [{"two words": 1}, {"größe": 1}, {"日本": 1}],
        [{"two": 1}, {"Größe": 1}, {"grosse": 1}],
    ),
    Trap(
        "strings compare character by character",
        {"a": "é"},
        [{"a": "\u00e9"}],
        [{"a": "e\u0301"}, {"a": "É"}, {"a": "é "}, {"a": "e"}],
    ),
    Trap("case counts", {"a": "Red"}, [{"a": "Red"}], [{"a": "red"}, {"a": "RED"}, {"a": ["red"]}]),
    Trap(
        "the empty string is a value like others", {"a": ""}, [{"a": ""}, {"a": ["", "x"]}], [{}, {"a": " "}]
    ),
    Trap("a value may look like an operator", {"a": "$eq"}, [{"a": "$eq"}], [{"a": "eq"}, {}]),
    Trap(
        "whole numbers are told apart up to 2**53",
        {"a": {"$gt": 2**53 - 1}},
        [{"a": 2**53}, {"a": float(2**53)}],
        [{"a": 2**53 - 1}, {"a": float(2**53 - 1)}, {"a": -(2**53)}],
    ),
    Trap(
        "neighbouring floats are told apart",
        {"a": {"$eq": 0.1 + 0.2}},
        [{"a": 0.30000000000000004}],
        [{"a": 0.3}, {"a": 0.30000000000000009}],
    ),
    Trap("an object equals nothing", {"a": {"$ne": 1}}, [{"a": {"b": 1}}, {"a": [{"b": 1}]}], [{"a": 1}]),
    Trap(
        "a list in a list is not looked into",
        {"a": "x"},
        [{"a": ["x"]}],
        [{"a": [["x"]]}, {"a": [["x"], "y"]}],
    ),
]


@pytest.mark.parametrize("trap", TRAPS, ids=str)
def test_the_reference_knows(trap: Trap) -> None:
    assert [metadata for metadata in trap.match if not satisfies(metadata, trap.filter)] == []
    assert [metadata for metadata in trap.differ if satisfies(metadata, trap.filter)] == []


@pytest.mark.parametrize("trap", TRAPS, ids=str)
async def test_every_store_knows(case: Case, trap: Trap) -> None:
    asked = await Asked.written(case, [*trap.match, *trap.differ])
    problems = await asked.disagreements([trap.filter])
    assert not problems, report(problems)
