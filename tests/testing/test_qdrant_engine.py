"""What Qdrant's engine does with points, filters and queries, seen through the test server and through a real one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shardroute.testing._qdrant_numbers import as_read
from tests.testing.qdrants import SERVERS, Json, Qdrant, opened


@pytest.fixture(params=SERVERS)
async def qdrant(request: pytest.FixtureRequest) -> AsyncIterator[Qdrant]:
    async with opened(request.param) as running:
        yield running


POINTS: list[Json] = [
    {"id": 1, "payload": {"n": 1, "word": "red", "when": "2024-01-01T00:00:00Z", "on": True}},
    {"id": 2, "payload": {"n": 2.5, "word": ["red", "blue"], "when": "2025-01-01", "on": False}},
    {"id": 3, "payload": {"n": 1.0, "word": "green", "place": {"lon": 13.4, "lat": 52.5}, "none": None}},
    {"id": 4, "payload": {"offers": [{"price": 5, "sold": True}, {"price": 9, "sold": False}], "none": []}},
    {"id": 5, "payload": {"offers": [{"price": 9, "sold": True}], "on": [True, 7]}},
]
CONDITIONS: dict[str, tuple[Json, list[int]]] = {
    "a word": ({"key": "word", "match": {"value": "red"}}, [1, 2]),
    "true is not one": ({"key": "on", "match": {"value": True}}, [1, 5]),
    "one is not true": ({"key": "on", "match": {"value": 1}}, []),
    "a whole number is not that float": ({"key": "n", "match": {"value": 1}}, [1]),
    "any of them": ({"key": "word", "match": {"any": ["green", "blue"]}}, [2, 3]),
    "none of none": ({"key": "word", "match": {"any": []}}, []),
    "except": ({"key": "word", "match": {"except": ["red"]}}, [2, 3]),
    "text": ({"key": "word", "match": {"text": "red"}}, [1, 2]),
    "a range": ({"key": "n", "range": {"gte": 1, "lt": 2.5}}, [1, 3]),
    "times": ({"key": "when", "range": {"gt": "2024-06-01"}}, [2]),
    "a circle": (
        {"key": "place", "geo_radius": {"center": {"lon": 13.4, "lat": 52.4}, "radius": 20000}},
        [3],
    ),
    "a box": (
        {
            "key": "place",
            "geo_bounding_box": {"top_left": {"lon": 13, "lat": 53}, "bottom_right": {"lon": 14, "lat": 52}},
        },
        [3],
    ),
    "how many values": ({"key": "word", "values_count": {"gte": 2}}, [2]),
    "empty": ({"is_empty": {"key": "none"}}, [1, 2, 3, 4, 5]),
    "null": ({"is_null": {"key": "none"}}, [3]),
    "ids": ({"has_id": [2, 99]}, [2]),
    "a vector": ({"has_vector": ""}, [1, 2, 3, 4, 5]),
    "one element has both": (
        {
            "nested": {
                "key": "offers",
                "filter": {
                    "must": [
                        {"key": "price", "match": {"value": 9}},
                        {"key": "sold", "match": {"value": True}},
                    ]
                },
            }
        },
        [5],
    ),
    "each in an element": ({"key": "offers[].price", "match": {"value": 5}}, [4]),
    "two of three": (
        {
            "min_should": {
                "conditions": [
                    {"key": "word", "match": {"value": "red"}},
                    {"key": "on", "match": {"value": False}},
                    {"key": "n", "range": {"gt": 0}},
                ],
                "min_count": 2,
            }
        },
        [1, 2],
    ),
    "not": ({"must_not": [{"key": "word", "match": {"value": "red"}}]}, [3, 4, 5]),
}


@pytest.mark.parametrize("name", CONDITIONS)
async def test_a_condition_matches_these_points(qdrant: Qdrant, name: str) -> None:
    condition, expected = CONDITIONS[name]
    await qdrant.create()
    await qdrant.upsert(*POINTS)
    assert await qdrant.ids(condition) == expected


async def test_a_point_that_is_there_is_replaced_kept_or_required_as_the_mode_says(qdrant: Qdrant) -> None:
    await qdrant.create()
    await qdrant.upsert({"id": 1, "payload": {"v": "old"}})
    for mode, expected in (("insert_only", {1: "old", 2: "new"}), ("update_only", {1: "new", 2: "new"})):
        both = [{"id": 1, "payload": {"v": "new"}}, {"id": 2, "payload": {"v": "new"}}]
        await qdrant.upsert(*both, {"id": 3} if mode == "update_only" else both[1], update_mode=mode)
        found = {point["id"]: point["payload"]["v"] for point in await qdrant.points(1, 2, 3)}
        assert found == expected


async def test_an_update_filter_guards_what_is_there_and_not_what_is_new(qdrant: Qdrant) -> None:
    await qdrant.create()
    await qdrant.upsert({"id": 1, "payload": {"v": 1}}, {"id": 2, "payload": {"v": 2}})
    guard = {"must": [{"key": "v", "match": {"value": 1}}]}
    await qdrant.upsert(*({"id": each, "payload": {"v": 9}} for each in (1, 2, 3)), update_filter=guard)
    assert {point["id"]: point["payload"]["v"] for point in await qdrant.points(1, 2, 3)} == {
        1: 9,
        2: 2,
        3: 9,
    }


VECTORS: dict[str, tuple[Json, Any, Any]] = {
    "unit length under cosine": ({"size": 2, "distance": "Cosine"}, [3.0, 4.0], [0.6, 0.8]),
    "as it is under dot": ({"size": 2, "distance": "Dot"}, [0.1, 3e8], [0.1, 3e8]),
    "half precision": ({"size": 2, "distance": "Dot", "datatype": "float16"}, [0.1, 1.0], [0.099975586, 1.0]),
    "bytes": ({"size": 2, "distance": "Dot", "datatype": "uint8"}, [7, 255], [7.0, 255.0]),
    "several": (
        {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
        [[1.0, 2.0], [3.0, 4.0], [0.5, 0.5]],
        [[1.0, 2.0], [3.0, 4.0], [0.5, 0.5]],
    ),
}


@pytest.mark.parametrize("name", VECTORS)
async def test_a_vector_is_read_back_as_it_is_stored(qdrant: Qdrant, name: str) -> None:
    params, given, expected = VECTORS[name]
    await qdrant.create(vectors=params)
    await qdrant.upsert({"id": 1, "vector": given})
    [found] = await qdrant.points(1)
    assert found["vector"] == pytest.approx(expected) if name != "several" else found["vector"] == expected


async def test_whole_numbers_of_64_bits_are_kept_and_floats_stay_floats(qdrant: Qdrant) -> None:
    payload = {"most": 2**64 - 1, "least": -(2**63), "float": 1.0, "deep": [{"a": None}, [], ""]}
    await qdrant.create()
    await qdrant.upsert({"id": 1, "payload": payload})
    [found] = await qdrant.points(1)
    assert found["payload"] == payload
    assert isinstance(found["payload"]["float"], float)


@pytest.mark.parametrize(
    "number", [0.9452706955539223, 1735689600.123456, 1e-300, -9.948332881384304e-08, 0.1]
)
async def test_a_float_is_parsed_when_it_comes_and_when_it_is_read(qdrant: Qdrant, number: float) -> None:
    """By a parser that rounds twice: of seventeen digits, the last may be another then."""
    await qdrant.create()
    await qdrant.upsert({"id": 1, "payload": {"n": number}})
    [found] = await qdrant.points(1)
    assert found["payload"]["n"] == as_read(as_read(number)) == pytest.approx(number, rel=1e-15)


async def test_a_bound_is_parsed_as_the_values_are(qdrant: Qdrant) -> None:
    number = 0.9452706955539223
    assert as_read(number) != number
    await qdrant.create()
    await qdrant.upsert({"id": 1, "payload": {"n": number}})
    assert await qdrant.ids({"key": "n", "range": {"gte": number, "lte": number}}) == [1]


def sparse(**weights: float) -> Json:
    return {"indices": [int(name[1:]) for name in weights], "values": list(weights.values())}


@pytest.mark.parametrize("modifier", [None, "idf"])
async def test_rare_words_count_more_with_the_idf_modifier(qdrant: Qdrant, modifier: str | None) -> None:
    await qdrant.create(sparse_vectors={"words": {} if modifier is None else {"modifier": modifier}})
    common = [{"id": each, "vector": {"words": sparse(i1=1.0)}} for each in (1, 2, 4, 5, 6)]
    await qdrant.upsert(*common, {"id": 3, "vector": {"words": sparse(i2=0.9)}})
    wanted = {"query": sparse(i1=1.0, i2=1.0), "using": "words", "limit": 1}
    [best] = (await qdrant.result("POST", "/points/query", wanted))["points"]
    assert (best["id"] == 3) is (modifier == "idf")


async def test_several_vectors_are_compared_by_the_best_of_each(qdrant: Qdrant) -> None:
    config = {"comparator": "max_sim"}
    await qdrant.create(vectors={"size": 2, "distance": "Dot", "multivector_config": config})
    await qdrant.upsert({"id": 1, "vector": [[1.0, 0.0], [0.0, 1.0]]}, {"id": 2, "vector": [[0.8, 0.8]]})
    found = await qdrant.result("POST", "/points/query", {"query": [[2.0, 0.0], [0.0, 3.0]]})
    assert [(point["id"], round(point["score"], 3)) for point in found["points"]] == [(1, 5.0), (2, 4.0)]


@pytest.mark.parametrize(
    ("distance", "score"), [("Dot", 11.0), ("Cosine", 0.984), ("Euclid", 2.828), ("Manhattan", 4.0)]
)
async def test_scores_are_those_of_the_metric(qdrant: Qdrant, distance: str, score: float) -> None:
    await qdrant.create(vectors={"size": 2, "distance": distance})
    await qdrant.upsert({"id": 1, "vector": [1.0, 2.0]})
    [found] = (await qdrant.result("POST", "/points/query", {"query": [3.0, 4.0]}))["points"]
    assert found["score"] == pytest.approx(score, abs=1e-3)


QUERIES: dict[str, tuple[Json, list[int]]] = {
    "nearest": ({"query": [0.0, 1.0], "limit": 2}, [4, 3]),
    "past the first": ({"query": [0.0, 1.0], "limit": 2, "offset": 1}, [3, 2]),
    "near a point, without it": ({"query": 4, "limit": 2}, [3, 2]),
    "like these and not that": (
        {"query": {"recommend": {"positive": [1, 2], "negative": [4], "strategy": "best_score"}}, "limit": 1},
        [3],
    ),
    "like their average": ({"query": {"recommend": {"positive": [3], "negative": [1]}}, "limit": 1}, [4]),
    "above a score": ({"query": [0.0, 1.0], "score_threshold": 2.5}, [4]),
    "by a field": ({"query": {"order_by": {"key": "n", "direction": "desc"}}, "limit": 2}, [1, 2]),
    "two ranks in one": (
        {
            "prefetch": [{"query": [0.0, 1.0], "limit": 2}, {"query": {"order_by": "n"}, "limit": 1}],
            "query": {"fusion": "rrf"},
            "limit": 1,
        },
        [4],
    ),
    "by a formula": (
        {
            "prefetch": {"query": [0.0, 1.0], "limit": 4},
            "query": {"formula": {"sum": ["$score", {"mult": [10.0, "n"]}]}},
            "limit": 1,
        },
        [1],
    ),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_finds_these_points_in_this_order(qdrant: Qdrant, name: str) -> None:
    query, expected = QUERIES[name]
    await qdrant.create()
    await qdrant.upsert(*({"id": each, "payload": {"n": 5 - each}} for each in (1, 2, 3, 4)))
    await qdrant.index("n", "integer")
    found = await qdrant.result("POST", "/points/query", query)
    assert [point["id"] for point in found["points"]] == expected


async def test_a_scroll_goes_through_numbers_and_then_uuids(qdrant: Qdrant) -> None:
    ids = [1, 20, 2**63, "0" * 8 + "-0000-0000-0000-" + "0" * 12, "f" * 8 + "-ffff-ffff-ffff-" + "f" * 12]
    await qdrant.create()
    await qdrant.upsert(*({"id": each} for each in reversed(ids)))
    seen: list[Any] = []
    offset: Any = None
    while True:
        page = await qdrant.result("POST", "/points/scroll", {"limit": 2, "offset": offset})
        seen += [point["id"] for point in page["points"]]
        if (offset := page["next_page_offset"]) is None:
            break
    assert seen == ids


async def test_a_facet_counts_values_and_needs_an_index(qdrant: Qdrant) -> None:
    await qdrant.create()
    await qdrant.upsert(*({"id": each, "payload": {"word": "ab"[each % 2]}} for each in (1, 2, 3)))
    assert (await qdrant.refusal("POST", "/facet", {"key": "word"}))[0] == 400
    await qdrant.index("word", "keyword")
    hits = (await qdrant.result("POST", "/facet", {"key": "word", "exact": True}))["hits"]
    assert hits == [{"value": "b", "count": 2}, {"value": "a", "count": 1}]


async def test_a_named_vector_can_be_added_and_removed(qdrant: Qdrant) -> None:
    await qdrant.create(vectors={"one": {"size": 2, "distance": "Dot"}})
    await qdrant.upsert({"id": 1, "vector": {"one": [1.0, 2.0]}})
    await qdrant.result("PUT", "/vectors/two?wait=true", {"dense": {"size": 1, "distance": "Dot"}})
    await qdrant.upsert({"id": 2, "vector": {"one": [1.0, 2.0], "two": [3.0]}})
    assert [point["vector"] for point in await qdrant.points(1, 2)] == [
        {"one": [1.0, 2.0]},
        {"one": [1.0, 2.0], "two": [3.0]},
    ]
    await qdrant.result("DELETE", "/vectors/two?wait=true")
    assert list((await qdrant.result("GET", ""))["config"]["params"]["vectors"]) == ["one"]


async def test_an_alias_stands_for_its_collection_until_it_is_moved(qdrant: Qdrant) -> None:
    alias, newer = f"{qdrant.name}a", f"{qdrant.name}n"
    create = {"create_alias": {"collection_name": qdrant.name, "alias_name": alias}}
    await qdrant.create()
    await qdrant.upsert({"id": 1})
    assert await qdrant.result("POST", "//collections/aliases", {"actions": [create]}) is True
    shown = await qdrant.result("GET", "/aliases")
    assert shown == {"aliases": [{"alias_name": alias, "collection_name": qdrant.name}]}
    assert shown["aliases"][0] in (await qdrant.result("GET", "//aliases"))["aliases"]
    assert (await qdrant.result("POST", f"//collections/{alias}/points/count", {}))["count"] == 1
    assert alias not in [
        each["name"] for each in (await qdrant.result("GET", "//collections"))["collections"]
    ]
    renamed = {"rename_alias": {"old_alias_name": alias, "new_alias_name": newer}}
    await qdrant.result("POST", "//collections/aliases", {"actions": [renamed]})
    status, message = await qdrant.refusal("GET", f"//collections/{alias}")
    assert (status, message) == (404, f"Not found: Collection `{alias}` doesn't exist!")
    assert (await qdrant.result("GET", f"//collections/{newer}/exists")) == {"exists": True}
    taken = {"create_alias": {"collection_name": qdrant.name, "alias_name": qdrant.name}}
    assert (await qdrant.refusal("POST", "//collections/aliases", {"actions": [taken]}))[0] == 409
    await qdrant.result("DELETE", "")
    assert (await qdrant.result("GET", f"//collections/{newer}/exists")) == {"exists": False}


async def test_a_write_that_is_not_waited_for_is_acknowledged_even_if_it_fails(qdrant: Qdrant) -> None:
    await qdrant.create()
    body = {"payload": {"a": 1}, "points": [777]}
    assert (await qdrant.result("POST", "/points/payload", body))["status"] == "acknowledged"
    status, message = await qdrant.refusal("POST", "/points/payload?wait=true", body)
    assert (status, message) == (404, "Not found: No point with id 777 found")


WRONG: dict[str, tuple[str, str, Any, int]] = {
    "dimension": ("PUT", "/points?wait=true", {"points": [{"id": 1, "vector": [1.0]}]}, 400),
    "dimension, not waited for": ("PUT", "/points", {"points": [{"id": 1, "vector": [1.0]}]}, 400),
    "vector's name": ("PUT", "/points?wait=true", {"points": [{"id": 1, "vector": {"no": [1.0]}}]}, 400),
    "query's dimension": ("POST", "/points/query", {"query": [1.0]}, 400),
    "query's vector": ("POST", "/points/query", {"query": [1.0, 1.0], "using": "no"}, 400),
    "id": ("PUT", "/points?wait=true", {"points": [{"id": "no uuid", "vector": [1.0, 1.0]}]}, 400),
    "nothing to write": ("PUT", "/points?wait=true", {"points": []}, 400),
    "nothing selected": ("POST", "/points/payload?wait=true", {"payload": {"a": 1}}, 400),
    "limit": ("POST", "/points/scroll", {"limit": 0}, 422),
    "order without an index": ("POST", "/points/scroll", {"order_by": "n"}, 400),
    "offset with an order": ("POST", "/points/scroll", {"order_by": "n", "offset": 1}, 400),
    "point to go by": ("POST", "/points/query", {"query": 9}, 404),
    "name": ("PUT", "//collections/a%3Ab", {"vectors": {"size": 2, "distance": "Dot"}}, 422),
    "size": ("PUT", "//collections/never", {"vectors": {"size": 65537, "distance": "Dot"}}, 422),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_refused_with_this_status(qdrant: Qdrant, name: str) -> None:
    method, path, body, status = WRONG[name]
    await qdrant.create()
    assert (await qdrant.refusal(method, path, body))[0] == status
    assert (await qdrant.result("POST", "/points/count", {}))["count"] == 0
