"""Metadata filters, in Pinecone's dialect, parsed once into frozen values.

``{"lang": "en", "year": {"$gte": 2020}, "$or": [{"a": 1}, {"b": {"$exists": True}}]}``

A field with a plain value means `$eq`. Several keys in one object are joined by `$and`. Anything
else is refused with its path. Stores translate `Filter` values; none of them sees the raw dict.

Meaning, the same on every store (`matches` is the reference): a field that holds a list matches if
any element does; numbers compare as numbers (42 = 42.0) and never with booleans; `$ne` and `$nin` are
the negation of `$eq` and `$in`, so they match records that lack the field; null and the empty list count
as absent for `$exists`; an empty `$in` matches nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any, TypeAlias

from .errors import InvalidFilter

Scalar: TypeAlias = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Equals:
    """The field is, or holds, one of `values`."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The field is, or holds, a number inside the bounds that are given."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there and is neither null nor an empty list."""

    field: str


@dataclass(frozen=True, slots=True)
class All:
    """Every part matches; without parts, everything does."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part matches; without parts, nothing does."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match."""

    part: Filter


Filter: TypeAlias = Equals | Range | Exists | All | AnyOf | Not
FilterLike: TypeAlias = Mapping[str, Any] | Filter
"""A dict in the dialect, or what it stands for."""

MAX_DEPTH = 32
_NOTHING: Mapping[str, Any] = {"_": {"$in": []}}


def parse(raw: object) -> Filter | None:
    """The filter of a dict in the dialect; None for None or an empty dict (everything matches).

    A `Filter` is returned as it is. Raises InvalidFilter with the path of what is wrong.
    """
    if isinstance(raw, Filter):
        return raw
    if raw is None or (isinstance(raw, Mapping) and not raw):
        return None
    return _parse_object(raw, "", 0)


def _parse_object(raw: object, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise InvalidFilter(f"nested deeper than {MAX_DEPTH}", path=path)
    if not isinstance(raw, Mapping) or not raw:
        raise InvalidFilter(f"expected an object with at least one key, got {shown(raw)}", path=path)
    return _join([_parse_entry(key, value, path, depth) for key, value in raw.items()])


def _parse_entry(key: object, value: object, path: str, depth: int) -> Filter:
    if not isinstance(key, str) or not key:
        raise InvalidFilter(f"key {key!r} is not a non-empty string", path=path)
    if not is_text(key):
        raise InvalidFilter(f"key {key!r} cannot be written as UTF-8", path=path)
    here = f"{path}.{key}" if path else key
    if key in _COMBINERS:
        return _COMBINERS[key](value, here, depth + 1)
    if key.startswith("$"):
        raise InvalidFilter(
            f"unknown operator; here {', '.join(_COMBINERS)} or a field's name is meant", path=here
        )
    return _parse_field(key, value, here)


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair cannot, and `json.loads` lets it in."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_field(field: str, value: object, path: str) -> Filter:
    if not isinstance(value, Mapping):
        return Equals(field, (_scalar(value, path),))
    if not value:
        raise InvalidFilter("expected an operator, got an empty object", path=path)
    return _join([_parse_operator(field, operator, operand, path) for operator, operand in value.items()])


def _parse_operator(field: str, operator: object, operand: object, path: str) -> Filter:
    here = f"{path}.{operator}"
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise InvalidFilter(f"unknown operator; known are {', '.join(_OPERATORS)}", path=here)
    return _OPERATORS[operator](field, operand, here)


def _join(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _parse_list(value: object, path: str, depth: int) -> tuple[Filter, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidFilter("expected a list of at least one filter", path=path)
    return tuple(_parse_object(item, f"{path}[{index}]", depth) for index, item in enumerate(value))


def _scalar(value: object, path: str) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidFilter(f"{value} is not a number that can be compared", path=path)
    if not isinstance(value, (str, bool, int, float)):
        raise InvalidFilter(f"expected a string, number or boolean, got {shown(value)}", path=path)
    if isinstance(value, str) and not is_text(value):
        raise InvalidFilter(f"{shown(value)} cannot be written as UTF-8", path=path)
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
        raise InvalidFilter(f"expected a finite number, got {shown(value)}", path=path)
    return value


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float can hold
        return False


def _scalars(value: object, path: str) -> tuple[Scalar, ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidFilter(f"expected a list, got {shown(value)}", path=path)
    return tuple(_scalar(item, f"{path}[{index}]") for index, item in enumerate(value))


def _exists(field: str, operand: object, path: str) -> Filter:
    if not isinstance(operand, bool):
        raise InvalidFilter(f"expected true or false, got {shown(operand)}", path=path)
    return Exists(field) if operand else Not(Exists(field))


_OPERATORS: dict[str, Callable[[str, object, str], Filter]] = {
    "$eq": lambda field, operand, path: Equals(field, (_scalar(operand, path),)),
    "$ne": lambda field, operand, path: Not(Equals(field, (_scalar(operand, path),))),
    "$in": lambda field, operand, path: Equals(field, _scalars(operand, path)),
    "$nin": lambda field, operand, path: Not(Equals(field, _scalars(operand, path))),
    "$gt": lambda field, operand, path: Range(field, gt=_number(operand, path)),
    "$gte": lambda field, operand, path: Range(field, gte=_number(operand, path)),
    "$lt": lambda field, operand, path: Range(field, lt=_number(operand, path)),
    "$lte": lambda field, operand, path: Range(field, lte=_number(operand, path)),
    "$exists": _exists,
}

_COMBINERS: dict[str, Callable[[object, str, int], Filter]] = {
    "$and": lambda value, path, depth: All(_parse_list(value, path, depth)),
    "$or": lambda value, path, depth: AnyOf(_parse_list(value, path, depth)),
    "$not": lambda value, path, depth: Not(_parse_object(value, path, depth)),
}


def as_raw(condition: FilterLike | None) -> Mapping[str, Any] | None:
    """The dict that stands for a filter; None for None.

    The dialect has no one operator for two bounds: of a list of numbers, two elements may meet them then.
    """
    match condition:
        case None:
            return None
        case Equals(field, values):
            return {field: {"$in": list(values)}}
        case Range(field, gt, gte, lt, lte):
            bounds = {"$gt": gt, "$gte": gte, "$lt": lt, "$lte": lte}
            given = {operator: bound for operator, bound in bounds.items() if bound is not None}
            return {field: given or {"$gte": -sys.float_info.max}}  # without bounds: any number
        case Exists(field):
            return {field: {"$exists": True}}
        case All(parts):
            return {"$and": list(map(as_raw, parts))} if parts else {"$not": _NOTHING}
        case AnyOf(parts):
            return {"$or": list(map(as_raw, parts))} if parts else _NOTHING
        case Not(part):
            return {"$not": as_raw(part)}
        case _:
            return condition


def matches(condition: Filter | None, metadata: Mapping[str, Any]) -> bool:
    """Whether a record's metadata satisfies the filter: the reference for every store."""
    match condition:
        case None:
            return True
        case Equals(field, values):
            return any(_equal(held, value) for held in _held(metadata, field) for value in values)
        case Range(field):
            return any(_within(held, condition) for held in _held(metadata, field))
        case Exists(field):
            return any(True for _ in _held(metadata, field))
        case All(parts):
            return all(matches(part, metadata) for part in parts)
        case AnyOf(parts):
            return any(matches(part, metadata) for part in parts)
        case Not(part):
            return not matches(part, metadata)


def _held(metadata: Mapping[str, Any], field: str) -> Sequence[Any]:
    value = metadata.get(field)
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def _equal(held: Any, value: Scalar) -> bool:
    if isinstance(held, bool) or isinstance(value, bool):
        return held is value
    if isinstance(held, str) or isinstance(value, str):
        return isinstance(held, str) and held == value
    return isinstance(held, (int, float)) and held == value


def _within(held: Any, bounds: Range) -> bool:
    if isinstance(held, bool) or not isinstance(held, (int, float)):
        return False
    return (
        (bounds.gt is None or held > bounds.gt)
        and (bounds.gte is None or held >= bounds.gte)
        and (bounds.lt is None or held < bounds.lt)
        and (bounds.lte is None or held <= bounds.lte)
    )
