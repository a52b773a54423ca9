"""GET /collections/{name} shows all settings: as they were given, as they were changed, and the defaults."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shardroute.testing.qdrant import QdrantProcess
from tests.testing.qdrants import SERVERS, Json, Qdrant, opened


@pytest.fixture(params=SERVERS)
async def qdrant(request: pytest.FixtureRequest) -> AsyncIterator[Qdrant]:
    async with opened(request.param) as running:
        yield running


def differences(shown: Any, expected: Any, path: str = "") -> list[str]:
    """What of `expected` is not shown; more may be."""
    if not isinstance(expected, dict):
        return [] if shown == expected else [f"{path}: {shown!r} is not {expected!r}"]
    missing = [f"{path}.{name}" for name in expected if not isinstance(shown, dict) or name not in shown]
    return missing or [
        each for name, value in expected.items() for each in differences(shown[name], value, f"{path}.{name}")
    ]


DEFAULTS: Json = {
    "params": {
        "vectors": {"size": 2, "distance": "Dot"},
        "shard_number": 1,
        "replication_factor": 1,
        "write_consistency_factor": 1,
        "on_disk_payload": True,
    },
    "hnsw_config": {
        "m": 16,
        "ef_construct": 100,
        "full_scan_threshold": 10000,
        "max_indexing_threads": 0,
        "on_disk": False,
    },
    "optimizer_config": {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "max_segment_size": None,
        "indexing_threshold": 10000,
        "flush_interval_sec": 5,
        "max_optimization_threads": None,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
    "quantization_config": None,
}


async def test_what_is_not_given_has_its_default(qdrant: Qdrant) -> None:
    await qdrant.create()
    info = await qdrant.result("GET", "")
    assert not differences(info["config"], DEFAULTS)
    assert info["config"]["params"]["vectors"] == {"size": 2, "distance": "Dot"}
    assert not {"sparse_vectors", "sharding_method"} & set(info["config"]["params"])
    assert (info["status"], info["points_count"], info["payload_schema"]) == ("green", 0, {})


GIVEN: Json = {
    "vectors": {
        "one": {
            "size": 4,
            "distance": "Cosine",
            "on_disk": True,
            "datatype": "float16",
            "hnsw_config": {"m": 4},
            "quantization_config": {"binary": {"always_ram": True}},
        },
        "many": {"size": 2, "distance": "Manhattan", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {"modifier": "idf", "index": {"on_disk": True}}, "plain": {}},
    "shard_number": 2,
    "replication_factor": 1,
    "write_consistency_factor": 1,
    "on_disk_payload": False,
    "hnsw_config": {"m": 0, "payload_m": 16},
    "optimizers_config": {"indexing_threshold": 500},
    "wal_config": {"wal_capacity_mb": 8},
    "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99}},
    "strict_mode_config": {"enabled": True, "max_query_limit": 50, "read_rate_limit": 1000},
    "metadata": {"owner": {"team": "search"}},
}


def as_shown(given: Json) -> Json:
    """Where each of the given settings stands in the answer."""
    params = (*("vectors", "sparse_vectors", "shard_number", "replication_factor"), "on_disk_payload")
    moved = {"optimizers_config": "optimizer_config"}
    rest = {moved.get(name, name): value for name, value in given.items() if name not in params}
    rest.pop("write_consistency_factor", None)
    return {"params": {name: given[name] for name in params}, **rest}


async def test_what_is_given_is_shown_as_it_was_given(qdrant: Qdrant) -> None:
    await qdrant.create(**GIVEN)
    config = (await qdrant.result("GET", ""))["config"]
    assert not differences(config, as_shown(GIVEN))
    assert config["hnsw_config"]["ef_construct"] == 100


PATCHES: dict[str, tuple[Json, Json]] = {
    "graph": ({"hnsw_config": {"ef_construct": 64}}, {"hnsw_config": {"ef_construct": 64, "payload_m": 16}}),
    "optimizers": (
        {"optimizers_config": {"indexing_threshold": 7}},
        {"optimizer_config": {"indexing_threshold": 7, "flush_interval_sec": 5}},
    ),
    "replicas": (
        {"params": {"replication_factor": 2, "on_disk_payload": True}},
        {"params": {"replication_factor": 2, "on_disk_payload": True, "shard_number": 2}},
    ),
    "strict mode": (
        {"strict_mode_config": {"max_query_limit": 9}},
        {"strict_mode_config": {"max_query_limit": 9, "enabled": True, "read_rate_limit": 1000}},
    ),
    "no quantization": ({"quantization_config": "Disabled"}, {"quantization_config": None}),
    "another quantization": (
        {"quantization_config": {"product": {"compression": "x4"}}},
        {"quantization_config": {"product": {"compression": "x4"}}},
    ),
    "a vector": (
        {"vectors": {"one": {"hnsw_config": {"m": 8}, "on_disk": False}}},
        {"params": {"vectors": {"one": {"hnsw_config": {"m": 8}, "on_disk": False, "size": 4}}}},
    ),
    "a sparse vector": (
        {"sparse_vectors": {"words": {"index": {"on_disk": False}}}},
        {"params": {"sparse_vectors": {"words": {"index": {"on_disk": False}, "modifier": "idf"}}}},
    ),
    "metadata": ({"metadata": {"more": 1}}, {"metadata": {"owner": {"team": "search"}, "more": 1}}),
}


@pytest.mark.parametrize("name", PATCHES)
async def test_a_patch_changes_what_it_names_and_no_more(qdrant: Qdrant, name: str) -> None:
    patch, expected = PATCHES[name]
    await qdrant.create(**GIVEN)
    assert await qdrant.result("PATCH", "", patch) is True
    assert not differences((await qdrant.result("GET", ""))["config"], expected)


@pytest.mark.parametrize("vectors", [{"none": {"on_disk": True}}, {"": {"on_disk": True}}])
async def test_a_vector_that_is_not_there_cannot_be_changed(qdrant: Qdrant, vectors: Json) -> None:
    await qdrant.create(**GIVEN)
    status, message = await qdrant.refusal("PATCH", "", {"vectors": vectors})
    assert status == 400
    assert "not specified in config" in message


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"hnsw_config": {"ef_construct": 3}}, "ef_construct"),
        ({"strict_mode_config": {"read_rate_limit": 0}}, "read_rate_limit"),
        ({"optimizers_config": {"vacuum_min_vector_number": 1}}, "vacuum_min_vector_number"),
        ({"shard_number": 0}, "shard_number"),
    ],
)
async def test_a_setting_out_of_its_range_is_refused_by_its_name(
    qdrant: Qdrant, settings: Json, field: str
) -> None:
    body = {"vectors": {"size": 2, "distance": "Dot"}, **settings}
    status, message = await qdrant.refusal("PUT", "", body)
    assert status == 422
    assert field in message


INDEXES: dict[str, tuple[Any, Json]] = {
    "by its type": ("keyword", {"data_type": "keyword"}),
    "of tenants": (
        {"type": "keyword", "is_tenant": True, "on_disk": True},
        {"data_type": "keyword", "params": {"type": "keyword", "is_tenant": True, "on_disk": True}},
    ),
    "of whole numbers": (
        {"type": "integer", "lookup": True, "range": False},
        {
            "data_type": "integer",
            "params": {"type": "integer", "lookup": True, "range": False, "is_principal": None},
        },
    ),
    "of text": (
        {"type": "text", "tokenizer": "prefix", "min_token_len": 2, "lowercase": True},
        {
            "data_type": "text",
            "params": {"type": "text", "tokenizer": "prefix", "min_token_len": 2, "lowercase": True},
        },
    ),
    "of words in phrases": (
        {"type": "text", "phrase_matching": True, "stopwords": "english"},
        {
            "data_type": "text",
            "params": {"type": "text", "tokenizer": "word", "phrase_matching": True, "stopwords": "english"},
        },
    ),
    **{kind: (kind, {"data_type": kind}) for kind in ("float", "bool", "geo", "datetime", "uuid")},
}


@pytest.mark.parametrize("name", INDEXES)
async def test_an_index_is_shown_with_its_parameters_and_the_points_in_it(qdrant: Qdrant, name: str) -> None:
    schema, expected = INDEXES[name]
    await qdrant.create()
    await qdrant.index("field", schema)
    assert (await qdrant.result("GET", ""))["payload_schema"] == {"field": expected | {"points": 0}}
    await qdrant.result("DELETE", "/index/field?wait=true")
    assert (await qdrant.result("GET", ""))["payload_schema"] == {}


async def test_only_points_that_have_the_field_are_in_its_index(qdrant: Qdrant) -> None:
    await qdrant.create()
    await qdrant.index("word", "keyword")
    await qdrant.upsert({"id": 1, "payload": {"word": "a"}}, {"id": 2})
    assert (await qdrant.result("GET", ""))["payload_schema"]["word"]["points"] == 1


async def test_settings_aliases_and_acknowledged_writes_outlive_a_kill(tmp_path: Path) -> None:
    """In the middle of writes, of which only the acknowledged have to be there."""
    acknowledged: list[int] = []

    async def write(qdrant: Qdrant) -> None:
        for number in range(1, 10_000):
            vector = {"one": [1.0] * 4, "words": {"indices": [number], "values": [1.0]}}
            await qdrant.upsert({"id": number, "vector": vector, "payload": {"n": number}})
            acknowledged.append(number)

    async with QdrantProcess(tmp_path) as process, httpx.AsyncClient(base_url=process.url) as http:
        qdrant = Qdrant(http, "docs and more")
        await qdrant.create(**GIVEN)
        await qdrant.index("n", "integer")
        alias = {"create_alias": {"collection_name": qdrant.name, "alias_name": "other"}}
        await qdrant.result("POST", "//collections/aliases", {"actions": [alias]})
        before = await qdrant.result("GET", "")
        writing = asyncio.create_task(write(qdrant))
        while len(acknowledged) < 50:  # noqa: ASYNC110 - the writer has no event for it
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        with pytest.raises(httpx.TransportError):
            await writing
        await process.start()
        after = await qdrant.result("GET", "")
        assert after["config"] == before["config"]
        assert after["payload_schema"]["n"]["data_type"] == "integer"
        found = await qdrant.result("POST", "//collections/other/points", {"ids": acknowledged})
        assert [point["id"] for point in found] == acknowledged
        nearest = {"query": {"indices": [acknowledged[-1]], "values": [1.0]}, "using": "words"}
        assert (await qdrant.result("POST", "/points/query", nearest))["points"]
