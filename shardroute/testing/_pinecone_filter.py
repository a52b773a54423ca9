"""Pinecone's metadata filters, compiled to a function of a record's metadata.

Apart from `shardroute.filters` on purpose: what is to be tested does not test itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from shardroute.testing._pinecone_errors import Refused

Metadata: TypeAlias = Mapping[str, Any]
Condition: TypeAlias = Callable[[Metadata], bool]
Test: TypeAlias = Callable[[Any], bool]

TEXT_MATCHES = frozenset({"$match_phrase", "$match_all", "$match_any"})
MAX_VALUES = 10_000
"""Values in one ``$in`` or ``$nin`` (documented)."""


def compiled(raw: Any, *, ne_matches_missing: bool = True, forbidden: Collection[str] = ()) -> Condition:
    """The filter as a function.

    Args:
        ne_matches_missing: whether ``$ne`` and ``$nin`` match a record that lacks the field.
        forbidden: fields that may not be compared.

    Raises:
        Refused: it is no filter.
    """
    return _Compiler(ne_matches_missing, frozenset(forbidden)).every(raw)


class _Compiler:
    def __init__(self, ne_matches_missing: bool, forbidden: frozenset[str]) -> None:
        self._ne_matches_missing = ne_matches_missing
        self._forbidden = forbidden

    def every(self, raw: Any) -> Condition:
        if not isinstance(raw, Mapping):
            raise Refused(f"Illegal condition for filter: expected an object, got {raw!r}")
        return _all([self._entry(key, value) for key, value in raw.items()])

    def _entry(self, key: str, value: Any) -> Condition:
        if key in ("$and", "$or"):
            return _all(self._parts(key, value)) if key == "$and" else _any(self._parts(key, value))
        if key == "$not":
            inner = self.every(value)
            return lambda metadata: not inner(metadata)
        if key.startswith("$"):
            raise Refused(f"{key} is not a valid operator at this level")
        operators = value if isinstance(value, Mapping) else {"$eq": value}
        if not TEXT_MATCHES.isdisjoint(operators):
            raise Refused("the emulator does not match text: $match_phrase, $match_all and $match_any")
        if key in self._forbidden:
            raise Refused(f"Field '{key}' is searched by the schema and takes no comparison in a filter")
        return _all([self._operator(key, operator, operand) for operator, operand in operators.items()])

    def _parts(self, key: str, value: Any) -> list[Condition]:
        if not isinstance(value, list) or not value:
            raise Refused(f"{key} must be followed by a non-empty list of conditions")
        return [self.every(part) for part in value]

    def _operator(self, field: str, operator: str, operand: Any) -> Condition:
        if operator == "$exists":
            return _exists(field, operand)
        if operator == "$not":  # {"field": {"$not": {"$eq": …}}}
            inner = self._entry(field, operand)
            return lambda metadata: not inner(metadata)
        if operator not in _TESTS:
            raise Refused(f"{operator} is not a valid operator")
        test = _TESTS[operator](operator, operand)
        if operator in ("$ne", "$nin"):
            return _none(field, test, self._ne_matches_missing)
        return _held(field, test)


def _all(parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]
    return lambda metadata: all(part(metadata) for part in parts)


def _any(parts: list[Condition]) -> Condition:
    return lambda metadata: any(part(metadata) for part in parts)


def _held(field: str, test: Test) -> Condition:
    def condition(metadata: Metadata) -> bool:
        value = metadata.get(field)
        if isinstance(value, list):
            return any(test(item) for item in value)
        return value is not None and test(value)

    return condition


def _none(field: str, test: Test, missing: bool) -> Condition:
    def condition(metadata: Metadata) -> bool:
        value = metadata.get(field)
        if value is None:
            return missing
        return not any(test(item) for item in (value if isinstance(value, list) else [value]))

    return condition


def _exists(field: str, operand: Any) -> Condition:
    if not isinstance(operand, bool):
        raise Refused(f"$exists must be followed by a boolean, got {operand!r}")
    return lambda metadata: (field in metadata) is operand


def _one_of(operator: str, operand: Any) -> Test:
    values = operand if operator in ("$in", "$nin") else [operand]
    if not isinstance(values, list) or any(
        not isinstance(value, str | bool | int | float) for value in values
    ):
        raise Refused(f"{operator} cannot be followed by {operand!r}")
    if len(values) > MAX_VALUES:
        raise Refused(f"{operator} takes at most {MAX_VALUES} values, got {len(values)}")
    wanted = frozenset((isinstance(value, bool), value) for value in values)
    return lambda value: (isinstance(value, bool), value) in wanted


def _bound(operator: str, operand: Any) -> Test:
    if isinstance(operand, bool) or not isinstance(operand, int | float):
        raise Refused(f"{operator} must be followed by a number, got {operand!r}")
    compare = _COMPARISONS[operator]
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and compare(value, operand)
    )


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}
_TESTS: dict[str, Callable[[str, Any], Test]] = {
    **dict.fromkeys(("$eq", "$ne", "$in", "$nin"), _one_of),
    **dict.fromkeys(_COMPARISONS, _bound),
}
