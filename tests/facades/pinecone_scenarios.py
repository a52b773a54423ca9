"""What an application says to Pinecone, as data, and its answers as plain values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pinecone import AsyncIndex, SparseValues, Vector

from shardroute.facades.pinecone import RoutedIndex

Index = AsyncIndex | RoutedIndex

UNTOLD = {"usage", "responseInfo", "response_info"}
"""Of an answer, what docs/facades.md says a facade does not know."""


@dataclass(frozen=True)
class Step:
    """One call. `untold`: fields of its answer that are documented to differ."""

    method: str
    arguments: Mapping[str, Any]
    untold: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.method}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


def step(method: str, untold: str = "", **arguments: Any) -> Step:
    return Step(method, arguments, frozenset(untold.split()))


def unit(*numbers: float) -> list[float]:
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


QUERY = unit(1, 2, 3, 4)

SPARSE = (
    step(
        "upsert",
        vectors=[
            {
                "id": "s",
                "values": unit(4, 3, 2, 1),
                "sparse_values": {"indices": [3, 9], "values": [2, 1]},
            },
            Vector("t", unit(4, 1, 2, 1), SparseValues([3], [0.25]), {"lang": "en"}),
        ],
    ),
    step("fetch", ids=["s", "t"]),
    step("update", id="s", sparse_values={"indices": [1], "values": [0.5]}),
    step("query", vector=QUERY, top_k=4, include_values=True),
)
HYBRID = (
    step("query", vector=QUERY, sparse_vector={"indices": [3], "values": [2.0]}, top_k=4),
    step("query", vector=QUERY, sparse_vector=SparseValues([1], [2.0]), top_k=4, include_values=True),
)


def steps(*, sparse: bool, hybrid: bool) -> Sequence[Step]:
    """A life of a namespace: every call that is covered, in every form of its arguments."""
    query = QUERY
    return [
        step("fetch", ids=["a"]),
        step("query", vector=query, top_k=3),
        step(
            "upsert",
            vectors=[
                ("a", unit(1, 0, 0, 0)),
                ("b", unit(1, 1, 0, 0), {"n": 42, "tags": ("x", "y"), "gone": None}),
                {"id": "c", "values": unit(1, 1, 1, 0), "metadata": {"n": 2.5, "lang": "en", "yes": True}},
                Vector(id="d", values=unit(0, 1, 1, 1), metadata={"lang": "de", "n": 7}),
                {"id": "other", "values": unit(0, 0, 1, 1), "metadata": {}},
            ],
        ),
        step(
            "upsert", batch_size=2, vectors=[(f"p-{n}", unit(1, n, n * n, 5), {"n": n}) for n in range(5)]
        ),
        *(SPARSE if sparse else ()),
        *(HYBRID if hybrid else ()),
        step("fetch", ids=["a", "b", "c", "d", "other", "nobody"]),
        step("query", vector=query, top_k=20),
        step("query", vector=query, top_k=20, include_values=True, include_metadata=True),
        step("query", id="b", top_k=3, include_metadata=True),
        step("query", id="nobody", top_k=3),
        step("query", vector=query, top_k=9, filter={"lang": {"$eq": "en"}}),
        step("query", vector=query, top_k=9, filter={"tags": "x"}, include_metadata=True),
        step("query", vector=query, top_k=9, filter={"$or": [{"n": 42}, {"n": {"$gte": 2, "$lt": 3}}]}),
        step("query", vector=query, top_k=9, filter={"lang": {"$in": ["de", "fr"]}}),
        step("query", vector=query, top_k=20, filter={"n": {"$ne": 42}}),
        step("list"),
        step("list", prefix="p-"),
        step("list", prefix="p-", limit=2),
        step("list_paginated", prefix="nothing-"),
        step("fetch_by_metadata", filter={"lang": {"$exists": True}}),
        step("update", id="a", set_metadata={"lang": "fr", "n": 1}),
        step("update", id="b", set_metadata={"n": 43, "tags": None}),
        step("update", id="c", values=unit(0, 0, 0, 1)),
        step("update", id="c", set_metadata={"gone": None}),
        step("update", id="nobody", set_metadata={"n": 1}),
        step("update", filter={"n": {"$lt": 2}}, set_metadata={"small": True}, dry_run=True),
        step(
            "update", untold="matchedRecords", filter={"n": {"$lt": 2}}, set_metadata={"small": True}
        ),
        step("fetch", ids=["a", "b", "c", "p-0", "p-1"]),
        step("delete", ids=["a", "nobody"]),
        step("delete", filter={"small": True}),
        step("list"),
        step("query", vector=query, top_k=20, include_metadata=True),
        step("delete", delete_all=True),
        step("list"),
        step("query", vector=query, top_k=20),
    ]  # fmt: skip


async def answer(index: Index, step: Step, namespace: str) -> Any:
    """The answer's type and fields, or the error's nearest public class."""
    call = getattr(index, step.method)(**step.arguments, namespace=namespace)
    if isinstance(call, AsyncIterator):
        pages = [page async for page in call]
        return {"ids": sorted(item.id for page in pages for item in page.vectors if item.id is not None)}
    return _plain(await call, step.untold)


def _plain(found: Any, untold: frozenset[str]) -> Any:
    """A namespace is named by whoever compares; where a next page begins is each client's own."""
    fields = msgspec.to_builtins(found, enc_hook=repr)
    if fields is None:
        return None
    left_out = UNTOLD | untold | {"namespace"}
    shown = {key: value for key, value in fields.items() if key not in left_out}
    if "pagination" in shown:
        shown["pagination"] = bool(shown["pagination"])
    return {"type": type(found).__name__, **shown}
