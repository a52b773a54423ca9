"""A cluster that answers with another tenant's records is found out by its answer, which is thrown away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from shardroute.errors import ClusterRejected, TenantBreach
from shardroute.filters import parse
from shardroute.records import Metric, Query, Record
from shardroute.stores import qdrant_points as points
from shardroute.stores.pinecone_documents import PineconeDocumentsStore
from shardroute.stores.pinecone_store import PineconeStore
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from shardroute.topology import Place, Placement, Tenancy, Topology

from .conftest import UNHURRIED

VECTOR = np.array([1, 2, 3, 4], dtype=np.float32)

# -- Qdrant: the field that names the tenant ---------------------------------------------------------------------


def qdrant_place(tenancy: str = "payload:tenant") -> Place:
    placement = Placement("q", "docs", Tenancy.parse(tenancy))
    return Topology("v1", 1, placement, 4, Metric.COSINE).place("acme")


def scored(**payload: Any) -> models.ScoredPoint:
    return models.ScoredPoint(id=1, version=0, score=0.5, payload={points.ID_KEY: "doc", **payload})


@pytest.mark.parametrize("owner", ["globex", None, 7, ["globex"]])
@pytest.mark.parametrize("tenancy", ["payload:tenant", "shard_key:tenant"])
def test_a_point_whose_field_names_another_tenant_is_a_breach(owner: object, tenancy: str) -> None:
    place = qdrant_place(tenancy)
    with pytest.raises(TenantBreach) as caught:
        points.to_match(place, scored(tenant=owner), metadata=True, vector=False)
    assert "globex" not in str(caught.value)
    with pytest.raises(TenantBreach):
        points.to_record(place, models.Record(id=1, payload={points.ID_KEY: "doc", "tenant": owner}))


@pytest.mark.parametrize("payload", [{"tenant": "acme"}, {"tenant": ["globex", "acme"]}, {}])
def test_a_point_that_is_the_tenants_own_or_does_not_say_is_none(payload: dict[str, Any]) -> None:
    match = points.to_match(qdrant_place(), scored(**payload), metadata=True, vector=False)
    assert (match.id, dict(match.metadata)) == ("doc", {})


def test_a_breach_is_a_refusal_that_is_not_tried_again() -> None:
    assert issubclass(TenantBreach, ClusterRejected)
    assert not TenantBreach.retryable


# -- Pinecone: the namespace that an answer says it is of --------------------------------------------------------

KINDS: dict[str, type[PineconeVectorsStore] | type[PineconeDocumentsStore]] = {
    "vectors": PineconeVectorsStore,
    "documents": PineconeDocumentsStore,
}


class Elsewhere:
    """An index, every read of which goes to another tenant's namespace."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if name == "documents":
            return Elsewhere(found)
        return lambda **settings: found(**{**settings, "namespace": "globex"})


def misrouted(store: PineconeStore) -> None:
    ask = store._connection.ask

    async def elsewhere(
        collection: str, namespace: str, operation: str, call: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        return await ask(collection, namespace, operation, lambda index: call(Elsewhere(index)))

    store._connection.ask = elsewhere  # type: ignore[method-assign]  # a proxy that mixes tenants up


@pytest.fixture(params=KINDS)
async def pinecone(request: pytest.FixtureRequest) -> AsyncIterator[tuple[PineconeStore, Place]]:
    """A store whose reads go astray, and a place of its own with a record in it, as has the neighbour."""
    kind = str(request.param)
    indexes = {
        "vectors": IndexSpec.vectors(4),
        "documents": IndexSpec.documents(4, vector_field="dense"),
    }
    placement = Placement("p", kind, Tenancy.parse("namespace"), vector_name="dense")
    place = Topology("v1", 1, placement, 4, Metric.COSINE).place("acme")
    async with PineconeServer(indexes=indexes) as server:
        store = KINDS[kind].connect("p", control_host=server.url, api_key="any", lag=0.0, rate=UNHURRIED)
        try:
            for tenant in ("acme", "globex"):
                await store.upsert(
                    replace(place, tenant=tenant, namespace=tenant), [Record("doc", VECTOR, {"n": 1})]
                )
            assert [match.id for match in await store.query(place, Query(VECTOR, 1))] == ["doc"]
            misrouted(store)
            yield store, place
        finally:
            await store.aclose()


async def test_an_answer_of_another_namespace_is_a_breach(pinecone: tuple[PineconeStore, Place]) -> None:
    store, place = pinecone
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: store.query(place, Query(VECTOR, 1)),
        lambda: store.fetch(place, ["doc"]),
        lambda: store.scan(place, condition=parse({"n": 1})),
    ]
    for read in reads:
        with pytest.raises(TenantBreach):
            await read()
