"""What every store does. Each test is one sentence of `ports.Store`, and runs on every store there is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardroute.errors import InvalidRecord, LockLost
from shardroute.filters import All, AnyOf, Equals, Exists, Filter, Not, Range, matches, parse
from shardroute.permits import Permit, needing
from shardroute.ports import Change
from shardroute.records import Metric, Query, Record, difference, same_metadata, same_vector
from shardroute.topology import TenancyKind

from .conftest import Case, pages, sparse, unit

METADATA: Mapping[str, Any] = {
    "text": "grüß dich",
    "whole": 42,
    "real": 1.5,
    "yes": True,
    "words": ["a", "b"],
    "nothing": None,
    "none of it": [],
    "a.b": {"c": [1, {"d": None}]},
}


async def test_what_was_written_is_read_back_whole(case: Case) -> None:
    place = await case.prepared("acme")
    written = case.record(1, case.fitting(METADATA))
    await case.store.upsert(place, [written])
    read = (await case.store.fetch(place, [written.id]))[written.id]
    assert difference(written, read, Metric.COSINE) is None
    assert read.vector is not None
    assert read.vector.dtype == np.float32


async def test_a_sparse_vector_is_read_back_beside_the_dense_one(case: Case) -> None:
    if not case.has_sparse:
        pytest.skip(reason="this placement has no sparse vectors")
    place = await case.prepared("acme")
    written = Record(case.id(1), unit(1), sparse_vector=sparse(i7=0.5, i2=2.0))
    await case.store.upsert(place, [written, case.record(2)])
    read = await case.everything(place)
    assert difference(written, read[case.id(1)], Metric.COSINE) is None
    assert read[case.id(2)].sparse_vector is None


async def test_a_record_may_have_a_sparse_vector_only(case: Case) -> None:
    if not case.has_sparse:
        pytest.skip(reason="this placement has no sparse vectors")
    place = await case.prepared("acme")
    written = Record(case.id(1), sparse_vector=sparse(i7=0.5))
    if case.store.misfit(place, written) is not None:
        with pytest.raises(InvalidRecord):
            await case.store.upsert(place, [written])
        return
    await case.store.upsert(place, [written])
    read = (await case.store.fetch(place, [written.id]))[written.id]
    assert difference(written, read, Metric.COSINE) is None


async def test_fetch_leaves_vectors_out_when_told_to(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"a": 1})])
    read = (await case.store.fetch(place, [case.id(1)], vectors=False))[case.id(1)]
    assert read.vector is None
    assert dict(read.metadata) == {"a": 1}
    assert (await case.store.scan(place, vectors=False)).records[0].vector is None


async def test_upsert_replaces_the_whole_record(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"a": 1, "b": 2})])
    replacement = case.record(1, {"b": 3}, [0.0, 0.0, 1.0, 0.0])
    await case.store.upsert(place, [replacement])
    assert await case.store.count(place) == 1
    read = (await case.store.fetch(place, [case.id(1)]))[case.id(1)]
    assert difference(replacement, read, Metric.COSINE) is None


async def test_what_the_caller_does_to_its_values_afterwards_changes_nothing(case: Case) -> None:
    place = await case.prepared("acme")
    vector, metadata = unit(1).copy(), {"a": 1}
    await case.store.upsert(place, [Record(case.id(1), vector, metadata)])
    vector[:], metadata["a"] = 0.5, 2
    read = (await case.store.fetch(place, [case.id(1)]))[case.id(1)]
    assert same_vector(read.vector, unit(1), Metric.COSINE)
    assert dict(read.metadata) == {"a": 1}


async def test_upserting_nothing_is_allowed(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [])
    await case.store.update(place, [])
    await case.store.delete(place, [])
    assert await case.store.fetch(place, []) == {}
    assert await case.store.count(place) == 0


async def test_insert_only_leaves_records_that_exist_as_they_are(case: Case) -> None:
    if not case.store.can_insert_only:
        pytest.skip(reason="this cluster cannot")
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"v": "old"})])
    batch = [case.record(1, {"v": "new"}), case.record(2, {"v": "new"})]
    await case.store.upsert(place, batch, insert_only=True)
    read = await case.everything(place)
    assert {name: record.metadata["v"] for name, record in read.items()} == {
        case.id(1): "old",
        case.id(2): "new",
    }


async def test_update_merges_metadata_key_by_key_and_leaves_the_vector(case: Case) -> None:
    place = await case.prepared("acme")
    before, after = (["x"], ["y"]) if case.is_pinecone else ({"x": 1}, {"y": 2})
    await case.store.upsert(place, [case.record(1, {"a": 1, "b": before})])
    await case.store.update(place, [Change(case.id(1), metadata={"b": after, "c.d": 3})])
    read = (await case.store.fetch(place, [case.id(1)]))[case.id(1)]
    assert same_metadata(read.metadata, {"a": 1, "b": after, "c.d": 3})
    assert same_vector(read.vector, unit(1), Metric.COSINE)


async def test_a_null_in_an_update_removes_the_key(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"a": 1, "b": 2})])
    if case.setup.backend == "pinecone-vectors":
        with pytest.raises(InvalidRecord, match="cannot remove 'a'"):
            await case.store.update(place, [Change(case.id(1), metadata={"a": None})])
        return
    await case.store.update(place, [Change(case.id(1), metadata={"a": None, "c": None})])
    assert dict((await case.store.fetch(place, [case.id(1)]))[case.id(1)].metadata) == {"b": 2}


async def test_update_of_the_vector_leaves_the_metadata(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"a": 1}), case.record(2, {"a": 2})])
    await case.store.update(place, [Change(case.id(1), vector=[0.0, 1.0, 0.0, 0.0])])
    read = await case.everything(place)
    assert same_vector(read[case.id(1)].vector, np.array([0, 1, 0, 0], np.float32), Metric.COSINE)
    assert dict(read[case.id(1)].metadata) == {"a": 1}
    assert same_vector(read[case.id(2)].vector, unit(2), Metric.COSINE)


async def test_update_of_the_sparse_vector_leaves_the_dense_one(case: Case) -> None:
    if not case.has_sparse:
        pytest.skip(reason="this placement has no sparse vectors")
    place = await case.prepared("acme")
    await case.store.upsert(place, [Record(case.id(1), unit(1), {"a": 1}, sparse(i1=1.0))])
    await case.store.update(place, [Change(case.id(1), sparse_vector=sparse(i2=1.0))])
    read = (await case.store.fetch(place, [case.id(1)]))[case.id(1)]
    assert difference(Record(case.id(1), unit(1), {"a": 1}, sparse(i2=1.0)), read, Metric.COSINE) is None


async def test_update_passes_over_ids_that_are_not_there(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1, {"a": 1}), case.record(2)])
    changes = [
        Change(case.id(9), metadata={"a": 9}, vector=unit(9)),
        Change(case.id(1), metadata={"a": 2}, vector=unit(5)),
        Change(case.id(8), vector=unit(9)),
    ]
    await case.store.update(place, changes)
    await case.store.update(place, [Change(case.id(7), vector=unit(7))])
    await case.store.update(place, [Change(case.id(7), metadata={"a": 7})])
    read = await case.everything(place)
    assert set(read) == {case.id(1), case.id(2)}
    assert dict(read[case.id(1)].metadata) == {"a": 2}
    assert same_vector(read[case.id(1)].vector, unit(5), Metric.COSINE)


async def test_update_of_a_deleted_record_does_not_bring_it_back(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1), case.record(2)])
    await case.store.delete(place, [case.id(1)])
    await case.store.update(place, [Change(case.id(1), metadata={"a": 1}, vector=unit(3))])
    assert set(await case.everything(place)) == {case.id(2)}


async def test_delete_passes_over_ids_that_are_not_there(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1), case.record(2)])
    for _ in range(2):
        await case.store.delete(place, [case.id(1), case.id(9)])
    assert set(await case.everything(place)) == {case.id(2)}


async def test_fetch_of_absent_ids_leaves_them_out(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1)])
    assert set(await case.store.fetch(place, [case.id(1), case.id(9), "no such id"])) == {case.id(1)}


async def test_pages_of_a_scan_cover_everything_once_in_one_order(case: Case) -> None:
    place, other = await case.prepared("acme"), await case.prepared("globex")
    await case.store.upsert(place, [case.record(number) for number in range(23)])
    await case.store.upsert(other, [case.record(number) for number in range(23, 46)])
    first = [[record.id for record in page.records] for page in await pages(case.store, place, 5)]
    second = [[record.id for record in page.records] for page in await pages(case.store, place, 5)]
    assert first == second
    assert max(map(len, first)) <= 5
    names = [name for page in first for name in page]
    assert sorted(names) == sorted(case.id(number) for number in range(23))


async def test_a_cursor_survives_json_and_deletion_of_what_it_points_at(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(number) for number in range(9)])
    order = [record.id for record in (await case.store.scan(place)).records]
    first = await case.store.scan(place, limit=4)
    await case.store.delete(place, [order[3], order[4]])
    cursor = json.loads(json.dumps(first.cursor))
    rest = await case.store.scan(place, cursor=cursor)
    assert [record.id for record in rest.records] == order[5:]
    assert rest.cursor is None


async def test_scan_and_count_keep_to_a_condition(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(number, {"n": number}) for number in range(10)])
    condition = parse({"n": {"$gte": 6}})
    found = await case.store.scan(place, condition=condition)
    assert {record.id for record in found.records} == {case.id(number) for number in range(6, 10)}
    assert await case.store.count(place, condition) == 4
    assert await case.store.count(place) == 10


async def test_a_tenant_without_records_is_empty(case: Case) -> None:
    await case.prepared("globex")
    place = case.place("acme")
    assert await case.store.count(place) == 0
    assert (await case.store.scan(place)).records == []
    assert await case.store.fetch(place, [case.id(1)]) == {}
    assert await case.store.query(place, Query(unit(1))) == []
    await case.store.delete(place, [case.id(1)])
    await case.store.update(place, [Change(case.id(1), {"a": 1}, unit(1))])
    await case.store.remove(place, [case.id(1)], "mark")


async def test_remove_takes_what_it_is_told_to_of_one_tenant_and_nothing_of_others(case: Case) -> None:
    acme, globex = await case.prepared("acme"), await case.prepared("globex")
    for place in (acme, globex):
        await case.store.upsert(place, [case.record(n + 10 * (place is globex)) for n in range(5)])
    await case.store.remove(acme, [case.id(n) for n in range(1, 20)], "mark")
    assert set(await case.everything(acme)) == {case.id(0)}
    assert await case.store.count(globex) == 5


async def test_what_is_written_again_while_it_is_removed_stays(case: Case) -> None:
    if case.is_pinecone:
        pytest.skip(reason="Pinecone has no condition for that (docs/protocol.md, What is not promised)")
    place, asked = await case.prepared("acme"), 0

    async def permitted() -> None:
        """Between the two requests, and of a cluster that is spoken to by REST before each."""
        nonlocal asked
        asked += 1
        if asked == 1 + permit.asks_late:
            await case.store.upsert(place, [case.record(1, {"a": "again"})])

    await case.store.upsert(place, [case.record(1), case.record(2)])
    with needing(permit := Permit(permitted)):
        await case.store.remove(place, [case.id(1), case.id(2)], "mark")
    read = await case.everything(place)
    assert [dict(record.metadata) for record in read.values()] == [{"a": "again"}] * bool(asked)


async def test_readers_do_not_see_the_mark_of_a_purge_that_was_broken_off(case: Case) -> None:
    place = await case.prepared("acme")

    async def refused() -> None:
        if not permit.asks_late or permit.may_have_left:
            raise LockLost("somebody else's")

    await case.store.upsert(place, [case.record(1, {"a": 1})])
    with needing(permit := Permit(refused)), suppress(LockLost):
        await case.store.remove(place, [case.id(1)], "mark")
    found = [*(await case.store.fetch(place, [case.id(1)])).values(), *(await case.store.scan(place)).records]
    assert [dict(record.metadata) for record in found] == [{"a": 1}] * len(found)


async def test_what_was_removed_can_come_back(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1)])
    for _ in range(2):
        await case.store.remove(place, [case.id(1)], "mark")
    await case.store.upsert(place, [case.record(1, {"a": 1}), case.record(2)])
    assert set(await case.everything(place)) == {case.id(1), case.id(2)}


async def test_one_id_of_two_tenants_is_two_records(case: Case) -> None:
    if case.setup.ids == "native" and case.place("a").tenancy.kind is not TenancyKind.COLLECTION:
        pytest.skip(reason="native ids are unique across tenants by the owner's word")
    acme, globex = await case.prepared("acme"), await case.prepared("globex")
    await case.store.upsert(acme, [case.record(1, {"of": "acme"})])
    await case.store.upsert(globex, [case.record(1, {"of": "globex"}), case.record(2)])
    await case.store.update(globex, [Change(case.id(1), {"n": 1}, unit(4))])
    await case.store.delete(acme, [case.id(2)])
    assert {name: dict(r.metadata) for name, r in (await case.everything(acme)).items()} == {
        case.id(1): {"of": "acme"}
    }
    assert set(await case.everything(globex)) == {case.id(1), case.id(2)}
    await case.store.delete(acme, [case.id(1)])
    assert set(await case.everything(globex)) == {case.id(1), case.id(2)}


async def test_another_tenants_id_is_absent(case: Case) -> None:
    acme, globex = await case.prepared("acme"), await case.prepared("globex")
    await case.store.upsert(acme, [case.record(1)])
    await case.store.upsert(globex, [case.record(2, {"v": 1})])
    assert await case.store.fetch(acme, [case.id(2)]) == {}
    await case.store.update(acme, [Change(case.id(2), {"v": 2}, unit(5))])
    await case.store.delete(acme, [case.id(2)])
    left = (await case.store.fetch(globex, [case.id(2)]))[case.id(2)]
    assert difference(case.record(2, {"v": 1}), left, Metric.COSINE) is None


ESCAPES: list[Any] = [
    {"$or": [{"tenant": "globex"}, {"n": {"$gte": 0}}]},
    {"$not": {"tenant": "acme"}},
    {"$or": [{"$not": {"n": 7}}, {"meta.owner": "globex"}]},
    {"$and": [{"tenant": {"$in": ["acme", "globex"]}}]},
    {"$or": [{"tenant": {"$exists": True}}, {"tenant": {"$exists": False}}]},
    {"meta.owner": {"$ne": "acme"}},
    {"__shardroute_id": {"$ne": "x"}},
    {"n": {"$nin": []}},
]


@pytest.mark.parametrize("raw", ESCAPES, ids=json.dumps)
async def test_no_filter_reaches_another_tenant(case: Case, raw: Any) -> None:
    acme, globex = await case.prepared("acme"), await case.prepared("globex")
    await case.store.upsert(acme, [case.record(1, {"n": 1})])
    await case.store.upsert(globex, [case.record(2, {"n": 2})])
    condition = parse(raw)
    expected = {case.id(1)} if matches(condition, {"n": 1}) else set()
    assert {record.id for record in (await case.store.scan(acme, condition=condition)).records} == expected
    assert {match.id for match in await case.store.query(acme, Query(unit(2), filter=condition))} == expected
    assert await case.store.count(acme, condition) == len(expected)


async def test_metadata_cannot_claim_another_tenant(case: Case) -> None:
    acme, globex = await case.prepared("acme"), await case.prepared("globex")
    field = acme.tenancy.field
    record = case.record(1, {field: "globex"})
    if case.store.misfit(acme, record) is None:
        await case.store.upsert(acme, [record])
        await case.store.update(acme, [Change(record.id, {field: "globex"})])
    else:
        with pytest.raises(InvalidRecord, match=field):
            await case.store.upsert(acme, [record])
        await case.store.upsert(acme, [case.record(1)])
        with pytest.raises(InvalidRecord, match=field):
            await case.store.update(acme, [Change(record.id, {field: "globex"})])
    assert await case.store.count(globex) == 0
    assert await case.store.count(acme) == 1


async def test_prepare_and_describe_can_be_repeated(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(1)])
    await case.store.prepare(place)
    described = await case.store.describe(place)
    assert described == await case.store.describe(place)
    assert described is not None
    assert described.dimension == 4
    assert described.metric in (Metric.COSINE, None)
    assert await case.store.count(place) == 1


async def test_what_does_not_exist_is_described_as_none(case: Case) -> None:
    assert await case.store.describe(case.place("acme")) is None


async def test_tenants_are_those_with_records(case: Case) -> None:
    names = ["acme", "globex", "0b0a7b3e5d1c4c5a9d0e2f3a4b5c6d7e"]
    for number, name in enumerate([*names, "purged"]):
        await case.store.upsert(await case.prepared(name), [case.record(number)])
    await case.prepared("prepared-only")
    await case.store.remove(case.place("purged"), [case.id(len(names))], "mark")
    topology = case.topology()
    found = [name async for name in case.store.tenants(topology.placement, topology.collections())]
    assert sorted(found) == sorted(names)


NEIGHBOURS = {
    1: [3.0, 4.0, 0.0, 0.0],
    2: [0.6, 0.7, 0.1, 0.0],
    3: [0.0, 0.0, 1.0, 0.0],
    4: [-1.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("metric", Metric)
async def test_a_query_answers_the_nearest_first_with_portable_scores(case: Case, metric: Metric) -> None:
    place = await case.prepared("acme", metric)
    await case.store.upsert(place, [case.record(n, {"n": n}, v) for n, v in NEIGHBOURS.items()])
    asked = np.array([0.6, 0.8, 0.0, 0.0], np.float32)
    found = await case.store.query(place, Query(asked, top_k=10))
    expected = {
        case.id(number): _score(np.array(vector), asked, metric) for number, vector in NEIGHBOURS.items()
    }
    best = sorted(expected, key=lambda name: expected[name] * (1 if metric is Metric.EUCLIDEAN else -1))
    assert [match.id for match in found] == best
    assert [match.score for match in found] == pytest.approx([expected[name] for name in best], abs=1e-5)
    assert all(case.id(int(match.metadata["n"])) == match.id and match.vector is None for match in found)


def _score(one: Any, two: Any, metric: Metric) -> float:
    match metric:
        case Metric.COSINE:
            return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
        case Metric.DOT:
            return float(one @ two)
        case Metric.EUCLIDEAN:
            return float(np.linalg.norm(one - two))


async def test_a_query_answers_at_most_top_k_and_what_was_asked_for(case: Case) -> None:
    place = await case.prepared("acme")
    await case.store.upsert(place, [case.record(n, {"n": n}) for n in range(5)])
    query = Query(unit(2), top_k=2, include_metadata=False, include_vector=True)
    found = await case.store.query(place, query)
    assert len(found) == 2
    assert found[0].id == case.id(2)
    assert dict(found[0].metadata) == {}
    assert same_vector(found[0].vector, unit(2), Metric.COSINE)
    assert len(await case.store.query(place, Query(unit(2), top_k=1000))) == 5


async def test_a_sparse_query_ranks_by_dot_product(case: Case) -> None:
    if not case.has_sparse:
        pytest.skip(reason="this placement has no sparse vectors")
    place, other = await case.prepared("acme"), await case.prepared("globex")
    weights = [sparse(i1=1.0), sparse(i1=0.5, i2=2.0), sparse(i3=9.0)]
    records = [Record(case.id(n), unit(n), {"n": n}, weight) for n, weight in enumerate(weights)]
    await case.store.upsert(place, records)
    await case.store.upsert(other, [Record(case.id(7), unit(1), {}, sparse(i1=9.0))])
    query = Query(None, sparse_vector=sparse(i1=1.0, i2=1.0))
    found = await case.store.query(place, query)
    assert [(match.id, match.score) for match in found] == [(case.id(1), 2.5), (case.id(0), 1.0)]


async def test_a_query_with_both_vectors_puts_the_best_of_both_first(case: Case) -> None:
    if not case.has_sparse:
        pytest.skip(reason="this placement has no sparse vectors")
    place, other = await case.prepared("acme", Metric.DOT), await case.prepared("globex", Metric.DOT)
    weights = [sparse(i1=0.1), sparse(i1=5.0), sparse(i3=9.0)]
    vectors = [[0.1, 0, 0, 0], [0.9, 0, 0, 0], [0.2, 0, 0, 0]]
    both = zip(vectors, weights, strict=True)
    await case.store.upsert(place, [Record(case.id(n), v, {}, w) for n, (v, w) in enumerate(both)])
    await case.store.upsert(other, [Record(case.id(7), [9, 0, 0, 0], {}, sparse(i1=9.0))])
    query = Query(np.array([1, 0, 0, 0], np.float32), sparse_vector=sparse(i1=1.0))
    found = await case.store.query(place, query)
    assert found[0].id == case.id(1)
    assert {match.id for match in found} == {case.id(n) for n in range(3)}


KEYS = st.sampled_from(["a", "b", "a.b", "a[]", "a[0]", "ключ", "two words", "-", "$x"])
SCALARS = st.one_of(
    st.sampled_from(["x", "y", "", "1", "true"]),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
)
NUMBERS = st.one_of(st.integers(-2, 2), st.sampled_from([-0.5, 0.0, 1.0, 1.5]))
VALUES = st.one_of(
    SCALARS,
    st.none(),
    st.lists(st.one_of(SCALARS, st.none()), max_size=3),
    st.lists(st.lists(SCALARS, max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["b", "c"]), SCALARS, max_size=2),
)
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Equals, KEYS, st.lists(SCALARS, max_size=3).map(tuple)),
    st.builds(Exists, KEYS),
    st.builds(
        lambda key, bound, name: Range(key, **{name: bound}),
        KEYS,
        NUMBERS,
        st.sampled_from(["gt", "gte", "lt", "lte"]),
    ),
    st.builds(lambda key, low, high: Range(key, gte=low, lt=high), KEYS, NUMBERS, NUMBERS),
)
FILTERS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(lambda some: All(tuple(some)), st.lists(parts, max_size=3)),
        st.builds(lambda some: AnyOf(tuple(some)), st.lists(parts, max_size=3)),
    ),
    max_leaves=6,
)
METADATAS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=6)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(metadatas=METADATAS, conditions=st.lists(FILTERS, min_size=3, max_size=3))
async def test_a_filter_means_what_the_reference_says(
    case: Case, metadatas: list[Mapping[str, Any]], conditions: list[Filter]
) -> None:
    metadatas = [_told_apart(case, metadata) for metadata in metadatas]
    place = await case.prepared("acme")
    if held := await case.everything(place):
        await case.store.delete(place, list(held))
    await case.store.upsert(place, [case.record(n, metadata) for n, metadata in enumerate(metadatas)])
    for condition in conditions:
        if (reason := case.store.filter_misfit(condition)) is not None:
            assert case.is_pinecone
            assert "negate a range" in reason
            continue
        expected = {case.id(n) for n, metadata in enumerate(metadatas) if matches(condition, metadata)}
        found = await case.store.query(place, Query(unit(1), top_k=100, filter=condition))
        assert {match.id for match in found} == expected, condition


def _told_apart(case: Case, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pinecone does not say what `$exists` makes of an empty list, and no other filter could tell."""
    fitting = case.fitting(metadata)
    return {key: value for key, value in fitting.items() if not (case.is_pinecone and value == [])}
