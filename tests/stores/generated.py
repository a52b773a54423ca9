"""Records and filters by the hundred, the same on every run: what the stores are asked to agree on.

The *portable* universe is what every store can hold: strings, booleans, numbers of float64, lists of
strings. The *wide* one adds nulls, mixed, nested and empty lists, and objects. Filters are made for the records
they are asked of: most of their values are held by some record, or look like one that is.

Dice with a seed throw them. What hypothesis draws is asked besides: it mixes the constants of all loaded
modules into that, so a change anywhere would be another set, and a failure seldom met twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

Metadata = dict[str, Any]
Raw = dict[str, Any]
Scalar = str | bool | int | float

RECORDS = 24
FILTERS = 320
DEPTH = 4
"""Combiners in each other, at most; every fifth filter has as many."""

EXACT = 1 << 53
"""Beyond it float64 skips whole numbers, and stores that keep them whole and stores that do not part."""

FIELDS = ("color", "year", "a.b", "two words", "größe", "a[0]")
WIDE_FIELDS = (*FIELDS, "a", 'with "quotes"')

_WORDS = ["red", "Red", "", " ", "1", "42", "true", "null", "grün", "日本", "$eq", "a.b"]
_NUMBERS = [0, -0.0, 1, 1.0, -1, 2, 3.0, 42, 42.0, 0.5, -2.5, 0.1, 5e-324, -1e300, 1_700_000_000_000]
_LARGEST = [EXACT, float(EXACT), EXACT - 1, 1 - EXACT, -EXACT]
BOUNDS = ["$gt", "$gte", "$lt", "$lte"]


@dataclass(frozen=True)
class Universe:
    """Records and the filters that all stores have to answer alike."""

    metadatas: list[Metadata]
    filters: list[Raw]


@cache
def portable() -> Universe:
    return _universe(Random("portable"), FIELDS, _portable_value)


@cache
def wide() -> Universe:
    return _universe(Random("wide"), WIDE_FIELDS, _wide_value)


def _universe(dice: Random, fields: Sequence[str], value: Callable[[Random], Any]) -> Universe:
    metadatas = [{field: value(dice) for field in fields if _chance(dice, 0.75)} for _ in range(RECORDS - 1)]
    records = [{}, *metadatas]
    held = {field: [scalar for record in records for scalar in flat(record.get(field))] for field in fields}
    different: dict[str, Raw] = {}
    while len(different) < FILTERS:
        raw = _Filters(dice, held).nested(len(different) % (DEPTH + 1))
        different[json.dumps(raw)] = raw
    return Universe(records, list(different.values()))


# -- what records hold


def _portable_value(dice: Random) -> Any:
    if _chance(dice, 0.25):
        return [dice.choice(_WORDS) for _ in range(1 + dice.randrange(3))]
    return _scalar(dice)


def _wide_value(dice: Random) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: [dice.choice([None, _scalar(dice)]) for _ in range(dice.randrange(4))],
        lambda: [[_scalar(dice)] for _ in range(dice.randrange(3))],
        lambda: {key: _scalar(dice) for key in dice.sample(["b", "c", "0"], dice.randrange(4))},
    ]
    return dice.choice(kinds)() if _chance(dice, 0.5) else _portable_value(dice)


def _scalar(dice: Random) -> Scalar:
    kinds: list[Callable[[], Scalar]] = [
        lambda: dice.choice(_WORDS),
        lambda: _number(dice),
        lambda: dice.choice([True, False]),
    ]
    return dice.choices(kinds, weights=[3, 4, 1])[0]()


def _number(dice: Random) -> float:
    kinds: list[Callable[[], float]] = [
        lambda: dice.choice(_NUMBERS),
        lambda: dice.choice(_LARGEST),
        lambda: dice.randint(-EXACT, EXACT),
        lambda: dice.uniform(-1, 1) * 10 ** dice.randint(-300, 300),
    ]
    return dice.choices(kinds, weights=[6, 2, 1, 1])[0]()


def flat(value: Any) -> Iterator[Scalar]:
    """The scalars in it, however deep: all worth asking for."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from flat(item)
    elif value is not None:
        yield value


# -- what filters ask for


@dataclass(frozen=True)
class _Filters:
    """Throws filters over fields and the scalars that records hold there."""

    dice: Random
    held: dict[str, list[Scalar]]

    def nested(self, depth: int) -> Raw:
        """An object with that many combiners in each other, and perhaps a field beside the outermost."""
        if depth == 0:
            return _joined(self._field() for _ in range(self.dice.choice([1, 1, 1, 2])))
        combiner = self.dice.choice(["$and", "$and", "$or", "$or", "$not"])
        others = [self.nested(self.dice.randrange(depth)) for _ in range(self.dice.randrange(3))]
        parts = self.dice.sample([self.nested(depth - 1), *others], 1 + len(others))
        combined: Raw = {combiner: self.nested(depth - 1) if combiner == "$not" else parts}
        return _joined([self._field(), combined]) if _chance(self.dice, 0.2) else combined

    def _field(self) -> Raw:
        """A field with a plain value, or with one to three operators."""
        field = self.dice.choice(list(self.held))
        if _chance(self.dice, 0.15):
            return {field: self._operand(field)}
        return {field: _joined(self._operator(field) for _ in range(self.dice.choice([1, 1, 1, 1, 2, 3])))}

    def _operator(self, field: str) -> Raw:
        operator = self.dice.choice(["$eq", "$ne", "$in", "$nin", "$exists", *BOUNDS])
        if operator == "$exists":
            return {operator: self.dice.choice([True, False])}
        if operator in BOUNDS:
            return {operator: self._bound(field)}
        if operator in ("$in", "$nin"):
            return {operator: [self._operand(field) for _ in range(self.dice.randrange(5))]}
        return {operator: self._operand(field)}

    def _operand(self, field: str) -> Scalar:
        known = self.dice.choice(self.held[field])
        if _chance(self.dice, 0.2):
            return _scalar(self.dice)
        return _look_alike(known) if _chance(self.dice, 0.25) else known

    def _bound(self, field: str) -> float:
        known = self.dice.choice([value for value in self.held[field] if not isinstance(value, (str, bool))])
        if _chance(self.dice, 0.2):
            return _number(self.dice)
        return math.nextafter(known, 0.5) if _chance(self.dice, 0.25) else known


def _look_alike(value: Scalar) -> Scalar:
    """A value that a careless store takes for this one; or rightly, where 42 is 42.0."""
    match value:
        case bool():
            return int(value)
        case 0 | 1:
            return bool(value)
        case str():
            return value.swapcase()
        case int():
            return float(value)
    return int(value) if value.is_integer() and abs(value) <= EXACT else str(value)


def _joined(objects: Iterator[Raw] | Sequence[Raw]) -> Raw:
    """One object with the keys of all."""
    return {key: value for part in objects for key, value in part.items()}


def _chance(dice: Random, share: float) -> bool:
    return dice.random() < share
