"""One `Case` per store and way of keeping tenants apart; tests that take `case` run against each.

SHARDROUTE_TEST_QDRANT_URL names a Qdrant server to test against over REST and gRPC as well
(gRPC on SHARDROUTE_TEST_QDRANT_GRPC_PORT, 6334 by default).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest

from shardroute.ports import Page, Store
from shardroute.records import Metadata, Metric, Record, SparseVector, Vector
from shardroute.stores.memory import MemoryStore
from shardroute.stores.pinecone_documents import PineconeDocumentsStore
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import IdScheme, Place, Placement, Tenancy, TenancyKind, Topology
from tests.support.patience import PATIENCE

from ..support.qdrant_floats import kept
from .generated import Universe
from .grpc_server import grpc_server

DIMENSION = 4
METRIC_NAMES = {Metric.COSINE: "cosine", Metric.DOT: "dotproduct", Metric.EUCLIDEAN: "euclidean"}
UNHURRIED = 10_000.0
"""Requests a second: no test waits for its turn."""


@dataclass(frozen=True)
class Setup:
    """What a case is made of, before there is a store."""

    backend: str
    tenancy: str = "payload:tenant"
    ids: IdScheme = IdScheme.MAPPED
    vector_name: str = ""
    sparse_name: str = ""

    def __str__(self) -> str:
        parts = [self.backend, self.tenancy.partition(":")[0], self.ids]
        return "-".join([*parts, *filter(None, [self.vector_name, self.sparse_name])])


@dataclass
class Case:
    """A store, and a placement on it that no other test uses."""

    setup: Setup
    store: Store
    url: str = ""
    run: str = field(default_factory=lambda: uuid4().hex[:8])

    @property
    def is_pinecone(self) -> bool:
        return self.setup.backend.startswith("pinecone")

    def universe(self, drawn: Universe) -> Universe:
        """Of Qdrant's engine, with floats that it keeps."""
        if not self.setup.backend.startswith(("server", "qdrant-rest")):
            return drawn
        return Universe(kept(drawn.metadatas), kept(drawn.filters))

    def fitting(self, metadata: Metadata) -> Metadata:
        """Pinecone's metadata is flat: what it says it can hold of this. Other stores hold everything."""
        if not self.is_pinecone:
            return metadata
        place = self.place("acme")
        return {
            key: value
            for key, value in metadata.items()
            if self.store.misfit(place, Record("any", unit(1), {key: value})) is None
        }

    @property
    def has_sparse(self) -> bool:
        return bool(self.setup.sparse_name) or self.setup.backend == "memory"

    def topology(self, metric: Metric = Metric.COSINE) -> Topology:
        tenancy = Tenancy.parse(self.setup.tenancy)
        own = tenancy.kind is TenancyKind.COLLECTION
        placement = Placement(
            cluster="test",
            collection=self._collection(metric) + ("{tenant}" if own else "docs"),
            tenancy=tenancy,
            ids=self.setup.ids,
            vector_name=self.setup.vector_name,
            sparse_name=self.setup.sparse_name,
        )
        return Topology("v1", 1, placement, DIMENSION, metric)

    def place(self, tenant: str, metric: Metric = Metric.COSINE) -> Place:
        return self.topology(metric).place(tenant)

    def _collection(self, metric: Metric) -> str:
        return f"t{self.run}-{metric}-" if self.is_pinecone else f"t{self.run}_{metric}_"

    async def _make_index(self, place: Place) -> None:
        """Pinecone's indexes are made by their owners."""
        name, metric = place.vector_name, METRIC_NAMES[place.metric]
        if self.setup.backend == "pinecone-vectors":
            spec = IndexSpec.vectors(DIMENSION, metric)
        else:
            spec = IndexSpec.documents(DIMENSION, metric, vector_field=name, sparse_field=place.sparse_name)
        body = {"name": place.collection, "schema": {"fields": spec.fields}}
        async with httpx.AsyncClient(base_url=self.url, headers={"api-key": "any"}) as client:
            answer = await client.post("/indexes", json=body)
        assert answer.status_code in (201, 409), answer.text

    async def prepared(self, tenant: str, metric: Metric = Metric.COSINE) -> Place:
        place = self.place(tenant, metric)
        if self.is_pinecone:
            await self._make_index(place)
        await self.store.prepare(place)
        return place

    def id(self, number: int) -> str:
        """An id that the placement can hold: with native ids, numbers and UUIDs in turn."""
        if self.setup.ids is IdScheme.MAPPED:
            return f"doc-{number}"
        return str(number) if number % 2 else str(UUID(int=number))

    def record(
        self, number: int, metadata: Metadata | None = None, vector: list[float] | None = None
    ) -> Record:
        return Record(self.id(number), unit(number) if vector is None else vector, metadata)

    async def everything(self, place: Place) -> dict[str, Record]:
        return {record.id: record for page in await pages(self.store, place) for record in page.records}


def unit(number: int) -> Vector:
    """A vector of length 1 that differs from those of near numbers."""
    vector = np.array([1.0, number % 7, number % 5, 1 + number % 3], dtype=np.float32)
    return vector / np.linalg.norm(vector)


