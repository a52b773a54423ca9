"""The filter dialect: what is understood, what is refused and where, and what it means."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.errors import InvalidFilter
from shardroute.filters import MAX_DEPTH, All, AnyOf, Equals, Exists, Filter, Not, Range, matches, parse

NAN, INF = float("nan"), float("inf")

OPERATORS = [
    "$eq",
    "$ne",
    "$in",
    "$nin",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$exists",
    "$and",
    "$or",
    "$not",
    "$near",
]
json_keys = st.sampled_from(["", "a", "a.b", *OPERATORS]) | st.text(max_size=3)
json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
)
anything = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_keys, inner, max_size=3),
    max_leaves=12,
)

fields = st.sampled_from(["a", "b", "c"])
operands = st.sampled_from(["x", "y", "", True, False, 0, 1, 1.0, 2, 2.5, -1])
bounds = st.sampled_from([0, 1, 1.5, 2, -1.0])
conditions = st.one_of(
    operands,
    st.builds(lambda operator, operand: {operator: operand}, st.sampled_from(["$eq", "$ne"]), operands),
    st.builds(
        lambda operator, operand: {operator: operand},
        st.sampled_from(["$in", "$nin"]),
        st.lists(operands, max_size=3),
    ),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), bounds, min_size=1),
    st.builds(lambda exists: {"$exists": exists}, st.booleans()),
)
filters = st.recursive(
    st.dictionaries(fields, conditions, min_size=1, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=6,
)
held = st.none() | operands | st.lists(operands, max_size=3)
metadata = st.dictionaries(fields, held, max_size=3)


def _nested(depth: int) -> Any:
    raw: Any = {"a": 1}
    for _ in range(depth):
        raw = {"$not": raw}
    return raw


# -- what is understood


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        (None, None),
        ({}, None),
        ({"lang": "en"}, Equals("lang", ("en",))),
        ({"lang": {"$eq": "en"}}, Equals("lang", ("en",))),
        ({"lang": {"$ne": "en"}}, Not(Equals("lang", ("en",)))),
        ({"n": {"$in": [1, "a", True]}}, Equals("n", (1, "a", True))),
        ({"n": {"$in": []}}, Equals("n", ())),
        ({"n": {"$nin": (1, 2)}}, Not(Equals("n", (1, 2)))),
        ({"n": {"$gt": 1}}, Range("n", gt=1)),
        ({"n": {"$gte": 1, "$lt": 2.5}}, All((Range("n", gte=1), Range("n", lt=2.5)))),
        ({"n": {"$lte": -1}}, Range("n", lte=-1)),
        ({"n": {"$exists": True}}, Exists("n")),
        ({"n": {"$exists": False}}, Not(Exists("n"))),
        ({"a": 1, "b": 2}, All((Equals("a", (1,)), Equals("b", (2,))))),
        ({"$and": [{"a": 1}]}, All((Equals("a", (1,)),))),
        ({"$or": [{"a": 1}, {"b": 2}]}, AnyOf((Equals("a", (1,)), Equals("b", (2,))))),
        ({"$not": {"a": 1}}, Not(Equals("a", (1,)))),
        ({"a.b": 1}, Equals("a.b", (1,))),
    ],
    ids=repr,
)
def test_the_dialect_is_understood(raw: object, condition: Filter | None) -> None:
    assert parse(raw) == condition


def test_nesting_is_allowed_up_to_a_depth() -> None:
    assert parse(_nested(MAX_DEPTH)) is not None
    with pytest.raises(InvalidFilter, match=f"nested deeper than {MAX_DEPTH}") as refused:
        parse(_nested(MAX_DEPTH + 1))
    assert refused.value.path == ".".join(["$not"] * (MAX_DEPTH + 1))


# -- what is refused, and where


@pytest.mark.parametrize(
    ("raw", "path", "why"),
    [
        ([], "", "expected an object"),
        ("lang = en", "", "expected an object"),
        (0, "", "expected an object"),
        (False, "", "expected an object"),
        (np.array([1, 2]), "", "expected an object"),
        ({"": 1}, "", "key '' is not a non-empty string"),
        ({7: 1}, "", "key 7 is not a non-empty string"),
        ({"$near": 1}, "$near", "unknown operator"),
        ({"$eq": 1}, "$eq", "unknown operator"),
        ({"a": None}, "a", "expected a string, number or boolean, got None"),
        ({"a": [1]}, "a", "expected a string, number or boolean"),
        ({"a": NAN}, "a", "nan is not a number that can be compared"),
        ({"a": np.int64(3)}, "a", "expected a string, number or boolean"),
        ({"a": {}}, "a", "expected an operator, got an empty object"),
        ({"a": {"b": 1}}, "a.b", "unknown operator"),
        ({"a": {"$near": 1}}, "a.$near", "unknown operator"),
        ({"a": {"$and": [{"a": 1}]}}, "a.$and", "unknown operator"),
        ({"a": {7: 1}}, "a.7", "unknown operator"),
        ({"a": {"$eq": {}}}, "a.$eq", "expected a string, number or boolean"),
        ({"a": {"$in": "xy"}}, "a.$in", "expected a list"),
        ({"a": {"$in": [1, [2]]}}, "a.$in[1]", "expected a string, number or boolean"),
        ({"a": {"$nin": [1, 2, None]}}, "a.$nin[2]", "expected a string, number or boolean"),
        ({"a": {"$gt": "1"}}, "a.$gt", "expected a finite number, got '1'"),
        ({"a": {"$gt": True}}, "a.$gt", "expected a finite number, got True"),
        ({"a": {"$lt": INF}}, "a.$lt", "expected a finite number, got inf"),
        ({"a": {"$gte": 1, "$lte": None}}, "a.$lte", "expected a finite number"),
        ({"a": {"$lte": 10**400}}, "a.$lte", "expected a finite number"),
        ({"a": {"$exists": 1}}, "a.$exists", "expected true or false, got 1"),
        ({"$and": []}, "$and", "expected a list of at least one filter"),
        ({"$or": {"a": 1}}, "$or", "expected a list of at least one filter"),
        ({"$and": [{"a": 1}, {}]}, "$and[1]", "expected an object with at least one key"),
        ({"$and": [{"a": 1}, {"year": {"$near": 1}}]}, "$and[1].year.$near", "unknown operator"),
        ({"$or": [{"$not": {"$and": [{"a": None}]}}]}, "$or[0].$not.$and[0].a", "expected a string"),
        ({"$not": {}}, "$not", "expected an object with at least one key"),
        ({"$not": [{"a": 1}]}, "$not", "expected an object with at least one key"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_anything_else_is_refused_with_its_path(raw: object, path: str, why: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse(raw)
    assert refused.value.path == path
    assert str(refused.value).startswith(f"{path or 'filter'}: {why}")


def test_half_of_a_surrogate_pair_is_refused_with_its_path() -> None:
    for raw, path in (({"\ud800": 1}, ""), ({"a": {"$in": ["x", "\ud800"]}}, "a.$in[1]")):
        with pytest.raises(InvalidFilter, match="cannot be written as UTF-8") as refused:
            parse(raw)
        assert refused.value.path == path


@given(anything)
def test_no_json_raises_anything_but_invalid_filter(raw: Any) -> None:
    with suppress(InvalidFilter):
        parse(raw)


def test_json_nested_deeply_is_refused_in_few_words() -> None:
    with pytest.raises(InvalidFilter, match="expected a string") as refused:
        parse({"a": json.loads("[" * 500 + "]" * 500)})
    assert len(str(refused.value)) < 200


# -- what it means


@pytest.mark.parametrize(
    ("raw", "metadata", "matched"),
    [
        (None, {}, True),
        ({"a": 42}, {"a": 42.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": False}, {"a": 0.0}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": ""}, {"a": ""}, True),
        ({"a": 0}, {"a": 0}, True),
        ({"a": 1}, {}, False),
        ({"a": "x"}, {"a": ["w", "x"]}, True),
        ({"a": "x"}, {"a": ("x",)}, True),
        ({"a": "x"}, {"a": []}, False),
        ({"a": "x"}, {"a": "xy"}, False),
        ({"a": "x"}, {"a": {"x": 1}}, False),
        ({"a": {"$ne": 1}}, {}, True),
        ({"a": {"$ne": 1}}, {"a": None}, True),
        ({"a": {"$ne": 1}}, {"a": [1, 2]}, False),
        ({"a": {"$in": [1, 2]}}, {"a": 2.0}, True),
        ({"a": {"$in": []}}, {"a": 1}, False),
        ({"a": {"$nin": []}}, {}, True),
        ({"a": {"$nin": [1]}}, {"a": [2, 3]}, True),
        ({"a": {"$gt": 1}}, {"a": 1}, False),
        ({"a": {"$gte": 1}}, {"a": 1.0}, True),
        ({"a": {"$gte": 1}}, {"a": True}, False),
        ({"a": {"$gte": 1}}, {"a": "2"}, False),
        ({"a": {"$gt": 0}}, {"a": ["x", None, 5]}, True),
        ({"a": {"$gt": 1, "$lt": 3}}, {"a": 2}, True),
        ({"a": {"$gt": 1, "$lt": 3}}, {"a": [0, 4]}, True),  # each bound by an element of its own
        ({"a": {"$lt": 2**53}}, {"a": 2**53 - 1}, True),
        ({"a": 2**53 + 1}, {"a": float(2**53)}, False),
        ({"a": 10**400}, {"a": 1.5}, False),
        ({"a": {"$exists": True}}, {"a": 0}, True),
        ({"a": {"$exists": True}}, {"a": ""}, True),
        ({"a": {"$exists": True}}, {"a": None}, False),
        ({"a": {"$exists": True}}, {"a": []}, False),
        ({"a": {"$exists": False}}, {"a": []}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}, True),
        ({"$not": {"a": 1, "b": 2}}, {"a": 1}, True),
        ({"a.b": 1}, {"a": {"b": 1}}, False),
        ({"a.b": 1}, {"a.b": 1}, True),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_filter_means_the_same_everywhere(raw: object, metadata: dict[str, Any], matched: bool) -> None:
    assert matches(parse(raw), metadata) is matched


def test_without_parts_and_matches_everything_and_or_nothing() -> None:
    assert matches(All(()), {})
    assert not matches(AnyOf(()), {})


@given(filters, metadata)
def test_not_is_the_opposite(raw: dict[str, Any], metadata: dict[str, Any]) -> None:
    assert matches(parse({"$not": raw}), metadata) is not matches(parse(raw), metadata)


@given(filters, filters, metadata)
def test_and_and_or_follow_de_morgan(
    one: dict[str, Any], two: dict[str, Any], metadata: dict[str, Any]
) -> None:
    neither = parse({"$not": {"$or": [one, two]}})
    both_not = parse({"$and": [{"$not": one}, {"$not": two}]})
    assert matches(neither, metadata) is matches(both_not, metadata)


@given(filters, metadata)
def test_a_filter_that_went_through_json_means_the_same(
    raw: dict[str, Any], metadata: dict[str, Any]
) -> None:
    assert matches(parse(json.loads(json.dumps(raw))), metadata) is matches(parse(raw), metadata)


@given(filters)
def test_parsed_filters_are_values(raw: dict[str, Any]) -> None:
    assert parse(raw) == parse(json.loads(json.dumps(raw)))
    assert hash(parse(raw)) == hash(parse(json.loads(json.dumps(raw))))
