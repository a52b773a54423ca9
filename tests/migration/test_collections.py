"""What a collection holds arrives whole on the other cluster, or the move is refused before anything is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from shardroute import Config, Record, Router, percent_encoded
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ConfigError, InvalidInput, MigrationError, PreflightFailed
from shardroute.migration.searches import Searches
from shardroute.phases import Phase
from shardroute.records import Match, Metric, Query, difference
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import Place
from tests.support.patience import PATIENCE
from tests.support.qdrant_traffic import limit

DENSE = models.VectorParams(size=2, distance=models.Distance.COSINE)
IMAGE = models.VectorParams(size=3, distance=models.Distance.MANHATTAN)
COLBERT = models.VectorParams(
    size=2,
    distance=models.Distance.DOT,
    multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
)
WORDS = models.SparseVectorParams(modifier=models.Modifier.IDF)
NAMED = {"dense": DENSE, "image": IMAGE, "colbert": COLBERT}

POINTS: Mapping[int, dict[str, Any]] = {
    1: {"dense": [3, 4], "image": [1, 2, 3], "colbert": [[1, 0], [0, 2]]},
    2: {"image": [3, 2, 1]},
    3: {"dense": [0, 1], "words": models.SparseVector(indices=[7, 70], values=[1.5, -2])},
    4: {"colbert": [[0.5, 0.25]]},
    5: {},
}


@dataclass
class Pair:
    """Two Qdrants, and the vendor's own client of each. A tenant is on the old one."""

    admin: Admin
    router: Router
    old: AsyncQdrantClient
    new: AsyncQdrantClient
    urls: Mapping[str, str]

    async def points(self, client: AsyncQdrantClient) -> dict[Any, Any]:
        found, _ = await client.scroll("docs", limit=100, with_payload=True, with_vectors=True)
        return {point.id: (point.payload, point.vector) for point in found}

    async def refused(self) -> str:
        """By `plan` and by `migrate`, which has written nothing."""
        problems = (await self.admin.plan("acme")).problems
        with pytest.raises(PreflightFailed) as error:
            await self.admin.move("migrate", "acme")
        assert list(error.value.problems) == problems
        [status] = await self.admin.status(["acme"])
        assert status.phase is Phase.OLD
        return "; ".join(problems)


@asynccontextmanager
async def pair(
    redis: EmbeddedRedis, namespace: str, *, fill: bool = True, shards: int = 1, **placement: Any
) -> AsyncIterator[Pair]:
    placed = {
        "collection": "docs",
        "tenancy": "payload:tenant",
        "ids": "native",
        "vector_name": "dense",
        **placement,
    }
    async with QdrantServer() as one, QdrantServer() as two:
        urls = {"a": one.url, "b": two.url}
        config = Config.from_dict(
            {
                "control": {"url": redis.url, "namespace": namespace},
                "router": {"deadline": PATIENCE},
                "clusters": {name: {"kind": "qdrant", "url": url} for name, url in urls.items()},
                "topologies": {
                    version: {"dimension": 2, "shards": shards, "placement": {"cluster": name, **placed}}
                    for version, name in (("v1", "a"), ("v2", "b"))
                },
                "migration": {"from": "v1", "to": "v2", "barrier": PATIENCE},
            }
        )
        old, new = (AsyncQdrantClient(url=server.url, check_compatibility=False) for server in (one, two))
        async with Admin.open(config) as admin:
            await admin.init()
        async with Admin.open(config) as admin, Router(config) as router:
            made = Pair(admin, router, old, new, urls)
            if fill:
                await old.create_collection("docs", NAMED, {"words": WORDS})
                await old.upsert(
                    "docs",
                    [
                        models.PointStruct(id=name, vector=vectors, payload={"tenant": "acme", "n": name})
                        for name, vectors in POINTS.items()
                    ],
                )
            yield made
        await old.close()
        await new.close()


