"""Qdrant's filters mean on every store what they mean to Qdrant, or are refused."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.local.payload_filters import check_filter

from shardroute import InvalidFilter, NotCovered
from shardroute.facades._qdrant_filters import Translator
from shardroute.facades.coverage import Coverage
from shardroute.filters import as_raw, matches, parse

TRANSLATOR = Translator(Coverage("RoutedClient", AsyncQdrantClient), "acme", "tenant")

FIELDS = ["a", "b", '"a.b"', "tenant"]
WORDS = st.sampled_from(["x", "y", "", "acme"])
NUMBERS = st.integers(-2, 3)
FLOATS = st.sampled_from(
    [-1.5, 0.5, 2.5]
)  # of no whole number's value: there the facade is wider, as it says
BOOLEANS = st.booleans()
SCALARS = st.one_of(WORDS, NUMBERS, FLOATS, BOOLEANS)
VALUES = st.one_of(st.none(), SCALARS, st.lists(st.one_of(st.none(), SCALARS), max_size=3))
PAYLOADS = st.dictionaries(st.sampled_from(["a", "b", "a.b"]), VALUES).map(
    lambda held: {**held, "tenant": "acme"}
)

MATCHES = st.one_of(
    st.one_of(WORDS, NUMBERS, BOOLEANS).map(lambda value: models.MatchValue(value=value)),
    st.one_of(st.lists(WORDS, max_size=2), st.lists(NUMBERS, max_size=2)).map(
        lambda some: models.MatchAny(any=some)
    ),
)
RANGES = st.dictionaries(
    st.sampled_from(["gt", "gte", "lt", "lte"]), st.one_of(NUMBERS, FLOATS), max_size=3
).map(lambda bounds: models.Range(**bounds))
CONDITIONS = st.one_of(
    st.builds(
        lambda key, match: models.FieldCondition(key=key, match=match), st.sampled_from(FIELDS), MATCHES
    ),
    st.builds(
        lambda key, bounds: models.FieldCondition(key=key, range=bounds), st.sampled_from(FIELDS), RANGES
    ),
    st.builds(
        lambda key, empty: models.FieldCondition(key=key, is_empty=empty), st.sampled_from(FIELDS), BOOLEANS
    ),
    st.sampled_from(FIELDS).map(lambda key: models.IsEmptyCondition(is_empty=models.PayloadField(key=key))),
)


def _joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    clause = st.one_of(st.none(), parts, st.lists(parts, max_size=3))
    return st.builds(
        lambda must, should, no: models.Filter(must=must, should=should, must_not=no), clause, clause, clause
    )


FILTERS = _joined(st.recursive(CONDITIONS, _joined, max_leaves=5))


@settings(max_examples=300)
@given(FILTERS, PAYLOADS)
def test_a_filter_matches_what_qdrants_own_code_says_that_it_matches(
    raw: models.Filter, payload: dict[str, Any]
) -> None:
    kept = {key: value for key, value in payload.items() if key != "tenant"}  # as no cluster shows it
    assert matches(TRANSLATOR.filter("count", raw), kept) is check_filter(raw, payload, 1, {})


@given(FILTERS, st.dictionaries(st.sampled_from(["a", "b", "a.b"]), st.one_of(st.none(), SCALARS)))
def test_a_filter_that_is_recorded_as_a_dict_means_the_same(
    raw: models.Filter, metadata: dict[str, Any]
) -> None:
    condition = TRANSLATOR.filter("count", raw)
    assert matches(parse(as_raw(condition)), metadata) is matches(condition, metadata)


def test_both_bounds_of_a_range_are_met_by_one_element_of_a_list() -> None:
    raw = models.Filter(must=models.FieldCondition(key="n", range=models.Range(gt=1, lt=5)))
    condition = TRANSLATOR.filter("count", raw)
    assert [matches(condition, {"n": held}) for held in ([0, 10], [0, 3], 3)] == [False, True, True]


def test_a_whole_number_matches_the_float_of_its_value_too() -> None:
    raw = models.Filter(must=models.FieldCondition(key="n", match=models.MatchValue(value=42)))
    assert matches(TRANSLATOR.filter("count", raw), {"n": 42.0})


def field(key: str = "a", **condition: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, **condition)


CENTER = models.GeoPoint(lon=0, lat=0)


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        (field(match=models.MatchExcept(**{"except": ["x"]})), "MatchExcept"),
        (field(match=models.MatchText(text="x")), "MatchText"),
        (field(match=models.MatchPhrase(phrase="x")), "MatchPhrase"),
        (field(range=models.DatetimeRange(gt=date(2024, 1, 1))), "DatetimeRange"),
        (field(range=models.Range(gt=float("inf"))), "finite"),
        (field(geo_radius=models.GeoRadius(center=CENTER, radius=1)), "geo_radius"),
        (field(values_count=models.ValuesCount(gt=1)), "values_count"),
        (field(is_null=True), "is_null"),
        (field(match=models.MatchValue(value="x"), range=models.Range(gt=1)), "match, range"),
        (field(), "nothing"),
        (field("a.b", match=models.MatchValue(value="x")), "'a.b'"),
        (field("a[]", match=models.MatchValue(value="x")), r"'a\[\]'"),
        (models.IsNullCondition(is_null=models.PayloadField(key="a")), "IsNullCondition"),
        (models.HasIdCondition(has_id=[1]), "HasIdCondition"),
        (models.HasVectorCondition(has_vector="a"), "HasVectorCondition"),
        (models.NestedCondition(nested=models.Nested(key="a", filter=models.Filter())), "NestedCondition"),
        (models.Filter(min_should=models.MinShould(conditions=[field()], min_count=1)), "min_should"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_condition_that_other_clusters_do_not_know_is_refused_by_name(condition: Any, named: str) -> None:
    for raw in (models.Filter(must=[condition]), models.Filter(must_not=[models.Filter(should=condition)])):
        with pytest.raises(NotCovered, match=named):
            TRANSLATOR.filter("count", raw)


def test_a_filter_of_another_type_is_refused() -> None:
    with pytest.raises(NotCovered, match=r"count\(dict"):
        TRANSLATOR.filter("count", {"must": []})


@pytest.mark.parametrize("place", ["key", "value"])
def test_half_of_a_surrogate_pair_is_refused(place: str) -> None:
    key, value = ('"\udc00"', "x") if place == "key" else ("a", "\udc00")
    condition = models.FieldCondition(key=key, match=models.MatchValue(value=value))
    with pytest.raises(InvalidFilter, match="UTF-8"):
        TRANSLATOR.filter("count", models.Filter(must=[condition]))
