"""Do the same through a client of the server and in local mode, and compare what both see."""

from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

Call = tuple[str, dict[str, Any]]

UUIDS = [f"{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "1af"]
IDS: list[Any] = [1, 2, 3, 10, 2**63, *UUIDS]
SETTINGS: dict[str, Any] = {
    "vectors_config": m.VectorParams(size=4, distance=m.Distance.COSINE),
    "sparse_vectors_config": {"words": m.SparseVectorParams()},
}


COUNTERS = {"operation_id", "version"}
"""Local mode does not count."""


def vector(seed: int) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).standard_normal(4).astype(np.float32)]


def sparse(seed: int) -> m.SparseVector:
    generator = np.random.default_rng(seed)
    return m.SparseVector(
        indices=[7, 3, seed % 3], values=[float(each) for each in generator.random(3) + 0.1]
    )


def point(point_id: Any, seed: int = 0, **payload: Any) -> m.PointStruct:
    return m.PointStruct(id=point_id, vector={"": vector(seed), "words": sparse(seed)}, payload=payload)


def tenant(*names: str) -> m.Filter:
    conditions = [m.FieldCondition(key="tenant", match=m.MatchValue(value=name)) for name in names]
    return m.Filter(must=[*conditions])


def plain(value: Any) -> Any:
    """A comparable form: no models, no Nones, floats as the store keeps them."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json", exclude_none=True))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in COUNTERS}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return pytest.approx(value, rel=1e-5, abs=1e-6) if isinstance(value, float) else value


async def outcome(client: AsyncQdrantClient, call: Call, collection: str = "docs") -> Any:
    method, arguments = call
    try:
        return plain(await getattr(client, method)(collection, **arguments))
    except (UnexpectedResponse, ValueError, KeyError):
        return "refused"


async def assert_same(client: AsyncQdrantClient, calls: list[Call]) -> None:
    """The client of the server and a client in local mode see the same, call after call."""
    reference = AsyncQdrantClient(":memory:")
    await reference.create_collection("docs", **SETTINGS)
    await client.create_collection("docs", **SETTINGS)
    for number, call in enumerate(calls):
        expected = await outcome(reference, call)
        assert await outcome(client, call) == expected, f"call {number}: {call}"
    await reference.close()
