"""Vectors, ids, metadata, and what makes two records the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.errors import InvalidInput, InvalidRecord
from shardroute.records import (
    MAX_DEPTH,
    MAX_ID_LENGTH,
    Metric,
    Query,
    Record,
    SparseVector,
    as_vector,
    check_dimension,
    check_id,
    check_metadata,
    difference,
    same_metadata,
    same_vector,
)

NAN, INF = float("nan"), float("inf")
NUMBERS = [*(number / 7 for number in range(-40, 40))]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.text().filter(lambda key: not key.startswith("__shardroute"))
metadata = st.dictionaries(keys, values, max_size=4)
vectors = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8)


class _NotJson:
    """Nothing that JSON has; its text is the same in every process."""

    def __repr__(self) -> str:
        return "not JSON"


NOT_JSON = _NotJson()


# -- vectors


@pytest.mark.parametrize(
    "given_as",
    [[1, 2.5, -3], (1, 2.5, -3), np.array([1, 2.5, -3]), np.array([1, 2.5, -3], np.float16)],
    ids=["list", "tuple", "float64", "float16"],
)
def test_a_vector_becomes_a_float32_array(given_as: Any) -> None:
    vector = as_vector(given_as)
    assert vector.dtype == np.float32
    assert vector.tolist() == [1.0, 2.5, -3.0]


def test_a_float32_array_is_not_copied() -> None:
    vector = np.array([1, 2], np.float32)
    assert as_vector(vector) is vector


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 1e39, -1e300, None], ids=repr)
@pytest.mark.parametrize("position", [0, 1, 79])
def test_what_is_not_finite_is_refused_with_its_position(bad: Any, position: int) -> None:
    numbers: list[Any] = [*NUMBERS]
    numbers[position] = bad
    with pytest.raises(InvalidRecord, match=rf"vector holds NaN or infinity at position {position}$"):
        as_vector(numbers)


def test_the_first_of_several_bad_numbers_is_named() -> None:
    with pytest.raises(InvalidRecord, match=r"position 1$"):
        as_vector([0, INF, -INF, NAN])


def test_large_finite_numbers_are_fine_though_their_squares_overflow() -> None:
    assert as_vector([3e38, -3e38]).size == 2


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([], r"shape \(0,\)"),
        (3.0, r"shape \(\)"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        ([[1], [1, 2]], "not a list of numbers"),
        ("abc", "not a list of numbers"),
        (["a"], "not a list of numbers"),
        ({}, "not a list of numbers"),
        ([NOT_JSON], "not a list of numbers"),
        ([10**400], "not a list of numbers"),
    ],
    ids=["empty", "scalar", "2-d", "ragged", "text", "texts", "dict", "objects", "huge"],
)
def test_what_is_no_list_of_numbers_is_refused(bad: Any, why: str) -> None:
    with pytest.raises(InvalidRecord, match=why):
        as_vector(bad)


@given(st.lists(st.floats() | st.integers(), max_size=6))
def test_any_list_of_numbers_is_a_finite_vector_or_an_invalid_record(numbers: list[float]) -> None:
    try:
        vector = as_vector(numbers)
    except InvalidRecord:
        return
    assert np.isfinite(vector).all()


def test_a_sparse_vector_is_kept_in_the_order_of_its_indices() -> None:
    sparse = SparseVector([7, 0, 2**32 - 1], [0.7, 0.25, 1.0])
    assert sparse.indices.dtype == np.uint32
    assert sparse.indices.tolist() == [0, 7, 2**32 - 1]
    assert sparse.values.tolist() == pytest.approx([0.25, 0.7, 1.0])


@pytest.mark.parametrize(
    ("indices", "numbers", "why"),
    [
        ([], [], r"sparse vector has shape \(0,\)"),
        ([], [1.0], "0 indices and 1 values"),
        ([1, 2], [1.0], "2 indices and 1 values"),
        ([[1]], [1.0], "1 indices and 1 values"),
        (3, [1.0], "1 indices and 1 values"),
        ([[1], [1, 2]], [1.0, 2.0], "indices are not a list"),
        ([-1], [1.0], "whole numbers from 0"),
        ([2**32], [1.0], "whole numbers from 0"),
        ([2**70], [1.0], "whole numbers from 0"),
        ([1.0], [1.0], "whole numbers from 0"),
        ([True], [1.0], "whole numbers from 0"),
        (["1"], [1.0], "whole numbers from 0"),
        ([3, 3], [1.0, 2.0], "names an index twice"),
        ([4, 3], [1.0, NAN], "sparse vector holds NaN or infinity at position 1"),
    ],
)
def test_a_sparse_vector_that_makes_no_sense_is_refused(indices: Any, numbers: Any, why: str) -> None:
    with pytest.raises(InvalidRecord, match=why):
        SparseVector(indices, numbers)


# -- ids


@pytest.mark.parametrize("record_id", ["a", "7", "ü/½ 漢", "a b", "x" * MAX_ID_LENGTH, "🦊"])
def test_an_id_is_any_short_text(record_id: str) -> None:
    assert check_id(record_id) == record_id


@pytest.mark.parametrize(
    "record_id", ["", "x" * (MAX_ID_LENGTH + 1), "a\0b", "\ud800", None, 7, b"a", ["a"]], ids=repr
)
def test_any_other_id_is_refused(record_id: object) -> None:
    with pytest.raises(InvalidRecord, match="id"):
        check_id(record_id)


@given(st.text(st.characters(exclude_categories=()), max_size=MAX_ID_LENGTH + 8))
def test_an_accepted_id_can_be_sent(record_id: str) -> None:
    try:
        check_id(record_id)
    except InvalidRecord:
        return
    assert record_id.encode().decode() == record_id


# -- metadata


@given(metadata)
def test_json_is_accepted_as_it_is(raw: dict[str, Any]) -> None:
    assert check_metadata(raw) is raw


@pytest.mark.parametrize("value", [np.float64(0.5), (1, 2), MappingProxyType({"a": 1})], ids=repr)
def test_what_json_would_write_the_same_is_accepted_too(value: object) -> None:
    check_metadata({"key": value})


def nested(depth: int) -> Any:
    """Lists in lists."""
    held: Any = 1
    for _ in range(depth):
        held = [held]
    return held


def test_metadata_may_be_nested_up_to_a_depth() -> None:
    assert check_metadata({"a": nested(MAX_DEPTH)})


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (["a"], "metadata must be a mapping, not list"),
        (None, "metadata must be a mapping, not NoneType"),
        ({7: "a"}, "metadata key 7 is not a string"),
        ({"__shardroute_id": 1}, "keys that begin with '__shardroute' are reserved"),
        ({"a": NAN}, "metadata 'a' is nan: JSON has no such number"),
        ({"a": -INF}, "metadata 'a' is -inf"),
        ({"a": np.float64(NAN)}, "metadata 'a' is nan"),
        ({"a": [1, {"b": [INF]}]}, r"metadata 'a\[1\]\.b\[0\]' is inf"),
        ({"a": {"b": {7: 1}}}, r"metadata 'a\.b' has the key 7, which is not a string"),
        ({"a": {"b": {1, 2}}}, r"metadata 'a\.b' is a set, which JSON cannot hold"),
        ({"a": [NOT_JSON]}, r"metadata 'a\[0\]' is a _NotJson"),
        ({"a": b"bytes"}, "metadata 'a' is a bytes"),
        ({"a": 1j}, "metadata 'a' is a complex"),
        ({"a": np.int64(1)}, "metadata 'a' is a int64"),
        ({"a": np.array([1])}, "metadata 'a' is a ndarray"),
        ({"a": nested(MAX_DEPTH + 1)}, f"is nested deeper than {MAX_DEPTH}"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_metadata_that_is_not_json_is_refused_with_its_path(raw: object, why: str) -> None:
    with pytest.raises(InvalidRecord, match=why):
        check_metadata(raw)


# -- records and queries


def test_half_of_a_surrogate_pair_is_refused_in_metadata() -> None:
    for raw in ({"\ud800": 1}, {"a": {"\ud800": 1}}, {"a": ["x", "\udfff"]}):
        with pytest.raises(InvalidRecord, match="UTF-8"):
            check_metadata(raw)


def test_a_record_checks_all_its_parts() -> None:
    record = Record("a", [1, 2], {"lang": "en"}, SparseVector([1], [0.5]))
    assert record.vector is not None
    assert record.vector.dtype == np.float32
    assert record.metadata == {"lang": "en"}


@pytest.mark.parametrize(
    "parts",
    [{"id": ""}, {"id": "a", "vector": [NAN]}, {"id": "a", "vector": [1.0], "metadata": {"a": INF}}],
    ids=repr,
)
def test_a_bad_part_makes_a_bad_record(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecord):
        Record(**parts)


def test_a_record_without_metadata_has_empty_metadata_that_nobody_can_write_to() -> None:
    assert Record("a", [1.0]).metadata == {}
    with pytest.raises(TypeError):
        Record("a", [1.0]).metadata["b"] = 1  # type: ignore[index]  # that is the point


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Record("a", [1.0]).id = "b"  # type: ignore[misc]  # that is the point


def test_a_clusters_own_answer_is_not_checked_again() -> None:
    record = Record.trusted("", None, {"__shardroute_id": 1})
    assert (record.id, record.vector, record.sparse_vector) == ("", None, None)


@pytest.mark.parametrize("top_k", [0, -1, 10_001, 1.5, "x", None, True])
def test_top_k_has_limits(top_k: Any) -> None:
    with pytest.raises(InvalidInput, match=f"top_k is {top_k!r}"):
        Query(as_vector([1.0]), top_k=top_k)


def test_a_query_needs_something_to_look_for() -> None:
    with pytest.raises(InvalidInput, match="needs a vector"):
        Query(None)
    assert Query(None, sparse_vector=SparseVector([1], [1.0])).top_k == 10


@pytest.mark.parametrize(
    ("numbers", "metric", "why"),
    [
        ([1.0], Metric.DOT, "doc-1: vector has 1 dimensions, the collection has 2"),
        ([1.0, 2.0, 3.0], Metric.COSINE, "doc-1: vector has 3 dimensions, the collection has 2"),
        ([0.0, -0.0], Metric.COSINE, "doc-1: a zero vector has no direction"),
    ],
)
def test_a_vector_that_cannot_live_in_a_collection_is_refused(
    numbers: list[float], metric: Metric, why: str
) -> None:
    with pytest.raises(InvalidRecord, match=why):
        check_dimension(as_vector(numbers), 2, metric, what="doc-1")


@pytest.mark.parametrize(
    ("numbers", "metric"),
    [
        ([0.0, 0.0], Metric.DOT),
        ([0.0, 0.0], Metric.EUCLIDEAN),
        ([0.0, 1e-30], Metric.COSINE),
        (None, Metric.COSINE),
    ],
)
def test_a_vector_that_can_is_not(numbers: list[float] | None, metric: Metric) -> None:
    check_dimension(None if numbers is None else as_vector(numbers), 2, metric, what="doc-1")


# -- sameness


@pytest.mark.parametrize(
    ("one", "two", "metric", "same"),
    [
        ([1, 2], [1, 2], Metric.DOT, True),
        ([1, 2], [1, 2, 3], Metric.DOT, False),
        ([1, 2], [1.000001, 2], Metric.DOT, True),
        ([1, 2], [1.0001, 2], Metric.DOT, False),
        ([1000, 1e-3], [1000, 2e-3], Metric.EUCLIDEAN, True),
        ([1, 2], [2, 4], Metric.DOT, False),
        ([1, 2], [2, 4], Metric.COSINE, True),
        ([1, 2], [-1, -2], Metric.COSINE, False),
        ([1e-20, 2e-20], [1e20, 2e20], Metric.COSINE, True),
        ([3e38, 3e38], [3e38, 3e38], Metric.EUCLIDEAN, True),
        ([3e38, 3e38], [3e38, -3e38], Metric.EUCLIDEAN, False),
        ([0, 0], [0, 0], Metric.COSINE, True),
        ([0, 0], [0, 1], Metric.COSINE, False),
    ],
)
def test_vectors_are_the_same_within_float32_tolerance(
    one: list[float], two: list[float], metric: Metric, same: bool
) -> None:
    assert same_vector(as_vector(one), as_vector(two), metric) is same
    assert same_vector(as_vector(two), as_vector(one), metric) is same


def test_no_vector_is_the_same_as_no_vector_only() -> None:
    assert same_vector(None, None, Metric.DOT)
    assert not same_vector(None, as_vector([1.0]), Metric.DOT)
    assert not same_vector(as_vector([1.0]), None, Metric.DOT)


@given(vectors, st.sampled_from(Metric))
def test_a_vector_is_the_same_as_itself(numbers: list[float], metric: Metric) -> None:
    assert same_vector(as_vector(numbers), as_vector(numbers), metric)


@given(vectors.filter(lambda numbers: np.linalg.norm(numbers) > 1e-3), st.floats(1e-3, 1e3))
def test_under_cosine_a_vector_is_the_same_as_its_multiples(numbers: list[float], factor: float) -> None:
    vector = as_vector(numbers)
    assert same_vector(vector, as_vector(vector.astype(np.float64) * factor), Metric.COSINE)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (42, 42.0, True),
        (2**53 + 1, float(2**53), False),
        (1, True, False),
        (0, False, False),
        (0.0, False, False),
        (True, True, True),
        ("1", 1, False),
        (None, None, True),
        (None, False, False),
        ([1, 2], (1.0, 2.0), True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ([True], [1], False),
        ("ab", ["a", "b"], False),
        ([], {}, False),
        ({"b": [42]}, {"b": [42.0]}, True),
        ({"b": 1}, {"b": True}, False),
        ({"b": 1}, {"c": 1}, False),
    ],
)
def test_metadata_is_compared_as_json(one: object, two: object, same: bool) -> None:
    assert same_metadata({"a": one}, {"a": two}) is same
    assert same_metadata({"a": two}, {"a": one}) is same


def test_a_key_that_is_null_is_not_the_same_as_no_key() -> None:
    assert not same_metadata({"a": None}, {})


@given(metadata)
def test_metadata_is_the_same_as_itself(raw: dict[str, Any]) -> None:
    assert same_metadata(raw, raw)


@pytest.mark.parametrize(
    ("two", "what"),
    [
        (Record("a", [1.0, 2.0], {"x": 1, "y": 2}, SparseVector([1], [0.5])), None),
        (Record("a", [1.0, 3.0], {"x": 1}, SparseVector([1], [0.5])), "vector"),
        (Record("a", [1.0, 2.0], {"x": 1}), "sparse vector"),
        (Record("a", [1.0, 2.0], {"x": 1}, SparseVector([2], [0.5])), "sparse vector"),
        (Record("a", [1.0, 2.0], {"x": 1}, SparseVector([1], [0.6])), "sparse vector"),
        (Record("a", [1.0, 2.0], {"x": 1, "z": 2}, SparseVector([1], [0.5])), "metadata: y, z"),
        (Record("a", [1.0, 2.0], {"x": True, "y": 2.0}, SparseVector([1], [0.5])), "metadata: x"),
    ],
)
def test_a_difference_is_told_in_words(two: Record, what: str | None) -> None:
    one = Record("a", [1.0, 2.0], {"x": 1, "y": 2}, SparseVector([1], [0.5]))
    assert difference(one, two, Metric.DOT) == what


def test_a_null_and_a_missing_key_are_told_apart() -> None:
    present: Mapping[str, Any] = {"x": None}
    assert difference(Record("a", [1.0], present), Record("a", [1.0]), Metric.DOT) == "metadata: x"


@pytest.mark.parametrize("number", [0.9452706955539223, 1700952959.1587753, 1e-300, -2.1146431206042714e19])
def test_a_float_that_a_cluster_read_a_little_off_is_the_same_number(number: float) -> None:
    read = math.nextafter(math.nextafter(number, math.inf), math.inf)
    assert same_metadata({"a": number, "b": [number]}, {"a": read, "b": [read]})


@pytest.mark.parametrize(
    ("one", "two"), [(0.1, 0.1000000000001), (1.0, -1.0), (0.0, 1e-300), (2**60, 2**60 + 1)]
)
def test_numbers_that_differ_by_more_than_a_parser_loses_are_two(one: float, two: float) -> None:
    assert not same_metadata({"a": one}, {"a": two})