def sparse(**weights: float) -> SparseVector:
    """``sparse(i3=0.5)``: index 3 weighs 0.5."""
    return SparseVector([int(name[1:]) for name in weights], list(weights.values()))


async def pages(store: Store, place: Place, limit: int = 256) -> list[Page]:
    """All pages of a scan."""
    found = [await store.scan(place, limit=limit)]
    while (cursor := found[-1].cursor) is not None:
        found.append(await store.scan(place, cursor=cursor, limit=limit))
    return found


def _setups() -> list[Setup]:
    native = IdScheme.NATIVE
    setups = [
        Setup("memory"),
        Setup("memory", "collection"),
        Setup("qdrant-memory"),
        Setup("qdrant-memory", ids=native, sparse_name="words"),
        Setup("qdrant-memory", "collection", vector_name="dense", sparse_name="words"),
        Setup("qdrant-memory", "collection", ids=native),
        Setup("qdrant-disk", "payload:meta.owner", vector_name="dense"),
        Setup("qdrant-rest", sparse_name="words"),
        Setup("qdrant-rest", ids=native, vector_name="dense"),
        Setup("qdrant-rest", "collection"),
        Setup("qdrant-rest", "shard_key"),
        Setup("qdrant-grpc", sparse_name="words"),
        Setup("qdrant-grpc", "collection", ids=native, vector_name="dense", sparse_name="words"),
        Setup("pinecone-vectors", "namespace"),
        Setup("pinecone-documents", "namespace", vector_name="dense", sparse_name="words"),
    ]
    if "SHARDROUTE_TEST_QDRANT_URL" in os.environ:
        for backend in ("server-rest", "server-grpc"):
            setups += [
                Setup(backend, vector_name="dense", sparse_name="words"),
                Setup(backend, sparse_name="words"),
                Setup(backend, ids=native),
                Setup(backend, "collection"),
            ]
    return setups


SETUPS = _setups()

ONE_OF_EACH_BACKEND = list({setup.backend: setup for setup in reversed(SETUPS)}.values())
"""For what neither tenancy nor ids make a difference to."""


@pytest.fixture(scope="session")
def qdrant_url() -> Iterator[str]:
    yield from _served(QdrantServer)


@pytest.fixture(scope="session")
def pinecone_url() -> Iterator[str]:
    yield from _served(PineconeServer)


def _served(make: Callable[[], QdrantServer] | Callable[[], PineconeServer]) -> Iterator[str]:
    """A test server in a thread of its own: every test has an event loop of its own, and this outlives them."""
    started: SimpleQueue[str] = SimpleQueue()
    stop = threading.Event()

    async def serve() -> None:
        async with make() as server:
            started.put(server.url)
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield started.get(timeout=PATIENCE)
    stop.set()
    thread.join()


@pytest.fixture(params=SETUPS, ids=str)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    setup: Setup = request.param
    match setup.backend:
        case "memory":
            yield Case(setup, MemoryStore("test"))
        case "qdrant-memory":
            async for opened in _opened(setup, QdrantStore.connect("test", location=":memory:")):
                yield opened
        case "qdrant-disk":
            async for opened in _opened(setup, QdrantStore.connect("test", path=str(tmp_path / "qdrant"))):
                yield opened
        case "qdrant-rest":
            url = request.getfixturevalue("qdrant_url")
            async for opened in _opened(setup, QdrantStore.connect("test", url=url, timeout=PATIENCE)):
                yield opened
        case "qdrant-grpc":
            async with grpc_server() as port:
                url = f"http://127.0.0.1:{port}"
                store = QdrantStore.connect(
                    "test", url=url, prefer_grpc=True, grpc_port=port, timeout=PATIENCE
                )
                async for opened in _opened(setup, store):
                    yield opened
        case "pinecone-vectors" | "pinecone-documents":
            url = request.getfixturevalue("pinecone_url")
            kind = PineconeVectorsStore if setup.backend == "pinecone-vectors" else PineconeDocumentsStore
            opened = Case(
                setup,
                kind.connect(
                    "test", api_key="any", control_host=url, lag=0.0, rate=UNHURRIED, timeout=PATIENCE
                ),
                url,
            )
            yield opened
            await opened.store.aclose()
        case _:
            store = QdrantStore.connect(
                "test",
                url=os.environ["SHARDROUTE_TEST_QDRANT_URL"],
                prefer_grpc=setup.backend == "server-grpc",
                grpc_port=int(os.environ.get("SHARDROUTE_TEST_QDRANT_GRPC_PORT", "6334")),
            )
            async for opened in _opened(setup, store):
                yield opened


async def _opened(setup: Setup, store: QdrantStore) -> AsyncIterator[Case]:
    opened = Case(setup, store)
    try:
        await store.ping()
        yield opened
    finally:
        if setup.backend.startswith("server"):
            await _drop(store, opened.run)
        await store.aclose()


async def _drop(store: QdrantStore, run: str) -> None:
    for collection in (await store._client.get_collections()).collections:
        if collection.name.startswith(f"t{run}_"):
            await store._client.delete_collection(collection.name)
