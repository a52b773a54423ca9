"""Qdrant's filters as shardroute's, where both mean the same. Pure.

One meaning is wider: a whole number also matches the float of its value (42 finds 42.0), because on a cluster that
keeps floats only there is nothing else to find.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from ..errors import InvalidFilter, NotCovered
from ..filters import All, AnyOf, Equals, Exists, Filter, Not, Range, Scalar, is_text, matches
from .coverage import Coverage

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED_KEY = re.compile(r'"([^"]+)"')
_BOUNDS = ("gt", "gte", "lt", "lte")

NOTHING = Equals("_", ())
EVERYTHING = Not(NOTHING)


@dataclass(frozen=True, slots=True)
class Translator:
    """`tenant_field`: a payload field that holds the `tenant`'s name in every record, if there is one."""

    coverage: Coverage
    tenant: str
    tenant_field: str | None = None

    def filter(self, call: str, raw: object) -> Filter | None:
        """The filter of an argument of `call`; None where it has no condition. Raises NotCovered."""
        if raw is None:
            return None
        if not isinstance(raw, models.Filter):
            raise self._no(f"{call}({type(raw).__name__}(…))", "give a models.Filter")
        return self._joined(raw)

    def field(self, key: str) -> str:
        """The key of a payload's top level that a JSON path names. Raises NotCovered for what lies deeper."""
        if _PLAIN_KEY.fullmatch(key):
            return key
        _check_text(key)
        quoted = _QUOTED_KEY.fullmatch(key)
        if quoted is None:
            raise self._no(f"key {key!r}", "only a payload's top level can be named")
        return quoted[1]

    def _joined(self, raw: models.Filter) -> Filter | None:
        if raw.min_should is not None:
            raise self._no("Filter(min_should=…)", "say it with `should`")
        parts = [self._condition(condition) for condition in _listed(raw.must)]
        if alternatives := _listed(raw.should):
            parts.append(AnyOf(tuple(map(self._condition, alternatives))))
        parts += [Not(self._condition(condition)) for condition in _listed(raw.must_not)]
        return All(tuple(parts)) if parts else None

    def _condition(self, raw: object) -> Filter:
        match raw:
            case models.Filter():
                return self._joined(raw) or EVERYTHING
            case models.FieldCondition():
                return self._known(self._field_condition(raw))
            case models.IsEmptyCondition():
                return self._known(Not(Exists(self.field(raw.is_empty.key))))
            case _:
                raise self._no(type(raw).__name__, "no other kind of cluster knows it")

    def _field_condition(self, raw: models.FieldCondition) -> Filter:
        given = [name for name in type(raw).model_fields if getattr(raw, name) is not None and name != "key"]
        name = given[0] if len(given) == 1 else ", ".join(given)
        if name not in _CONDITIONS:
            raise self._no(
                f"FieldCondition({name or 'nothing'})", f"known are {', '.join(_CONDITIONS)}, one each"
            )
        return _CONDITIONS[name](self, self.field(raw.key), getattr(raw, name))

    def _match(self, field: str, raw: object) -> Filter:
        match raw:
            case models.MatchValue(value=value):
                return Equals(field, _checked([value]))
            case models.MatchAny(any=values):
                return Equals(field, _checked(values))
            case models.MatchExcept():
                raise self._no(
                    "MatchExcept",
                    "of a list it asks for one element outside; say it with `must_not` and MatchAny",
                )
            case _:
                raise self._no(type(raw).__name__, "no other kind of cluster knows it")

    def _range(self, field: str, raw: object) -> Filter:
        if not isinstance(raw, models.Range):
            raise self._no(type(raw).__name__, "only numbers have ranges on every kind of cluster")
        bounds = {name: bound for name in _BOUNDS if (bound := getattr(raw, name)) is not None}
        if not all(map(math.isfinite, bounds.values())):
            raise self._no(f"Range({bounds})", "a bound is a finite number")
        return Range(field, **bounds)

    def _empty(self, field: str, raw: bool) -> Filter:
        return Not(Exists(field)) if raw else Exists(field)

    def _known(self, condition: Filter) -> Filter:
        """What is asked of the tenant's own field has its answer here: no cluster shows that field to anybody."""
        if self.tenant_field is None or self.tenant_field not in _fields(condition):
            return condition
        return EVERYTHING if matches(condition, {self.tenant_field: self.tenant}) else NOTHING

    def _no(self, call: str, instead: str) -> NotCovered:
        return self.coverage.not_covered(call, instead)


_CONDITIONS: dict[str, Callable[[Translator, str, Any], Filter]] = {
    "match": Translator._match,
    "range": Translator._range,
    "is_empty": Translator._empty,
}


def _checked(values: Iterable[Scalar]) -> tuple[Scalar, ...]:
    """Raises InvalidFilter."""
    found = tuple(values)
    for value in found:
        if isinstance(value, str):
            _check_text(value)
    return found


def _check_text(value: str) -> None:
    if not is_text(value):
        raise InvalidFilter(f"{value!r} cannot be written as UTF-8", path="")


def _listed(conditions: object) -> list[Any]:
    """Qdrant takes one condition for a list of one."""
    if conditions is None:
        return []
    return conditions if isinstance(conditions, list) else [conditions]


def _fields(condition: Filter) -> Iterable[str]:
    match condition:
        case Equals(field) | Range(field) | Exists(field):
            return (field,)
        case Not(part):
            return _fields(part)
        case All(parts) | AnyOf(parts):
            return [field for part in parts for field in _fields(part)]
