"""Filters in Pinecone's dialect."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from shardroute.errors import InvalidFilter
from shardroute.filters import AnyOf, Filter, Not, Range, parse
from shardroute.stores.pinecone_filters import translate


def sent(raw: Any) -> Any:
    """What is sent for a filter; keys that begin with `_` are hidden."""
    return translate(parse(raw), lambda key: key.startswith("_"))


TRANSLATIONS: list[tuple[Any, Any]] = [
    ({"a": "x"}, {"a": {"$eq": "x"}}),
    ({"a": {"$in": ["x", "y"]}}, {"a": {"$in": ["x", "y"]}}),
    ({"a": {"$in": ["x", 1, 2, True]}}, {"$or": [{"a": {"$eq": "x"}}, {"a": {"$in": [1, 2]}}, {"a": {"$eq": True}}]}),
    ({"a": {"$ne": "x"}}, {"$or": [{"a": {"$exists": False}}, {"a": {"$ne": "x"}}]}),
    (
        {"a": {"$nin": ["x", "y", 1]}},
        {"$or": [{"a": {"$exists": False}}, {"$and": [{"a": {"$nin": ["x", "y"]}}, {"a": {"$ne": 1}}]}]},
    ),
    ({"a": {"$gte": 1, "$lt": 2}}, {"$and": [{"a": {"$gte": 1}}, {"a": {"$lt": 2}}]}),
    ({"$not": {"$or": [{"a": {"$exists": True}}, {"b": {"$ne": 1}}]}},
     {"$and": [{"a": {"$exists": False}}, {"b": {"$eq": 1}}]}),
    ({"$not": {"$not": {"a": {"$gt": 1}}}}, {"a": {"$gt": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(
    "raw", [{"a": {"$exists": True}}, {"$not": {"$or": [{"b": 1}, {"a": {"$exists": False}}]}}]
)
def test_exists_is_refused_by_its_field_where_empty_lists_are_kept(raw: Any) -> None:
    with pytest.raises(InvalidFilter, match="empty_lists") as refused:
        translate(parse(raw), lambda _: False, can_exist=False)
    assert refused.value.path == "a"


def test_negations_are_still_to_be_had_where_exists_is_refused() -> None:
    assert translate(parse({"a": {"$ne": 1}}), lambda _: False, can_exist=False) == sent({"a": {"$ne": 1}})


@pytest.mark.parametrize(("raw", "expected"), TRANSLATIONS, ids=str)
def test_a_filter_is_said_in_pinecones_words(raw: Any, expected: Any) -> None:
    assert sent(raw) == expected


CERTAIN: list[tuple[Any, bool]] = [
    ({"a": {"$in": []}}, False),
    ({"a": {"$nin": []}}, True),
    ({"$and": [{"a": 1}, {"b": {"$in": []}}]}, False),
    ({"$or": [{"a": 1}, {"b": {"$nin": []}}]}, True),
    ({"_hidden": "x"}, False),
    ({"_hidden": {"$ne": "x"}}, True),
    ({"_hidden": {"$exists": False}}, True),
    ({"$not": {"_hidden": {"$gt": 1}}}, True),
    ({"a": 2**53 + 1}, False),
    ({"a": 10**400}, False),
]


@pytest.mark.parametrize(("raw", "expected"), CERTAIN, ids=lambda value: str(value)[:40])
def test_what_needs_no_request_is_known_without_one(raw: Any, expected: bool) -> None:
    assert sent(raw) is expected


def test_parts_without_effect_are_left_out() -> None:
    assert sent({"$or": [{"a": 1}, {"b": {"$in": []}}]}) == {"a": {"$eq": 1}}
    assert sent({"$and": [{"a": 1}, {"b": {"$nin": []}}]}) == {"a": {"$eq": 1}}


@pytest.mark.parametrize(
    "condition", [Not(Range("a", gt=1)), Not(AnyOf((Range("a", gt=1), Range("b", lt=1))))]
)
def test_a_negated_range_is_refused_with_a_way_out(condition: Filter) -> None:
    with pytest.raises(InvalidFilter, match=r"opposite range.*exists"):
        translate(condition, lambda key: False)


def test_a_range_without_bounds_matches_any_number() -> None:
    assert translate(Range("a"), lambda key: False) == {"a": {"$gte": -sys.float_info.max}}


@pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte"])
@pytest.mark.parametrize("bound", [2**53 + 1, 2**53 + 3, -(2**53) - 1, -(2**53) - 3, 2**60 + 1])
def test_a_bound_that_float64_rounds_parts_the_same_numbers(operator: str, bound: int) -> None:
    clause: Any = translate(Range("a", **{operator: bound}), lambda key: False)
    ((sent_operator, sent_bound),) = clause["a"].items()
    rounded = float(bound)
    for held in (math.nextafter(rounded, -math.inf), rounded, math.nextafter(rounded, math.inf)):
        assert _COMPARE[operator](held, bound) is _COMPARE[sent_operator[1:]](held, sent_bound)


_COMPARE: dict[str, Any] = {
    "gt": lambda held, bound: held > bound,
    "gte": lambda held, bound: held >= bound,
    "lt": lambda held, bound: held < bound,
    "lte": lambda held, bound: held <= bound,
}