@pytest.mark.parametrize("sparse_name", ["words", ""])
async def test_vectors_of_every_kind_and_name_go_there_and_back_as_they_are(
    redis_server: EmbeddedRedis, namespace: str, sparse_name: str
) -> None:
    async with pair(redis_server, namespace, sparse_name=sparse_name) as both:
        before = await both.points(both.old)
        assert [{*vectors} for _, vectors in before.values()] == [{*vectors} for vectors in POINTS.values()]
        await both.admin.move("migrate", "acme")
        assert await both.points(both.new) == before
        await both.admin.move("complete", "acme")
        await both.admin.purge("acme")
        assert await both.points(both.old) == {}
        await both.admin.move("rollback", "acme")
        assert await both.points(both.old) == before


async def test_the_application_sees_and_writes_the_vectors_that_its_placement_does_not_name(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace) as both:
        acme = both.router.tenant("acme")
        await both.admin.move("migrate", "acme")
        written = Record(
            "9", [1, 0], {"n": 9}, named_vectors={"image": [1, 1, 2], "colbert": [[1, 2], [3, 4]]}
        )
        await acme.upsert([written])
        (found,) = (await acme.fetch(["9"])).values()
        assert difference(found, written, Metric.COSINE) is None
        assert (await both.points(both.old))[9] == (await both.points(both.new))[9]
        assert (await both.admin.verify("acme")).differing == {}


async def test_a_vector_that_was_lost_on_one_side_is_found_and_repaired(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace) as both:
        await both.admin.move("migrate", "acme")
        await both.old.delete_vectors("docs", ["colbert"], [1])
        assert (await both.admin.verify("acme")).differing == {"1": "vector 'colbert'"}
        await both.admin.verify("acme", repair=True)
        assert await both.points(both.old) == await both.points(both.new)


@pytest.mark.parametrize(
    ("vector_name", "sparse_name", "said"),
    [
        ("", "", "and no vector ''"),
        ("text", "", "and no vector 'text'"),
        ("colbert", "", "vector_name names a dense one"),
        ("image", "", "has 3 dimensions"),
        ("dense", "bm25", "no sparse vector 'bm25'"),
    ],
)
async def test_a_placement_that_names_no_such_vector_moves_nothing(
    redis_server: EmbeddedRedis, namespace: str, vector_name: str, sparse_name: str, said: str
) -> None:
    async with pair(redis_server, namespace, vector_name=vector_name, sparse_name=sparse_name) as both:
        assert said in await both.refused()
        assert any(said in problem for problem in (await both.admin.doctor()).problems)


@pytest.mark.parametrize(
    ("vectors", "sparse", "said"),
    [
        (
            {"dense": DENSE},
            {"words": WORDS},
            "dense vector 'image': the new collection has none of that name",
        ),
        (NAMED, {}, "sparse vector 'words': the new collection has none of that name"),
        (
            NAMED | {"image": DENSE},
            {"words": WORDS},
            "dense vector 'image': size 3 on the old side, 2 on the new",
        ),
        (
            NAMED,
            {"words": models.SparseVectorParams()},
            "sparse vector 'words': scoring idf on the old side, none",
        ),
        (
            NAMED | {"colbert": DENSE},
            {"words": WORDS},
            "multivector 'colbert': kind multivector on the old side",
        ),
    ],
)
async def test_a_new_collection_that_cannot_take_all_of_it_takes_nothing(
    redis_server: EmbeddedRedis, namespace: str, vectors: Any, sparse: Any, said: str
) -> None:
    async with pair(redis_server, namespace) as both:
        await both.new.create_collection("docs", vectors, sparse)
        assert said in await both.refused()
        assert await both.points(both.new) == {}


async def test_a_tenant_with_multivectors_alone_moves_like_any_other(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace, fill=False, vector_name="") as both:
        await both.old.create_collection("docs", {"colbert": COLBERT})
        point = models.PointStruct(
            id=1, vector={"colbert": [[1.0, 2.0], [3.0, 4.0]]}, payload={"tenant": "acme"}
        )
        await both.old.upsert("docs", [point])
        await both.admin.move("migrate", "acme")
        acme = both.router.tenant("acme")
        await acme.upsert([Record("2", named_vectors={"colbert": [[5, 6]]})])
        assert await both.points(both.new) == await both.points(both.old)
        assert (await both.points(both.new)).keys() == {1, 2}


