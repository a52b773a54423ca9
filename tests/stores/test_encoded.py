"""A side that makes its own vectors of its records' texts, whatever vectors they come with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from shardroute.encoding import Encoder
from shardroute.errors import EncoderMismatch, EncoderUnavailable, InvalidRecord
from shardroute.filters import Filter, parse
from shardroute.ports import Change, Store
from shardroute.records import Query, Record, SparseVector
from shardroute.stores.encoded import EncodedStore
from shardroute.stores.memory import MemoryStore
from shardroute.topology import Place, Placement, Topology
from tests.support.encoders import LARGE, Model, is_large, misshapen

TOPOLOGY = Topology(
    "v2", 1, Placement("b", "docs"), LARGE, encoder="models:large", source_field="text", encoder_batch=8
)
PLACE = TOPOLOGY.place("acme")


@pytest.fixture
def model() -> Model:
    return Model(LARGE, "large")


@pytest.fixture
def store(model: Model) -> EncodedStore:
    return EncodedStore(MemoryStore("b"), Encoder(TOPOLOGY, model))


def note(name: str, text: str, **more: Any) -> Record:
    return Record(name, metadata={"text": text, **more})


async def held(store: EncodedStore, name: str) -> Record:
    return (await store.fetch(PLACE, [name]))[name]


def test_it_is_a_store(store: EncodedStore) -> None:
    as_store: Store = store
    inner = store.inner
    assert (as_store.name, as_store.system, as_store.address) == (inner.name, inner.system, inner.address)
    assert (as_store.lag, as_store.can_insert_only) == (inner.lag, inner.can_insert_only)


async def test_a_record_gets_the_vector_of_its_text(store: EncodedStore) -> None:
    words = SparseVector([1], [1.0])
    await store.upsert(PLACE, [Record("a", metadata={"text": "some words", "n": 1}, sparse_vector=words)])
    found = await held(store, "a")
    assert is_large(found)
    assert found.metadata == {"text": "some words", "n": 1}
    assert found.sparse_vector is words


async def test_the_vector_that_a_record_comes_with_is_left_aside(store: EncodedStore) -> None:
    for size in (LARGE, LARGE - 4):
        await store.upsert(PLACE, [Record("a", [1.0] * size, {"text": "of another model"})])
        assert is_large(await held(store, "a"))


async def test_what_is_there_stays_when_only_new_records_are_wanted(store: EncodedStore) -> None:
    await store.upsert(PLACE, [note("a", "first")])
    await store.upsert(PLACE, [note("a", "second"), note("b", "second")], insert_only=True)
    assert (await held(store, "a")).metadata == {"text": "first"}
    assert (await held(store, "b")).metadata == {"text": "second"}


async def test_an_update_of_the_text_is_one_of_the_vector(store: EncodedStore) -> None:
    await store.upsert(PLACE, [note("a", "before", n=1), note("b", "before")])
    changes = [Change("b", {"n": 2}), Change("a", {"text": "after"}), Change("missing", {"text": "nowhere"})]
    await store.update(PLACE, changes)
    assert (await held(store, "a")).metadata == {"text": "after", "n": 1}
    assert is_large(await held(store, "a"))
    assert is_large(await held(store, "b"))
    assert await store.count(PLACE) == 2


async def test_an_update_of_anything_else_asks_no_model(store: EncodedStore, model: Model) -> None:
    await store.upsert(PLACE, [note("a", "before")])
    model.asked.clear()
    await store.update(PLACE, [Change("a", {"n": 2}), Change("a", vector=[1.0] * LARGE)])
    assert model.asked == []
    assert is_large(await held(store, "a"))


async def test_a_query_by_text_is_one_by_its_vector(store: EncodedStore) -> None:
    await store.upsert(PLACE, [note(name, f"about {name}", n=1) for name in ("cats", "dogs", "cars")])
    (first, *_) = await store.query(PLACE, Query(None, 2, parse({"n": 1}), text="about dogs"))
    assert first.id == "dogs"
    assert first.score == pytest.approx(1, abs=1e-6)


async def test_a_query_without_a_text_passes_through(store: EncodedStore, model: Model) -> None:
    await store.upsert(PLACE, [Record("a", metadata={"text": "x"}, sparse_vector=SparseVector([1], [1.0]))])
    model.asked.clear()
    found = await store.query(PLACE, Query(None, sparse_vector=SparseVector([1], [2.0])))
    assert [match.id for match in found] == ["a"]
    assert model.asked == []


@pytest.mark.parametrize("metadata", [{}, {"text": None}, {"text": 7}])
async def test_a_record_without_a_text_is_named_and_nothing_is_written(
    store: EncodedStore, metadata: dict[str, Any]
) -> None:
    record = Record("blank", metadata=metadata)
    assert "'text'" in str(store.misfit(PLACE, record))
    with pytest.raises(InvalidRecord, match=r"'blank'.*'text'"):
        await store.upsert(PLACE, [note("a", "fine"), record])
    assert await store.count(PLACE) == 0


async def test_a_text_that_is_taken_away_is_refused(store: EncodedStore) -> None:
    await store.upsert(PLACE, [note("a", "before")])
    with pytest.raises(InvalidRecord, match=r"'a'.*'text'"):
        await store.update(PLACE, [Change("a", {"text": None})])
    assert (await held(store, "a")).metadata == {"text": "before"}


class Picky(MemoryStore):
    """Holds dense vectors and short texts only, and evaluates no filter."""

    def misfit(self, place: Place, record: Record) -> str | None:
        if record.vector is None or record.vector.size != place.dimension:
            return "no dense vector"
        return "too long" if len(record.metadata["text"]) > 3 else None

    def filter_misfit(self, condition: Filter) -> str | None:
        return "no filters"


def test_what_the_inner_store_cannot_do_is_said_as_it_says_it(model: Model) -> None:
    store = EncodedStore(Picky("b"), Encoder(TOPOLOGY, model))
    assert store.misfit(PLACE, note("a", "long")) == "too long"
    assert store.misfit(PLACE, note("a", "ok")) is None
    condition = parse({"n": 1})
    assert condition is not None
    assert store.filter_misfit(condition) == "no filters"


async def test_an_encoder_that_fails_leaves_nothing_written(store: EncodedStore, model: Model) -> None:
    with model.away(), pytest.raises(EncoderUnavailable):
        await store.upsert(PLACE, [note("a", "x")])
    assert await store.count(PLACE) == 0


async def test_vectors_of_another_dimension_are_never_written() -> None:
    store = EncodedStore(MemoryStore("b"), Encoder(TOPOLOGY, misshapen))
    with pytest.raises(EncoderMismatch, match=rf"\(1, {LARGE + 1}\); \(1, {LARGE}\)"):
        await store.upsert(PLACE, [note("a", "x")])
    assert await store.count(PLACE) == 0


async def test_a_text_without_a_direction_is_named_under_cosine() -> None:
    store = EncodedStore(MemoryStore("b"), Encoder(TOPOLOGY, lambda texts: np.zeros((len(texts), LARGE))))
    with pytest.raises(InvalidRecord, match="'empty', encoded: a zero vector"):
        await store.upsert(PLACE, [note("empty", "")])


def test_one_write_is_at_most_one_round_of_the_encoder(store: EncodedStore) -> None:
    assert store.limits.upsert_records == store.limits.best_upsert_records == 8 * TOPOLOGY.encoder_concurrency
    assert store.limits.fetch_ids == store.inner.limits.fetch_ids


async def test_more_than_the_limit_is_written_all_the_same(store: EncodedStore) -> None:
    """Debt is paid in batches of its own size."""
    await store.upsert(PLACE, [note(f"r{number}", f"text {number}") for number in range(100)])
    assert await store.count(PLACE) == 100


async def test_everything_else_passes_through(store: EncodedStore, model: Model) -> None:
    await store.upsert(PLACE, [note("a", "x"), note("b", "y")])
    model.asked.clear()
    await asyncio.gather(store.prepare(PLACE), store.ping(), store.fresh(PLACE))
    described = await store.describe(PLACE)
    assert described is not None
    assert described.dimension == LARGE
    assert await _names(store.tenants(TOPOLOGY.placement, TOPOLOGY.collections())) == ["acme"]
    assert [one.id for one in (await store.scan(PLACE, condition=parse({"text": "y"}))).records] == ["b"]
    await store.delete(PLACE, ["a"])
    assert await store.count(PLACE) == 1
    await store.remove(PLACE, ["b"], "mark")
    assert await store.count(PLACE) == 0
    await store.aclose()
    assert model.asked == []


async def _names(found: AsyncIterator[str]) -> list[str]:
    return [name async for name in found]
