"""Filters of Qdrant's REST interface as those of its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_errors import not_here
from shardroute.testing._qdrant_numbers import bound_as_read

Condition = Any


def as_list(clause: Any) -> list[Any]:
    """One condition may stand without its list."""
    return clause if isinstance(clause, list) else [] if clause is None else [clause]


def conditions_of(wanted: models.Filter) -> Iterator[Condition]:
    """The conditions at the top of a filter."""
    for clause in (wanted.must, wanted.must_not, wanted.should):
        yield from as_list(clause)
    if wanted.min_should is not None:
        yield from wanted.min_should.conditions


def engine_filter(wanted: models.Filter | None) -> engine.Filter | None:
    """The same filter for the engine."""
    if wanted is None:
        return None
    least = wanted.min_should
    return engine.Filter(
        must=_conditions(wanted.must),
        should=_conditions(wanted.should),
        must_not=_conditions(wanted.must_not),
        min_should=None
        if least is None
        else engine.MinShould(list(map(engine_condition, least.conditions)), least.min_count),
    )


def _conditions(clause: Any) -> list[Condition] | None:
    return None if clause is None else [engine_condition(each) for each in as_list(clause)]


def engine_condition(condition: Condition) -> Condition:
    """One condition for the engine."""
    return _built(_CONDITIONS, condition)


def _field(wanted: models.FieldCondition) -> engine.FieldCondition:
    return engine.FieldCondition(
        wanted.key,
        match=_built(_MATCHES, wanted.match),
        range=_built(_RANGES, wanted.range),
        geo_bounding_box=_built(_GEO, wanted.geo_bounding_box),
        geo_radius=_built(_GEO, wanted.geo_radius),
        geo_polygon=_built(_GEO, wanted.geo_polygon),
        values_count=None
        if wanted.values_count is None
        else engine.ValuesCount(**wanted.values_count.model_dump()),
        is_empty=wanted.is_empty,
        is_null=wanted.is_null,
    )


def _nested(wanted: models.NestedCondition) -> engine.NestedCondition:
    inner = engine_filter(wanted.nested.filter)
    assert inner is not None
    return engine.NestedCondition(wanted.nested.key, inner)


def moment(value: Any) -> str | None:
    """A point in time as the engine reads it."""
    return value.isoformat() if isinstance(value, datetime | date) else value


def geo_point(point: models.GeoPoint) -> engine.GeoPoint:
    return engine.GeoPoint(point.lon, point.lat)


def _line(points: Iterable[models.GeoPoint]) -> list[engine.GeoPoint]:
    return [geo_point(each) for each in points]


def _polygon(wanted: models.GeoPolygon) -> engine.GeoPolygon:
    holes = [_line(each.points) for each in wanted.interiors or []]
    return engine.GeoPolygon(_line(wanted.exterior.points), holes or None)


def _times(wanted: models.DatetimeRange) -> engine.RangeDateTime:
    return engine.RangeDateTime(**{name: moment(value) for name, value in vars(wanted).items()})


def _numbers(wanted: models.Range) -> engine.RangeFloat:
    return engine.RangeFloat(**{name: bound_as_read(value) for name, value in vars(wanted).items()})


def _value(wanted: models.MatchValue) -> engine.MatchValue:
    # The binding takes Python's True for the number 1; numpy's it takes for what it is.
    value: Any = np.bool_(wanted.value) if isinstance(wanted.value, bool) else wanted.value
    return engine.MatchValue(value)


_Builders = dict[type[Any], Callable[[Any], Any]]

_CONDITIONS: _Builders = {
    models.FieldCondition: _field,
    models.IsEmptyCondition: lambda wanted: engine.IsEmptyCondition(wanted.is_empty.key),
    models.IsNullCondition: lambda wanted: engine.IsNullCondition(wanted.is_null.key),
    models.HasIdCondition: lambda wanted: engine.HasIdCondition(set(wanted.has_id)),
    models.HasVectorCondition: lambda wanted: engine.HasVectorCondition(wanted.has_vector),
    models.NestedCondition: _nested,
    models.Filter: engine_filter,
}

_MATCHES: _Builders = {
    models.MatchValue: _value,
    models.MatchText: lambda wanted: engine.MatchText(wanted.text),
    models.MatchTextAny: lambda wanted: engine.MatchTextAny(wanted.text_any),
    models.MatchPhrase: lambda wanted: engine.MatchPhrase(wanted.phrase),
    models.MatchAny: lambda wanted: engine.MatchAny(wanted.any),
    models.MatchExcept: lambda wanted: engine.MatchExcept(wanted.except_),
}

_RANGES: _Builders = {
    models.Range: _numbers,
    models.DatetimeRange: _times,
}

_GEO: _Builders = {
    models.GeoBoundingBox: lambda box: engine.GeoBoundingBox(
        geo_point(box.top_left), geo_point(box.bottom_right)
    ),
    models.GeoRadius: lambda circle: engine.GeoRadius(geo_point(circle.center), circle.radius),
    models.GeoPolygon: _polygon,
}


def _built(builders: _Builders, wanted: Any) -> Any:
    if wanted is None:
        return None
    builder = builders.get(type(wanted))
    if builder is None:
        raise not_here(type(wanted).__name__)
    return builder(wanted)
