"""What is Pinecone's own: freshness, namespaces, cursors, and two kinds of index that refuse each other's requests."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from shardroute.clusters import connect
from shardroute.config import ClusterConfig
from shardroute.errors import (
    ClusterRejected,
    ConfigError,
    InvalidFilter,
    InvalidInput,
    InvalidRecord,
    InvalidTenant,
)
from shardroute.filters import parse
from shardroute.ports import Change
from shardroute.records import Metric, Query, Record, difference
from shardroute.schema import Description
from shardroute.stores.pinecone_documents import PineconeDocumentsStore
from shardroute.stores.pinecone_scan import scan_ids
from shardroute.stores.pinecone_store import PineconeStore
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.testing.pinecone import IndexSpec, Lag, PineconeServer
from shardroute.topology import Place, Placement, Tenancy, TenantOf, Topology

from .conftest import UNHURRIED, pages, sparse, unit

DIMENSION = 4
KINDS: dict[str, type[PineconeVectorsStore] | type[PineconeDocumentsStore]] = {
    "vectors": PineconeVectorsStore,
    "documents": PineconeDocumentsStore,
}
INDEXES = {
    "vectors": IndexSpec.vectors(DIMENSION),
    "documents": IndexSpec.documents(DIMENSION, vector_field="dense", sparse_field="words"),
    "dot": IndexSpec.vectors(DIMENSION, "dotproduct"),
    "sparse": IndexSpec.vectors(),
    "wide": IndexSpec.documents(1000, vector_field="dense"),
}


def topology(collection: str, **changes: Any) -> Topology:
    placement = Placement(
        "p", collection, Tenancy.parse("namespace"), vector_name="dense", sparse_name="words"
    )
    return Topology("v1", 1, dataclasses.replace(placement, **changes), DIMENSION, Metric.COSINE)


def place(collection: str, tenant: str = "acme", **changes: Any) -> Place:
    return dataclasses.replace(topology(collection).place(tenant), **changes)


def records(count: int, **metadata: Any) -> list[Record]:
    return [Record(f"doc-{n:04}", unit(n), metadata) for n in range(count)]


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with PineconeServer(indexes=INDEXES) as served:
        yield served


class Stores:
    """Stores on one server, closed at the end."""

    def __init__(self, server: PineconeServer) -> None:
        self._server = server
        self._opened: list[PineconeStore] = []

    def of(self, kind: str, *, host: str | None = None, **options: Any) -> PineconeStore:
        """By the names of indexes, or on the one index that is the host."""
        where = {"host": self._server.index_url(host)} if host else {"control_host": self._server.url}
        given: dict[str, Any] = {"api_key": "any", "lag": 0.0, "rate": UNHURRIED, **where, **options}
        self._opened.append(KINDS[kind].connect("p", **given))
        return self._opened[-1]

    async def aclose(self) -> None:
        for store in self._opened:
            await store.aclose()


@pytest.fixture
async def stores(server: PineconeServer) -> AsyncIterator[Stores]:
    opened = Stores(server)
    yield opened
    await opened.aclose()


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Freshness


async def test_after_fresh_searches_see_what_others_wrote_and_deleted(
    server: PineconeServer, stores: Stores, kind: str
) -> None:
    await stores.of(kind).upsert(place(kind), records(3))
    server.lag = Lag(search=0.3)
    await stores.of(kind).upsert(place(kind), [Record("new", unit(9))])
    await stores.of(kind).delete(place(kind), ["doc-0000"])
    store = stores.of(kind)
    await store.fresh(place(kind))
    found = await store.query(place(kind), Query(unit(1)))
    assert {match.id for match in found} == {"doc-0001", "doc-0002", "new"}


async def test_fetches_and_lists_are_given_their_own_time(
    server: PineconeServer, stores: Stores, kind: str
) -> None:
    server.lag = Lag(search=0.0, fetch=0.3)
    store = stores.of(kind, lag=0.35)
    await store.upsert(place(kind), records(3))
    await store.fresh(place(kind))
    assert await store.count(place(kind)) == 3
    assert len(await store.fetch(place(kind), ["doc-0000", "doc-0001"])) == 2


async def test_where_positions_are_unknown_only_time_is_waited_for(kind: str) -> None:
    async with PineconeServer(indexes=INDEXES, lag=Lag(0.3, 0.3), positions=False) as server:
        opened = Stores(server)
        store = opened.of(kind, lag=0.35)
        await store.upsert(place(kind), records(2))
        await store.fresh(place(kind))
        assert len(await store.query(place(kind), Query(unit(1)))) == 2
        await opened.aclose()


async def test_a_wait_for_freshness_may_be_cancelled(
    server: PineconeServer, stores: Stores, kind: str
) -> None:
    store = stores.of(kind)
    await store.upsert(place(kind), records(1))
    server.lag = Lag(search=float("inf"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await store.fresh(place(kind))
    assert await store.count(place(kind)) == 1


async def test_a_fence_leaves_nothing_behind(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    await store.fresh(place(kind, "nobody"))
    await store.upsert(place(kind), records(1))
    await store.fresh(place(kind))
    assert [record.id for record in (await store.scan(place(kind))).records] == ["doc-0000"]
    assert [name async for name in store.tenants(topology(kind).placement, [kind])] == ["acme"]


# Requests


async def test_a_large_batch_goes_in_requests_that_pinecone_takes(stores: Stores) -> None:
    wide = place("wide", dimension=1000)
    vectors = np.random.default_rng(7).normal(size=(500, 1000)).astype(np.float32)
    store = stores.of("documents")
    await store.upsert(wide, [Record(f"{n}", vector, {"n": n}) for n, vector in enumerate(vectors)])
    found = await store.query(wide, Query(vectors[3], top_k=1000))
    assert {match.id: match.metadata["n"] for match in found} == {f"{n}": n for n in range(500)}
    assert all(match.vector is None for match in found)


async def test_the_last_of_two_records_with_one_id_wins(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    await store.upsert(place(kind), [Record("a", unit(1), {"v": 1}), Record("a", unit(2), {"v": 2})])
    assert dict((await store.fetch(place(kind), ["a"]))["a"].metadata) == {"v": 2}


async def test_long_ids_are_fetched_in_several_requests(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    names = [f"{n:03}{'/' * 500}" for n in range(30)]
    await store.upsert(place(kind), [Record(name, unit(1)) for name in names])
    assert set(await store.fetch(place(kind), names)) == set(names)


async def test_ids_that_pinecone_cannot_have_are_not_there(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    await store.upsert(place(kind), records(1))
    for name in ("ü", "x" * 513):
        assert await store.fetch(place(kind), [name, "doc-0000"], vectors=False) != {}
        await store.delete(place(kind), [name])
        await store.update(place(kind), [Change(name, {"a": 1})])
    assert await store.count(place(kind)) == 1


async def test_what_does_not_fit_is_never_sent(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    for metadata in ({"a": {"b": 1}}, {"a": [1]}, {"a": None}):
        with pytest.raises(InvalidRecord, match="'a'"):
            await store.upsert(place(kind), [Record("x", unit(1)), Record("y", unit(1), metadata)])
    with pytest.raises(InvalidRecord, match="'a'"):
        await store.update(place(kind), [Change("x", {"a": [1]})])
    assert await store.count(place(kind)) == 0


async def test_empty_lists_are_refused_or_else_exists_is(stores: Stores, kind: str) -> None:
    emptied, exists = (
        Record("a", unit(1), {"tags": []}),
        Query(unit(1), filter=parse({"tags": {"$exists": True}})),
    )
    usual, keeping = stores.of(kind), stores.of(kind, empty_lists=True)
    assert "'tags' is an empty list" in (usual.misfit(place(kind), emptied) or "")
    assert await usual.query(place(kind), exists) == []
    assert keeping.misfit(place(kind), emptied) is None
    await keeping.upsert(place(kind), [emptied])
    assert (await usual.fetch(place(kind), ["a"]))["a"].metadata == {"tags": []}
    assert exists.filter is not None
    assert "empty_lists" in (keeping.filter_misfit(exists.filter) or "")
    with pytest.raises(InvalidFilter, match="empty_lists"):
        await keeping.query(place(kind), exists)


def test_empty_lists_are_a_yes_or_a_no(kind: str) -> None:
    options = {"api_key": "any", "host": "localhost", "empty_lists": "false"}
    with pytest.raises(ConfigError, match="true or false"):
        connect(ClusterConfig("p", f"pinecone-{kind}", options))


async def test_an_impossible_filter_needs_no_index(stores: Stores, kind: str) -> None:
    store, nothing = stores.of(kind), parse({"a": {"$in": []}})
    nowhere = place("there-is-none")
    assert await store.query(nowhere, Query(unit(1), filter=nothing)) == []
    assert (await store.scan(nowhere, condition=nothing)).records == []
    assert await store.count(nowhere, nothing) == 0


async def test_insert_only_is_refused(stores: Stores, kind: str) -> None:
    with pytest.raises(ClusterRejected, match="insert_only"):
        await stores.of(kind).upsert(place(kind), records(1), insert_only=True)


# Scans


async def test_a_cursor_goes_on_in_another_process(stores: Stores, kind: str) -> None:
    await stores.of(kind).upsert(place(kind), records(450, a=1))
    for condition in (None, parse({"a": 1})):
        names, cursor = list[str](), None
        while True:
            page = await stores.of(kind).scan(
                place(kind), cursor=cursor, limit=210, condition=condition, vectors=False
            )
            names += [record.id for record in page.records]
            if (cursor := page.cursor) is None:
                break
        assert names == [record.id for record in records(450)]


async def test_a_page_is_as_large_as_was_asked_for(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    await store.upsert(place(kind), records(250))
    assert [len(page.records) for page in await pages(store, place(kind), 120)] == [120, 120, 10]


async def test_a_cursor_from_elsewhere_is_refused(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    await store.upsert(place(kind), records(3))
    cursor = (await store.scan(place(kind), limit=2)).cursor
    for wrong, condition in (("42", None), (cursor, parse({"a": 1}))):
        with pytest.raises(InvalidInput, match="cursor"):
            await store.scan(place(kind), cursor=wrong, condition=condition)


# Tenants and indexes


async def test_a_pattern_names_the_namespaces_and_finds_them_again(stores: Stores, kind: str) -> None:
    store = stores.of(kind)
    ours = topology(kind, namespace="prod-{tenant}.v1")
    assert ours.place("acme").namespace == "prod-acme.v1"
    for namespace in ("prod-acme.v1", "prod-globex.v1", "dev-acme.v1", "prod-acme", "prod-_.v1", "plain"):
        await store.upsert(place(kind, namespace=namespace), records(1))
    assert {name async for name in store.tenants(ours.placement, [kind])} == {"acme", "globex"}


async def test_percent_encoded_tenants_have_namespaces_that_are_called_as_anything(
    stores: Stores, kind: str
) -> None:
    store = stores.of(kind)
    ours = topology(kind, namespace="prod {tenant}", tenant_of=TenantOf.PERCENT)
    assert ours.place("Acme%20Inc.").namespace == "prod Acme Inc."
    for tenant in ("auth0%7C5f7", "Acme%20Inc.", "plain"):
        await store.upsert(ours.place(tenant), records(1))
        assert await store.count(ours.place(tenant)) == 1
    await store.upsert(place(kind, namespace="prod "), records(1))  # nobody's
    assert sorted([name async for name in store.tenants(ours.placement, [kind])]) == [
        "Acme%20Inc.", "auth0%7C5f7", "plain",
    ]  # fmt: skip
    with pytest.raises(InvalidTenant, match="'prod müller', and Pinecone's are ASCII"):
        ours.place("m%C3%BCller")


async def test_a_host_is_one_index_whatever_the_collection_is_called(stores: Stores, kind: str) -> None:
    store = stores.of(kind, host=kind)
    anywhere = place("a-label")
    await store.prepare(anywhere)
    await store.ping()
    await store.upsert(anywhere, records(2))
    assert await store.count(place(kind)) == 2
    assert [name async for name in store.tenants(topology("a-label").placement, ["a", "b"])] == ["acme"]
    described = await store.describe(anywhere)
    assert described is not None
    assert (described.dimension, described.metric) == (DIMENSION, Metric.COSINE)
    assert store.address[0] == "127.0.0.1"


async def test_an_index_of_the_other_kind_is_told_from_ones_own(stores: Stores, kind: str) -> None:
    other = next(name for name in KINDS if name != kind)
    with pytest.raises(ClusterRejected, match=f"pinecone-{other}"):
        await stores.of(kind).prepare(place(other))
    with pytest.raises(ClusterRejected, match=f"not of kind 'pinecone-{kind}'"):
        await stores.of(kind, host=other).prepare(place(other))


async def test_an_index_that_is_missing_is_refused_and_never_passes_for_empty(
    stores: Stores, kind: str
) -> None:
    missing = place("my-namespace")
    for store in (stores.of(kind), stores.of(kind, host="my-namespace")):
        assert await store.describe(missing) is None
        with pytest.raises(ClusterRejected):
            await store.prepare(missing)
        for answer in (store.count(missing), store.scan(missing), store.fetch(missing, ["a"])):
            with pytest.raises(ClusterRejected):
                await answer
    with pytest.raises(ClusterRejected, match=r"create.*4.*cosine"):
        await stores.of(kind).prepare(missing)


async def test_an_index_of_sparse_vectors_is_no_place_for_dense_ones(stores: Stores) -> None:
    with pytest.raises(ClusterRejected, match="sparse"):
        await stores.of("vectors").prepare(place("sparse"))


@pytest.mark.parametrize("name", ["vector_name", "sparse_name"])
async def test_fields_that_the_schema_lacks_are_named(stores: Stores, name: str) -> None:
    with pytest.raises(ClusterRejected, match=f"'nowhere' .{name}."):
        await stores.of("documents").prepare(place("documents", **{name: "nowhere"}))


async def test_documents_without_a_vector_name_are_refused(stores: Stores) -> None:
    store, nameless = stores.of("documents"), place("documents", vector_name="")
    for answer in (store.prepare(nameless), store.fresh(nameless)):
        with pytest.raises(ClusterRejected, match="vector_name"):
            await answer


async def test_a_description_is_of_the_fields_that_the_place_names(stores: Stores) -> None:
    store = stores.of("documents")
    assert await store.describe(place("documents")) == Description(DIMENSION, Metric.COSINE, True)
    assert await store.describe(place("documents", vector_name="none")) == Description(None, None, True)
    assert await stores.of("vectors").describe(place("dot")) == Description(DIMENSION, Metric.DOT, True)


async def test_tenancies_of_other_stores_are_refused(stores: Stores, kind: str) -> None:
    with pytest.raises(ConfigError, match="namespace"):
        await stores.of(kind).count(place(kind, tenancy=Tenancy.parse("payload:tenant")))


# Sparse vectors in a legacy index


async def test_a_hybrid_query_adds_both_scores_up(stores: Stores) -> None:
    store, hybrid = stores.of("vectors"), place("dot", metric=Metric.DOT)
    written = [Record("a", [1, 0, 0, 0], {}, sparse(i1=2.0)), Record("b", [3, 0, 0, 0])]
    await store.upsert(hybrid, written)
    await store.update(hybrid, [Change("b", sparse_vector=sparse(i1=0.5))])
    read = await store.fetch(hybrid, ["a", "b"])
    assert difference(written[0], read["a"], Metric.DOT) is None
    query = Query(np.array([1, 0, 0, 0], np.float32), sparse_vector=sparse(i1=2.0))
    assert [(match.id, match.score) for match in await store.query(hybrid, query)] == [("a", 5.0), ("b", 4.0)]


async def test_a_sparse_query_alone_is_refused_by_a_legacy_index(stores: Stores) -> None:
    query = Query(None, sparse_vector=sparse(i1=1.0))
    with pytest.raises(ClusterRejected, match="beside a dense one"):
        await stores.of("vectors").query(place("dot", metric=Metric.DOT), query)


# From the configuration


async def test_the_configuration_connects_both_kinds_and_wants_a_key(kind: str) -> None:
    store = connect(ClusterConfig(name="p", kind=f"pinecone-{kind}", options={"api_key": "k", "lag": 2.0}))
    assert (store.system, store.lag, store.can_insert_only) == ("pinecone", 2.0, False)
    assert store.address == ("api.pinecone.io", None)
    await store.aclose()
    with pytest.raises(ConfigError, match=r"clusters\.p: .*api_key_env"):
        connect(ClusterConfig(name="p", kind=f"pinecone-{kind}", options={}))


# A page of a scan, step by step


async def test_ids_are_listed_on_while_records_are_fetched() -> None:
    listing_ended = asyncio.Event()

    async def list_ids(token: str | None, limit: int) -> tuple[list[str], str | None]:
        assert limit == 100
        if token is None:
            return ["a", "b"], "more"
        listing_ended.set()
        return ["c"], None

    async def fetch(ids: Sequence[str]) -> dict[str, Record]:
        await listing_ended.wait()
        return {name: Record(name, unit(1)) for name in ids}

    found, token = await scan_ids(list_ids, fetch, None, 1000)
    assert ([record.id for record in found], token) == (["a", "b", "c"], None)


async def test_what_was_deleted_since_it_was_listed_is_left_out() -> None:
    async def list_ids(token: str | None, limit: int) -> tuple[list[str], str | None]:
        return ["a", "gone", "b"], "more"

    async def fetch(ids: Sequence[str]) -> dict[str, Record]:
        return {name: Record(name, unit(1)) for name in reversed(ids) if name != "gone"}

    found, token = await scan_ids(list_ids, fetch, None, 3)
    assert ([record.id for record in found], token) == (["a", "b"], "more")


async def test_a_listing_that_fails_ends_the_fetches() -> None:
    ended = asyncio.Event()

    async def list_ids(token: str | None, limit: int) -> tuple[list[str], str | None]:
        await asyncio.sleep(0)
        if token is not None:
            raise ClusterRejected("p", "no")
        return ["a"], "more"

    async def fetch(ids: Sequence[str]) -> dict[str, Record]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    with pytest.raises(ClusterRejected):
        await scan_ids(list_ids, fetch, None, 1000)
    assert ended.is_set()
