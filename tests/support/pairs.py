"""Two clusters of any kinds, served over HTTP in this process; Pinecone's reads lag behind its writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.clusters import connect
from shardroute.control import ControlPlane
from shardroute.migration import Observer
from shardroute.phases import Side
from shardroute.records import Record, SparseVector
from shardroute.testing.pinecone import IndexSpec, Lag, PineconeServer
from shardroute.testing.qdrant import QdrantServer

from .patience import PATIENCE
from .world import DIMENSION

LAG = Lag(search=0.4, fetch=0.5, list=0.6, metadata=0.3, counts=0.6, replicas=(0.0, 0.2))
SURELY = 0.9
"""Seconds that the stores are told to wait: more than any read lags."""
MAX_HOLD = 8.0
KEY = "PINECONE_API_KEY"


class Served(Protocol):
    """A running cluster."""

    @property
    def cluster(self) -> dict[str, Any]:
        """Its table in the configuration."""

    @property
    def placement(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class ServedQdrant:
    server: QdrantServer
    sparse: bool

    @classmethod
    @asynccontextmanager
    async def served(cls, *, sparse: bool) -> AsyncIterator[Self]:
        async with QdrantServer() as server:
            yield cls(server, sparse)

    @property
    def cluster(self) -> dict[str, Any]:
        return {"kind": "qdrant", "url": self.server.url}

    @property
    def placement(self) -> dict[str, Any]:
        names = {"vector_name": "dense", "sparse_name": "words"} if self.sparse else {}
        return {"collection": "docs", "tenancy": "payload:tenant", **names}


@dataclass(frozen=True)
class ServedPinecone:
    server: PineconeServer
    kind: str
    names: Mapping[str, str]

    @classmethod
    @asynccontextmanager
    async def vectors(cls, *, sparse: bool) -> AsyncIterator[Self]:
        spec = IndexSpec.vectors(DIMENSION, _metric(sparse=sparse))
        async with PineconeServer(indexes={"docs": spec}, lag=LAG) as server:
            yield cls(server, "pinecone-vectors", {"sparse_name": "sparse"} if sparse else {})

    @classmethod
    @asynccontextmanager
    async def documents(cls, *, sparse: bool) -> AsyncIterator[Self]:
        spec = IndexSpec.documents(
            DIMENSION, _metric(sparse=sparse), vector_field="embedding", sparse_field="words" * sparse
        )
        names = {"vector_name": "embedding", **({"sparse_name": "words"} if sparse else {})}
        async with PineconeServer(indexes={"docs": spec}, lag=LAG) as server:
            yield cls(server, "pinecone-documents", names)

    @property
    def cluster(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "host": self.server.index_url("docs"),
            "api_key_env": KEY,
            "lag": SURELY,
            "rate": 1000.0,
        }

    @property
    def placement(self) -> dict[str, Any]:
        return dict(self.names)


def _metric(*, sparse: bool) -> str:
    return (
        "dotproduct" if sparse else "cosine"
    )  # Pinecone keeps both vectors of a record for dot products only


KINDS: Mapping[str, Callable[..., AbstractAsyncContextManager[Served]]] = {
    "qdrant": ServedQdrant.served,
    "pinecone-vectors": ServedPinecone.vectors,
    "pinecone-documents": ServedPinecone.documents,
}


@dataclass
class Pair:
    """A map, and two clusters with one tenant's home on each."""

    config: Config
    old: Served
    new: Served
    sparse: bool

    @classmethod
    @asynccontextmanager
    async def served(
        cls, redis_url: str, namespace: str, old: str, new: str, *, sparse: bool = False
    ) -> AsyncIterator[Self]:
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(KINDS[kind](sparse=sparse)) for kind in (old, new)]
            config = _config(redis_url, namespace, one, two, sparse=sparse)
            plane = ControlPlane.open(config.control)
            stack.push_async_callback(plane.aclose)
            await plane.maps.create(config.digest())
            source = connect(config.clusters["a"])
            await source.prepare(config.route.old.place("any"))
            await source.aclose()
            yield cls(config, one, two, sparse)

    @asynccontextmanager
    async def routers(self, number: int) -> AsyncIterator[list[Router]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(Router(self.config)) for _ in range(number)]

    @asynccontextmanager
    async def admin(self, observer: Observer | None = None) -> AsyncIterator[Admin]:
        async with Admin.open(self.config, observer=observer) as admin:
            yield admin

    async def write_past_the_router(self, tenant: str, side: Side, records: list[Record]) -> None:
        """As an application did before there was one: whatever the cluster can hold."""
        topology = self.config.route.old if side is Side.OLD else self.config.route.new
        store = connect(self.config.clusters[topology.placement.cluster])
        try:
            await store.upsert(topology.place(tenant), records)
        finally:
            await store.aclose()

    async def content(self, tenant: str, side: Side) -> dict[str, Record]:
        """All records of a tenant on one side, once its reads have caught up."""
        topology = self.config.route.old if side is Side.OLD else self.config.route.new
        store, place = connect(self.config.clusters[topology.placement.cluster]), topology.place(tenant)
        try:
            await store.fresh(place)
            found: dict[str, Record] = {}
            cursor = None
            while True:
                page = await store.scan(place, cursor=cursor)
                found |= {record.id: record for record in page.records}
                if (cursor := page.cursor) is None:
                    return found
        finally:
            await store.aclose()

    def waiting(self, seconds: float) -> Config:
        """The configuration, with stores that wait so long for Pinecone's reads."""
        clusters = {
            name: replace(cluster, options={**cluster.options, "lag": seconds})
            if "lag" in cluster.options
            else cluster
            for name, cluster in self.config.clusters.items()
        }
        return replace(self.config, clusters=clusters)

    def record(self, name: str, value: int = 0) -> Record:
        words = SparseVector([value % 11, 20 + value % 7], [1.0, 0.5]) if self.sparse else None
        return Record(name, [1.0, 2.0, 3.0, 4.0 + value % 7], {"v": value, "tags": ["a", "b"]}, words)


def _config(redis_url: str, namespace: str, old: Served, new: Served, *, sparse: bool) -> Config:
    topology = {"dimension": DIMENSION, "metric": "dot" if sparse else "cosine"}
    raw = {
        "control": {"url": redis_url, "namespace": namespace, "timeout": 10, "lease": 5, "idle_lease": 6},
        "router": {"linger": 0.5, "deadline": PATIENCE},
        "clusters": {"a": old.cluster, "b": new.cluster},
        "topologies": {
            "v1": {**topology, "placement": {"cluster": "a", **old.placement}},
            "v2": {**topology, "placement": {"cluster": "b", **new.placement}},
        },
        "migration": {"from": "v1", "to": "v2", "lock": 15, "barrier": PATIENCE, "max_hold": MAX_HOLD},
    }
    return Config.from_dict(raw, {KEY: "not a real one"})
