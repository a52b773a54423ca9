"""What a filter means, read off the raw dict: the first docstring of `shardroute.filters`, sentence by sentence.

It shares no line with `filters.parse` and `filters.matches`, and is naive on purpose: where the two
disagree, one of them has not understood the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Raw = Mapping[str, Any]


def satisfies(metadata: Mapping[str, Any], raw: Raw) -> bool:
    """Whether the metadata meets the filter. Several keys in one object are joined by `$and`."""
    return all(_meets(metadata, key, wanted) for key, wanted in raw.items())


def _meets(metadata: Mapping[str, Any], key: str, wanted: Any) -> bool:
    if key == "$and":
        return all(satisfies(metadata, part) for part in wanted)
    if key == "$or":
        return any(satisfies(metadata, part) for part in wanted)
    if key == "$not":
        return not satisfies(metadata, wanted)
    # A field with a plain value means `$eq`.
    operators = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
    return all(_holds(_values(metadata, key), operator, operand) for operator, operand in operators.items())


def _values(metadata: Mapping[str, Any], field: str) -> list[Any]:
    """What the field holds: null and the empty list count as absent, a list is its elements."""
    if field not in metadata or metadata[field] is None:
        return []
    return list(metadata[field]) if isinstance(metadata[field], (list, tuple)) else [metadata[field]]


def _holds(values: list[Any], operator: str, operand: Any) -> bool:
    """A field that holds a list matches if any element does."""
    if operator == "$exists":
        return bool(values) is operand
    if operator == "$eq":
        return any(_same(value, operand) for value in values)
    if operator == "$in":
        return any(_same(value, one) for value in values for one in operand)
    # `$ne` and `$nin` are the negation of `$eq` and `$in`, so they match records that lack the field.
    if operator == "$ne":
        return not _holds(values, "$eq", operand)
    if operator == "$nin":
        return not _holds(values, "$in", operand)
    return any(
        _is_number(value) and _within(Fraction(value), operator, Fraction(operand)) for value in values
    )


def _within(number: Fraction, operator: str, bound: Fraction) -> bool:
    if operator == "$gt":
        return number > bound
    if operator == "$gte":
        return number >= bound
    if operator == "$lt":
        return number < bound
    assert operator == "$lte", operator
    return number <= bound


def _same(one: Any, two: Any) -> bool:
    """Numbers compare as numbers (42 = 42.0) and never with booleans; nothing else crosses types."""
    if _is_number(one) and _is_number(two):
        return Fraction(one) == Fraction(two)
    return type(one) is type(two) and isinstance(one, (str, bool)) and bool(one == two)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