# -- points of several tenants --------------------------------------------------------------------------------------


@asynccontextmanager
async def sharing(redis: EmbeddedRedis, namespace: str) -> AsyncIterator[Pair]:
    """A point of acme's and globex's, and one of acme's own."""
    async with pair(redis, namespace, fill=False, vector_name="") as both:
        await both.old.create_collection("docs", DENSE)
        await both.old.upsert(
            "docs",
            [
                models.PointStruct(id=1, vector=[1.0, 0.0], payload={"tenant": ["acme", "globex"]}),
                models.PointStruct(id=2, vector=[0.0, 1.0], payload={"tenant": ["acme"]}),
            ],
        )
        yield both


async def test_a_point_of_two_tenants_is_each_ones_however_it_is_read(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with sharing(redis_server, namespace) as both:
        acme, globex = both.router.tenant("acme"), both.router.tenant("globex")
        for tenant, ids in ((acme, {"1", "2"}), (globex, {"1"})):
            assert {record.id async for record in tenant.scan()} == ids
            assert {match.id for match in await tenant.query([1, 1])} == ids
            assert (await tenant.fetch(["1", "2"])).keys() == ids
            assert await tenant.count() == len(ids)


async def test_a_point_of_two_tenants_keeps_both_from_moving(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with sharing(redis_server, namespace) as both:
        assert "record '1' does not fit: another tenant has it too" in await both.refused()


async def test_a_purge_spares_what_another_tenant_has_too(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with sharing(redis_server, namespace) as both:
        await both.old.set_payload("docs", {"tenant": "acme"}, [1])
        for verb in ("migrate", "complete"):
            await both.admin.move(verb, "acme")
        await both.old.set_payload("docs", {"tenant": ["globex", "acme"]}, [1])
        assert await both.admin.purge("acme") == 1
        assert (await both.points(both.old)).keys() == {1}


# -- how applications name tenants ----------------------------------------------------------------------------------


async def fill(both: Pair, payloads: Sequence[Mapping[str, Any]]) -> None:
    await both.old.create_collection("docs", DENSE)
    points = [
        models.PointStruct(id=number, vector=[0.0, 1.0], payload=dict(payload))
        for number, payload in enumerate(payloads, 1)
    ]
    await both.old.upsert("docs", points)


@pytest.mark.parametrize(
    ("tenancy", "payload"),
    [
        ("payload:org:integer", {"org": 42, "n": 1}),
        ("payload:metadata.tenant_id", {"page_content": "x", "metadata": {"tenant_id": "42", "source": "y"}}),
        ("payload:metadata.org.id:integer", {"metadata": {"org": {"id": 42}}}),
        ("payload:id", {"id": "936da01f-9abd-4d9d-80c7-02af85c822a8"}),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
async def test_a_tenants_field_may_hold_numbers_and_lie_within_others(
    redis_server: EmbeddedRedis, namespace: str, tenancy: str, payload: Mapping[str, Any], *, indexed: bool
) -> None:
    async with pair(redis_server, namespace, fill=False, tenancy=tenancy, vector_name="") as both:
        await fill(both, [payload])
        if indexed:
            await both.admin.prepare()
        (name,) = await both.admin.tenants()
        tenant = both.router.tenant(name)
        await tenant.upsert([Record("7", [0, 1], {"page_content": "z"})])
        await tenant.update("7", metadata={"metadata": {"source": "w"}})
        await both.admin.move("migrate", name)
        assert await both.points(both.new) == await both.points(both.old)
        assert (await both.points(both.new))[1][0] == payload
        assert (await tenant.fetch(["7"]))["7"].metadata == {"page_content": "z", "metadata": {"source": "w"}}
        assert {match.id for match in await tenant.query([1, 1])} == {"1", "7"}
        await both.admin.move("complete", name)
        await both.admin.purge(name)
        await both.admin.finish()


STRANGE: Sequence[Mapping[str, Any]] = [
    {"tenant": "acme"}, {"tenant": "acme"}, {"tenant": "auth0|5f7"}, {"tenant": "Acme Inc."}, {"tenant": "müller"},
    {"tenant": 42}, {"tenant": 43.5}, {"tenant": True}, {"tenant": None}, {}, {"tenant": {"id": "x"}},
]  # fmt: skip


@pytest.mark.parametrize("indexed", [False, True])
async def test_what_names_no_tenant_is_listed_by_doctor_and_counted_by_finish_and_breaks_nothing(
    redis_server: EmbeddedRedis, namespace: str, *, indexed: bool
) -> None:
    async with pair(redis_server, namespace, fill=False, vector_name="") as both:
        await fill(both, STRANGE)
        await both.admin.prepare()
        if not indexed:
            await both.old.delete_payload_index("docs", "tenant")
        assert [status.tenant for status in await both.admin.status()] == ["acme"]
        problems = "\n".join((await both.admin.doctor()).problems)
        for said in (
            "1 records are no tenant's: where the tenant's name belongs, they have 'auth0|5f7'",
            "1 records are no tenant's: where the tenant's name belongs, they have 'Acme Inc.'",
            "they have 'müller'",
            "2 records are no tenant's: where the tenant's name belongs, they have numbers",
            "they have true or false",
            "2 records are no tenant's: where the tenant's name belongs, they have nothing",
            "they have something else",
        ):
            assert said in problems
        await both.admin.move("migrate", "acme")
        await both.admin.move("complete", "acme")
        with pytest.raises(MigrationError, match=r"`--leave-unnamed`:(.|\n)*'Acme Inc.'"):
            await both.admin.finish()
        assert await both.admin.finish(leave_unnamed=True) == {0: 1}


NAMES = ["auth0|5f7", "Acme Inc.", "müller", "+49 30", "100%", "plain"]


@pytest.mark.parametrize("indexed", [False, True])
async def test_percent_encoded_tenants_move_whatever_their_field_holds(
    redis_server: EmbeddedRedis, namespace: str, *, indexed: bool
) -> None:
    async with pair(redis_server, namespace, fill=False, tenant_of="percent", vector_name="") as both:
        await fill(both, [{"tenant": name} for name in NAMES])
        if indexed:
            await both.admin.prepare()
        assert sorted(await both.admin.tenants()) == sorted(map(percent_encoded, NAMES))
        before = await both.points(both.old)
        for name in map(percent_encoded, NAMES):
            tenant = both.router.tenant(name)
            await tenant.update((await tenant.scan().__anext__()).id, metadata={"seen": True})
            await both.admin.move("migrate", name)
            await both.admin.move("complete", name)
            await both.admin.purge(name)
        moved = {point: (payload | {"seen": True}, vector) for point, (payload, vector) in before.items()}
        assert await both.points(both.new) == moved
        assert await both.points(both.old) == {}
        assert await both.admin.finish() == {0: len(NAMES)}


CREATE_OPTIONS: Mapping[str, Any] = {
    "on_disk_payload": False,
    "quantization_config": {"scalar": {"type": "int8", "always_ram": True}},
    "strict_mode_config": {"enabled": True, "max_query_limit": 500},
}


async def test_new_collections_are_prepared_like_the_old_ones_but_for_what_the_file_says(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace, create_options=CREATE_OPTIONS) as both:
        await both.old.create_payload_index("docs", "n", models.PayloadSchemaType.INTEGER)
        await both.old.update_collection("docs", hnsw_config=models.HnswConfigDiff(m=32))
        notes = "; ".join((await both.admin.plan("acme")).notes)
        assert "but for on_disk_payload, which create_options has as False" in notes
        assert await both.admin.prepare(like_old=True) == {("b", "docs"): True}
        made, old = [await client.get_collection("docs") for client in (both.new, both.old)]
        assert made.config.params.vectors == old.config.params.vectors
        assert made.config.params.sparse_vectors == old.config.params.sparse_vectors
        assert made.config.hnsw_config == old.config.hnsw_config
        assert "n" in made.payload_schema
        assert made.config.params.on_disk_payload is False
        assert made.config.quantization_config == models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        )
        assert made.config.strict_mode_config is not None
        assert made.config.strict_mode_config.max_query_limit == 500
        assert await both.admin.prepare(like_old=True) == {("b", "docs"): False}
        await both.admin.move("migrate", "acme")
        assert await both.points(both.new) == await both.points(both.old)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shard_numbers": 2}, "create_options.shard_numbers is not what Qdrant takes: Extra inputs"),
        ({"shard_number": "many"}, "create_options.shard_number is not what Qdrant takes"),
        ({"vectors": {"size": 2, "distance": "Dot"}}, "create_options.vectors: vectors are those of the old"),
        ({"sharding_method": "auto"}, "create_options.sharding_method: it follows from the tenancy"),
    ],
)
async def test_create_options_that_qdrant_does_not_take_are_named_before_anything_moves(
    redis_server: EmbeddedRedis, namespace: str, options: Mapping[str, Any], said: str
) -> None:
    async with pair(redis_server, namespace, create_options=options) as both:
        for asked in (both.admin.plan("acme"), both.admin.prepare(like_old=True)):
            with pytest.raises(ConfigError, match=said):
                await asked
        with pytest.raises(ConfigError, match=said):
            await both.admin.move("migrate", "acme")
        assert not await both.new.collection_exists("docs")


async def test_old_collections_that_are_not_alike_are_no_model_for_all_new_ones(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace, fill=False, shards=2, collection="docs-{shard}") as both:
        with pytest.raises(InvalidInput, match="no collection yet"):
            await both.admin.prepare(like_old=True)
        with pytest.raises(InvalidInput, match=r"cluster 'a' has no collection 'docs-[01]' to be made like"):
            await both.admin.prepare(["acme"], like_old=True)
        await both.old.create_collection("docs-0", NAMED)
        await both.old.create_collection("docs-1", NAMED, {"words": WORDS})
        with pytest.raises(InvalidInput, match=r"'docs-0' and 'docs-1' of topologies\.v1 are not made alike"):
            await both.admin.prepare(like_old=True)
        names = ["acme", "globex", "initech", "hooli"]
        made = await both.admin.prepare(names, like_old=True)
        assert made == {("b", "docs-0"): True, ("b", "docs-1"): True}
        assert (await both.new.get_collection("docs-0")).config.params.sparse_vectors is None
        assert (await both.new.get_collection("docs-1")).config.params.sparse_vectors == {"words": WORDS}


async def test_verify_counts_vectors_by_name_and_puts_searches_to_both_sides(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with pair(redis_server, namespace) as both:
        await both.admin.move("migrate", "acme")
        found = await both.admin.verify("acme")
        assert {name: {*held.values()} for name, held in found.vectors.items()} == {
            "vector": {2}, "vector 'image'": {2}, "vector 'colbert'": {2}, "vector 'words'": {1},
        }  # fmt: skip
        assert found.searches == Searches(asked=2, recall=1.0)
        await limit(both.urls["a"], "docs", {"max_query_limit": 5})
        found = await both.admin.verify("acme")
        assert found.searches is not None
        assert (found.searches.asked, found.searches.recall) == (0, None)
        assert "max_query_limit" in found.searches.refused["old"]


async def test_searches_that_find_other_records_on_the_other_side_are_seen_though_all_records_are_equal(
    redis_server: EmbeddedRedis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(redis_server, namespace, fill=False, vector_name="") as both:
        await both.admin.prepare()
        await both.router.tenant("acme").upsert([Record(str(n), [1.0, n / 40]) for n in range(40)])
        await both.admin.move("migrate", "acme")
        assert (await both.admin.verify("acme")).searches == Searches(asked=20, recall=1.0)
        store = both.admin._stores["a"]
        whole = store.query

        async def half_built(place: Place, query: Query) -> list[Match]:
            """As of an index that has not seen all points yet."""
            return [match for match in await whole(place, query) if int(match.id) % 2]

        monkeypatch.setattr(store, "query", half_built)
        found = await both.admin.verify("acme")
        assert not found.differing
        assert found.searches is not None
        assert found.searches.recall == 0.5
