"""What an application says to Qdrant, as data, and its answers as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel
from qdrant_client import AsyncQdrantClient, models

from shardroute.facades.qdrant import RoutedClient

Client = AsyncQdrantClient | RoutedClient

COLLECTION = "docs"
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
UNTOLD = {"operation_id", "version", "shard_key", "order_value"}
"""Of an answer, what docs/facades.md says a facade does not know."""


@dataclass(frozen=True)
class Step:
    method: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


def step(method: str, **arguments: Any) -> Step:
    return Step(method, arguments)


def match(key: str, value: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def within(key: str, **bounds: float) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(**bounds))


def mine(*must: Any, **clauses: Any) -> models.Filter:
    """As an application with many tenants in one collection asks: the tenant's field in every filter."""
    return models.Filter(must=[match("tenant", "acme"), *must], **clauses)


def own(**payload: Any) -> dict[str, Any]:
    return {"tenant": "acme", **payload}


QUERY = [1.0, 2.0, 3.0, 4.0]
POINTS = [
    models.PointStruct(id=1, vector=[1.0, 0.0, 0.5, 0.25], payload=own(n=1, lang="en", tags=["a", "b"])),
    models.PointStruct(id=2, vector=[0.5, 3.0, 0.0, 1.0], payload=own(n=2, lang="de")),
    models.PointStruct(id=UUID.upper(), vector=[0.0, 4.0, 3.0, 0.0], payload=own(n=2.5, yes=True)),
    models.PointStruct(id=(1 << 63) + 5, vector=[2.0, 2.0, 2.0, 1.0], payload=own(tags=["b"])),
]
BATCH = models.Batch(
    ids=[10, 11, UUID.replace("-", "").replace("0f8", "1f8")],
    vectors=[[1.0, 1.0, 0.0, 2.0], [0.0, 1.25, 0.0, 5.5], [3.0, 1.0, 2.5, 0.0]],
    payloads=[own(n=10), own(n=11, lang="en"), own()],
)

FILTERS = [
    mine(),
    mine(match("lang", "en")),
    mine(match("n", 2)),
    mine(match("yes", True)),
    mine(match("tags", "b")),
    mine(within("n", gt=1, lte=10)),
    mine(models.FieldCondition(key="lang", match=models.MatchAny(any=["en", "fr"]))),
    mine(models.FieldCondition(key="n", match=models.MatchAny(any=[1, 10]))),
    mine(models.FieldCondition(key="n", match=models.MatchAny(any=[]))),
    mine(must_not=[match("lang", "en")]),
    mine(must_not=models.FieldCondition(key="lang", match=models.MatchAny(any=["de"]))),
    mine(should=[match("lang", "de"), match("n", 11)]),
    mine(models.IsEmptyCondition(is_empty=models.PayloadField(key="lang"))),
    mine(models.FieldCondition(key="lang", is_empty=False)),
    mine(models.Filter(should=[match("n", 1), models.Filter(must=[match("n", 2), match("lang", "de")])])),
    models.Filter(must=match("tenant", "acme"), should=[]),
    models.Filter(must_not=[match("tenant", "acme")], must=[match("tenant", "acme")]),
]


def steps() -> Sequence[Step]:
    """A life of a tenant: every call that is covered, in every form of its arguments."""
    several = [1, 2, 99, UUID, (1 << 63) + 5, 10, 11]
    ids = models.PointIdsList(points=[1, UUID])
    return [
        step("retrieve", ids=[1]),
        step("upsert", points=POINTS),
        step("upsert", points=BATCH),
        step("retrieve", ids=several),
        step("retrieve", ids=several, with_payload=False, with_vectors=True),
        step("retrieve", ids=[1, 2], with_payload=["n", "lang"]),
        step("retrieve", ids=[1, 2], with_payload=models.PayloadSelectorInclude(include=["tags"])),
        step("retrieve", ids=[1, 2], with_payload=models.PayloadSelectorExclude(exclude=["tenant", "n"])),
        step("query_points", query=QUERY, query_filter=mine(), limit=20),
        step("query_points", query=np.array(QUERY), query_filter=mine(), with_payload=False, limit=3),
        step("query_points", query=QUERY, query_filter=mine(), limit=3, offset=2, with_vectors=True),
        step("query_points", query=models.NearestQuery(nearest=QUERY), query_filter=mine(), limit=2),
        step("query_points", query=2, query_filter=mine(), limit=3),
        step("query_points", query=UUID, query_filter=mine(), limit=3, offset=1),
        *(step("query_points", query=QUERY, query_filter=one, limit=20) for one in FILTERS),
        *(step("count", count_filter=one) for one in FILTERS),
        *(step("scroll", scroll_filter=one, limit=20) for one in FILTERS),
        step("set_payload", payload={"lang": "fr", "fresh": True}, points=[1, 2]),
        step("set_payload", payload={"n": 3}, points=ids),
        step("set_payload", payload={"found": "yes"}, points=mine(match("lang", "fr"))),
        step("set_payload", payload={"found": "also"}, points=models.FilterSelector(filter=mine(match("n", 10)))),
        step("retrieve", ids=several),
        step("upsert", points=[models.PointStruct(id=1, vector=[9.0, 1.0, 1.0, 1.0], payload=own(again=1))]),
        step("delete", points_selector=[2, 99]),
        step("delete", points_selector=models.PointIdsList(points=[10])),
        step("delete", points_selector=models.FilterSelector(filter=mine(match("lang", "en")))),
        step("scroll", scroll_filter=mine(), limit=20, with_vectors=True),
        step("delete", points_selector=mine()),
        step("count", count_filter=mine()),
        step("query_points", query=QUERY, query_filter=mine()),
    ]  # fmt: skip


REMOVAL = (
    step("upsert", points=POINTS),
    step("delete_payload", keys=["lang", "n"], points=[1, 2]),
    step("delete_payload", keys=["yes"], points=mine(match("yes", True))),
    step("scroll", scroll_filter=mine(), limit=20),
    step("delete", points_selector=mine()),
)
"""What Pinecone's vector indexes cannot do."""


async def answer(client: Client, step: Step, number: Callable[[Any], Any]) -> Any:
    """The answer as plain values. `number`: how whole numbers of a payload are told."""
    found = await getattr(client, step.method)(collection_name=COLLECTION, **step.arguments)
    if step.method == "scroll":
        points, following = found
        return {"points": sorted(_plain(points, number), key=repr), "more": following is not None}
    return _plain(found, number)


def _plain(found: Any, number: Callable[[Any], Any]) -> Any:
    if isinstance(found, BaseModel):
        fields = {name: getattr(found, name) for name in type(found).model_fields if name not in UNTOLD}
        if payload := fields.get("payload"):
            fields["payload"] = {key: number(value) for key, value in payload.items()}
        return {"type": type(found).__name__, **{key: _plain(value, number) for key, value in fields.items()}}
    if isinstance(found, list):
        return [_plain(item, number) for item in found]
    if isinstance(found, dict):
        return {key: _plain(value, number) for key, value in found.items()}
    return found


def as_float(value: Any) -> Any:
    """Pinecone keeps no other numbers."""
    return float(value) if type(value) is int else value
