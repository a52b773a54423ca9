"""Filters in Pinecone's dialect, with the meaning of `filters.matches` whatever Pinecone leaves open. Pure.

Its documentation does not say whether `$ne` and `$nin` match records without the field, so a negation always
asks for those as well. There is no `$not`: negations are pushed inwards. Lists hold strings only.

One meaning cannot be had: a field with an empty list counts as there for `$exists`. So a cluster takes either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from ..errors import InvalidFilter
from ..filters import All, AnyOf, Equals, Exists, Filter, Not, Range, Scalar

Clause: TypeAlias = dict[str, Any] | bool
"""What is sent; True matches every record, False none: neither needs a request to find out."""


def translate(condition: Filter | None, hidden: Callable[[str], bool], *, can_exist: bool = True) -> Clause:
    """The condition for Pinecone. No record has metadata under a `hidden` key.

    Raises InvalidFilter where it has no words for it; without `can_exist`, for any `$exists`.
    """
    if condition is None:
        return True
    if not can_exist:
        _refuse_exists(condition)
    return _positive(condition, hidden)


def _refuse_exists(condition: Filter) -> None:
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                _refuse_exists(part)
        case Not(part):
            _refuse_exists(part)
        case Exists(field):
            raise InvalidFilter(
                "this cluster keeps empty lists (empty_lists), which Pinecone's $exists takes as there and other "
                "stores as absent",
                path=field,
            )


def _positive(condition: Filter, hidden: Callable[[str], bool]) -> Clause:
    match condition:
        case All(parts):
            return _all(_positive(part, hidden) for part in parts)
        case AnyOf(parts):
            return _any(_positive(part, hidden) for part in parts)
        case Not(part):
            return _negative(part, hidden)
        case Equals(field) | Range(field) | Exists(field) if hidden(field):
            return False
        case Equals(field, values):
            return _any(_is(field, "$eq", "$in", kind) for kind in _kinds(values))
        case Range(field):
            return _all({field: {operator: bound}} for operator, bound in _bounds(condition))
        case Exists(field):
            return {field: {"$exists": True}}


def _negative(condition: Filter, hidden: Callable[[str], bool]) -> Clause:
    """Every record that `_positive` leaves out."""
    match condition:
        case All(parts):
            return _any(_negative(part, hidden) for part in parts)
        case AnyOf(parts):
            return _all(_negative(part, hidden) for part in parts)
        case Not(part):
            return _positive(part, hidden)
        case Equals(field) | Range(field) | Exists(field) if hidden(field):
            return True
        case Equals(field, values):
            others = _all(_is(field, "$ne", "$nin", kind) for kind in _kinds(values))
            return _any([{field: {"$exists": False}}, others])
        case Exists(field):
            return {field: {"$exists": False}}
        case Range(field):
            raise InvalidFilter(
                "Pinecone cannot negate a range: there is no $not, and the opposite range leaves out text and "
                f'records without it; say {{"$or": [{{"{field}": …}}, {{"{field}": {{"$exists": false}}}}]}}',
                path=field,
            )


def _all(parts: Iterable[Clause]) -> Clause:
    needed = [part for part in parts if part is not True]
    if any(part is False for part in needed):
        return False
    return _joined("$and", needed) if needed else True


def _any(parts: Iterable[Clause]) -> Clause:
    possible = [part for part in parts if part is not False]
    if any(part is True for part in possible):
        return True
    return _joined("$or", possible) if possible else False


def _joined(operator: str, parts: Sequence[Clause]) -> Clause:
    return parts[0] if len(parts) == 1 else {operator: list(parts)}


def _is(field: str, one: str, many: str, values: Sequence[Scalar]) -> Clause:
    return {field: {one: values[0]} if len(values) == 1 else {many: list(values)}}


def _kinds(values: Iterable[Scalar]) -> list[list[Scalar]]:
    """The values that a record can hold: words, numbers, and each boolean alone, for lists hold no booleans."""
    words: list[Scalar] = []
    numbers: list[Scalar] = []
    switches: list[list[Scalar]] = []
    for value in values:
        match value:
            case bool():
                switches.append([value])
            case str():
                words.append(value)
            case _ if _is_float64(value):
                numbers.append(value)
    return [kind for kind in (words, numbers, *switches) if kind]


def _is_float64(number: float) -> bool:
    """Pinecone keeps numbers as float64; no record holds one that would be rounded."""
    try:
        return float(number) == number
    except OverflowError:
        return False


def _bounds(condition: Range) -> list[tuple[str, float]]:
    given = {"$gt": condition.gt, "$gte": condition.gte, "$lt": condition.lt, "$lte": condition.lte}
    bounds = [_bound(operator, bound) for operator, bound in given.items() if bound is not None]
    return bounds or [("$gte", -sys.float_info.max)]  # without bounds: any number


def _bound(operator: str, bound: float) -> tuple[str, float]:
    """The bound as float64. No float64 lies between a whole number and the one that it is rounded to."""
    rounded = float(bound)
    if rounded == bound:
        return operator, bound
    lower = operator.startswith("$g")
    outside = rounded < bound if lower else rounded > bound
    return ("$g" if lower else "$l") + ("t" if outside else "te"), rounded
