"""Records as Pinecone holds them: what fits, what is sent, and in how many requests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest

from shardroute.ports import Change
from shardroute.records import Match, Metadata, Metric, Record, Vector
from shardroute.stores import pinecone_document_records as documents
from shardroute.stores import pinecone_vector_records as vectors
from shardroute.stores.batches import Sized, by_bytes, halves
from shardroute.stores.pinecone_batches import MAX_URL, by_url, one_for_each
from shardroute.stores.pinecone_records import shortest, to_vector, true_distance
from shardroute.topology import Place, Placement, Tenancy, Topology

from .conftest import sparse, unit


def place(**changes: Any) -> Place:
    """A place of four dimensions, cosine, with names for both vectors."""
    placement = Placement("p", "docs", Tenancy.parse("namespace"), vector_name="dense", sparse_name="words")
    return dataclasses.replace(Topology("v1", 1, placement, 4, Metric.COSINE).place("acme"), **changes)


def record(name: str = "a", metadata: Metadata | None = None, vector: Vector | None = None) -> Record:
    return Record.trusted(name, unit(1) if vector is None else vector, metadata or {})


MISFITS: list[tuple[Record, str]] = [
    (record("grüß"), "ASCII"),
    (record("x" * 513), "512"),
    (record("__shardroute_fence__"), "reserved"),
    (record(metadata={"a": None}), "'a' is null"),
    (record(metadata={"a": {"b": 1}}), "'a' is a nested object"),
    (record(metadata={"a": [1]}), "'a' is a list"),
    (record(metadata={"a": ["x", None]}), "'a' is a list"),
    (record(metadata={"a": 2**53 + 1}), "'a' is 9007199254740993"),
    (record(metadata={"a": "x" * 41_000}), "40960"),
    (record(metadata={"a": "\ud800"}), "JSON"),
    (record(metadata={"$a": 1}), "'$a' begins with"),
    (record(vector=np.zeros(4, np.float32)), "zeros"),
    (Record.trusted("a", None, {}, sparse(i1=1.0)), "sparse vector only"),
]


@pytest.mark.parametrize(("misfit", "reason"), MISFITS, ids=lambda value: str(value)[:30])
def test_neither_kind_of_index_holds(misfit: Record, reason: str) -> None:
    assert reason in (vectors.misfit(place(), misfit) or "")
    assert reason in (documents.misfit(place(), misfit) or "")


@pytest.mark.parametrize(
    "metadata",
    [{"a": 2**53, "b": -(2**53), "c": 1.5, "d": True, "e": ["x"], "f": [], "g": ("x", "y"), "ä b": ""}, {}],
    ids=str,
)
def test_both_kinds_of_index_hold(metadata: dict[str, Any]) -> None:
    assert vectors.misfit(place(), record(metadata=metadata)) is None
    assert documents.misfit(place(), record(metadata=metadata)) is None


@pytest.mark.parametrize("key", ["_id", "_score", "_anything", "dense", "words"])
def test_documents_keep_some_names_for_themselves(key: str) -> None:
    held = record(metadata={key: "x"})
    assert repr(key) in (documents.misfit(place(), held) or "")
    assert repr(key) in (documents.change_misfit(place(), Change("a", {key: None})) or "")
    assert vectors.misfit(place(), held) is None


def test_documents_need_a_field_for_the_vector() -> None:
    assert "vector_name" in (documents.misfit(place(vector_name=""), record()) or "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metric": Metric.DOT}, None),
        ({"metric": Metric.COSINE}, "under dot only"),
        ({"metric": Metric.DOT, "sparse_name": ""}, "sparse_name"),
    ],
    ids=str,
)
def test_a_legacy_index_takes_sparse_vectors_under_dot_only(
    changes: dict[str, Any], reason: str | None
) -> None:
    found = vectors.misfit(place(**changes), Record("a", unit(1), sparse_vector=sparse(i1=1.0)))
    assert (found is None) if reason is None else reason in (found or "")


def test_the_shortest_digits_are_read_back_as_the_same_float32() -> None:
    numbers = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    numbers[:4] = [1e-30, -3e38, 1 / 3, 0]
    written, size = shortest(numbers)
    text = orjson.dumps(written)
    back = to_vector(orjson.loads(text))
    assert back is not None
    assert np.array_equal(back, numbers)
    assert abs(len(text) - size) < 20
    assert len(text) < 0.7 * len(orjson.dumps(numbers.tolist()))


@pytest.mark.parametrize("kind", ["vectors", "documents"])
def test_the_size_of_a_request_is_known_before_it_is_made(kind: str) -> None:
    written = Record("grün"[:2] * 20, unit(1), {"text": 'ü"\n' * 99, "n": 1}, sparse(i1=0.1, i70000=3.0))
    sized: Any = vectors.to_wire(written) if kind == "vectors" else documents.to_wire(place(), written)
    item = sized.item
    body = item if kind == "documents" else {
        "id": item.id,
        "values": item.values,
        "metadata": item.metadata,
        "sparseValues": {"indices": item.sparse_values.indices, "values": item.sparse_values.values},
    }  # fmt: skip
    actual = len(orjson.dumps(body)) + 1
    assert actual <= sized.size <= actual + 100


def test_batches_are_bounded_by_bytes_and_by_count() -> None:
    items = [Sized(number, 40) for number in range(10)]
    assert list(by_bytes(items, 100)) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert list(by_bytes(items, 1000, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(by_bytes([Sized("huge", 999), Sized("small", 1)], 100)) == [["huge"], ["small"]]
    assert halves([1, 2, 3]) == ([1], [2, 3])


def test_ids_for_one_url_are_few_enough_to_arrive() -> None:
    parts = list(by_url(["/" * 512] * 20))
    assert sum(map(len, parts)) == 20
    assert all(3 * 512 * len(part) <= MAX_URL for part in parts)
    assert [len(part) for part in by_url(["short"] * 250)] == [100, 100, 50]


def test_the_changes_of_one_id_become_one() -> None:
    changes = [
        Change("a", {"x": 1, "y": 1}, vector=[1.0]),
        Change("b", {"x": 9}),
        Change("a", {"x": None}, sparse_vector=sparse(i1=1.0)),
    ]
    first, second = one_for_each(changes)
    assert (first.metadata, first.vector, second.id) == ({"x": None, "y": 1}, [1.0], "b")
    assert first.sparse_vector is changes[2].sparse_vector


def test_a_patch_that_changes_nothing_is_not_sent() -> None:
    assert documents.to_patch(place(), Change("a", {})) is None
    assert documents.to_patch(place(), Change("a", {"x": None})) is not None


def test_searches_are_fused_by_rank() -> None:
    one, two = [Match("a", 9.0), Match("b", 8.0)], [Match("b", 1.0), Match("c", 0.5)]
    assert [(match.id, match.score) for match in documents.fused([one, two], 2)] == [
        ("b", 1 / 3 + 1 / 2),
        ("a", 1 / 2),
    ]


def test_euclidean_scores_are_distances_and_others_stay() -> None:
    assert true_distance(Metric.EUCLIDEAN, 25.0) == 5.0
    assert true_distance(Metric.EUCLIDEAN, -1e-9) == 0.0
    assert true_distance(Metric.COSINE, -0.5) == -0.5
