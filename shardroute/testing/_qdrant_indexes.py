"""Payload indexes: as they are shown, as the engine takes them, and what each can answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_errors import not_here
from shardroute.testing._qdrant_filters import conditions_of

Json = dict[str, Any]

_ALWAYS_SHOWN = {
    "integer": ("lookup", "range", "is_principal"),
    "float": ("is_principal",),
    "datetime": ("is_principal",),
}
_ABOUT_STORAGE = {"type", "on_disk", "memory", "enable_hnsw"}


def shown(schema: Any) -> Json:
    """An index under ``payload_schema``, but for the number of its points."""
    if isinstance(schema, models.PayloadSchemaType):
        return {"data_type": schema.value}
    params = schema.model_dump(mode="json", exclude_none=True)
    kind = params["type"]
    if kind == "text":
        params.setdefault("tokenizer", "word")
    for name in _ALWAYS_SHOWN.get(kind, ()):
        params.setdefault(name, None)
    return {"data_type": kind, "params": params}


def engine_schema(schema: Any) -> Any:
    """An index as the engine takes it."""
    if isinstance(schema, models.PayloadSchemaType):
        return getattr(engine.PayloadSchemaType, schema.value.capitalize())
    given = {name: value for name, value in vars(schema).items() if value is not None}
    arguments = {
        name: _SPECIAL[name](value) if name in _SPECIAL else value
        for name, value in given.items()
        if name not in _ABOUT_STORAGE
    }
    return getattr(engine, type(schema).__name__)(**arguments)


def _named(kind: Any) -> Callable[[Any], Any]:
    def found(value: Any) -> Any:
        name = "".join(part.capitalize() for part in value.value.split("_"))
        if (each := getattr(kind, name, None)) is None:
            raise not_here(value.value)
        return each

    return found


def _stopwords(given: Any) -> Any:
    if isinstance(given, models.Language):
        return _named(engine.Language)(given)
    languages = {_named(engine.Language)(each) for each in given.languages or []}
    return engine.StopwordsSet(languages or None, set(given.custom or []) or None)


def _stemmer(given: Any) -> Any:
    if isinstance(given, models.SnowballParams):
        return engine.SnowballParams(_named(engine.SnowballLanguage)(given.language))
    return engine.DisabledStemmer()


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "tokenizer": _named(engine.TokenizerType),
    "stopwords": _stopwords,
    "stemmer": _stemmer,
}


Kind = str
"""What an index is needed for: `integer` and `integer range` are two, as an index may have but one of them."""

_RANGES = {
    "integer": ("integer", "integer range"),
    "uuid": ("uuid", "uuid range"),
}
ALL_KINDS = frozenset(
    {
        *("integer", "integer range", "keyword", "float", "text", "text (with phrase_matching: true)"),
        *("bool", "uuid", "uuid range", "datetime", "geo"),
    }
)


def first_unindexed(
    wanted: models.Filter, indexes: dict[str, Json], prefix: str = ""
) -> tuple[str, list[str]] | None:
    """A field that a filter asks for and that no fitting index is there for, with the types of those that fit."""
    for condition in conditions_of(wanted):
        if isinstance(condition, models.Filter):
            found = first_unindexed(condition, indexes, prefix)
        elif isinstance(condition, models.NestedCondition):
            inner = f"{prefix}{condition.nested.key.removesuffix('[]')}[]."
            found = first_unindexed(condition.nested.filter, indexes, inner)
        else:
            found = _unindexed(condition, indexes, prefix)
        if found is not None:
            return found
    return None


def _unindexed(condition: Any, indexes: dict[str, Json], prefix: str) -> tuple[str, list[str]] | None:
    key, needed = _need(condition)
    if not needed:
        return None
    field = f"{prefix}{key}"
    if not needed.isdisjoint(_abilities(indexes.get(field))):
        return None
    return field, sorted({each.removesuffix(" range") for each in needed})


def _need(condition: Any) -> tuple[str, set[Kind]]:
    if isinstance(condition, models.IsEmptyCondition):
        return condition.is_empty.key, set(ALL_KINDS)
    if isinstance(condition, models.IsNullCondition):
        return condition.is_null.key, set(ALL_KINDS)
    if isinstance(condition, models.FieldCondition):
        return condition.key, set(_kinds(condition))
    return "", set()


def _kinds(condition: models.FieldCondition) -> Iterator[Kind]:
    if condition.match is not None:
        yield from _MATCH_KINDS.get(type(condition.match), lambda _: [])(condition.match)
    if isinstance(condition.range, models.DatetimeRange):
        yield "datetime"
    elif condition.range is not None:
        yield from ("float", "integer range")
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        yield "geo"
    if (condition.values_count, condition.is_empty, condition.is_null) != (None, None, None):
        yield from ALL_KINDS


def _of_value(value: Any) -> list[Kind]:
    if isinstance(value, bool):
        return ["bool"]
    return ["integer"] if isinstance(value, int) else _of_strings([value])


def _of_strings(values: list[str]) -> list[Kind]:
    return ["uuid", "keyword"] if all(map(_is_uuid, values)) else ["keyword"]


def _of_any(values: list[Any]) -> list[Kind]:
    if not values:
        return []
    return ["integer"] if isinstance(values[0], int) else _of_strings(values)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


_MATCH_KINDS: dict[type[Any], Callable[[Any], list[Kind]]] = {
    models.MatchValue: lambda match: _of_value(match.value),
    models.MatchAny: lambda match: _of_any(match.any),
    models.MatchExcept: lambda match: _of_any(match.except_),
    models.MatchText: lambda _: ["text"],
    models.MatchTextAny: lambda _: ["text"],
    models.MatchPhrase: lambda _: ["text (with phrase_matching: true)"],
}


def _abilities(index: Json | None) -> set[Kind]:
    if index is None:
        return set()
    kind, params = index["data_type"], index.get("params", {})
    if kind == "integer":
        able = {"integer": params.get("lookup"), "integer range": params.get("range")}
        return {name for name, is_on in able.items() if is_on is not False}
    if kind == "text" and params.get("phrase_matching"):
        return {"text", "text (with phrase_matching: true)"}
    return set(_RANGES.get(kind, (kind,)))


def is_tenant_filter(wanted: models.Filter | None, indexes: dict[str, Json]) -> bool:
    """Whether one of a filter's fields is indexed as that of the tenants."""
    if wanted is None:
        return False
    keys = (_need(condition)[0] for condition in conditions_of(wanted))
    return any(indexes.get(key, {}).get("params", {}).get("is_tenant") for key in keys)
