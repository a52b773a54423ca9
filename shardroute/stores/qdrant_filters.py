"""Filters as Qdrant's conditions, with exactly the meaning of `filters.matches`, and the tenant's bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from qdrant_client import models

from ..filters import All, AnyOf, Equals, Exists, Filter, Not, Range, Scalar
from ..records import RESERVED_PREFIX
from ..topology import Place
from .qdrant_tenancy import TenantField, json_key, tenant_field

_EXACT_IN_FLOAT = 1 << 53
_INT64 = range(-(1 << 63), 1 << 63)

MARK_KEY = f"{RESERVED_PREFIX}_purge"
"""Payload key of points that a purge is about to delete. No reader sees it, and an upsert takes it away."""

NOTHING = models.HasIdCondition(has_id=[])
"""A condition that no point meets."""


def within(
    place: Place,
    *,
    ids: Collection[int | str] | None = None,
    condition: Filter | None = None,
    mark: str | None = None,
) -> models.Filter | None:
    """What is the tenant's own and meets the conditions; None if that is the whole collection.

    The user's condition is one member of a `must` beside the tenant's, so nothing in it can reach
    outside: not an `$or`, not a `$not`, and the tenant's field itself is hidden from it.
    """
    must: list[models.Condition] = []
    if ids is not None:  # first: local mode evaluates in order, and this is the quickest to fail
        must.append(models.HasIdCondition(has_id=list(ids)))
    field = tenant_field(place.tenancy)
    if field is not None:
        must.append(_match(field.key, field.value(place.tenant)))
    if mark is not None:
        must.append(_match(MARK_KEY, mark))
    if condition is not None:
        must.append(translate(condition, hidden=field))
    return models.Filter(must=must) if must else None


def translate(condition: Filter, *, hidden: TenantField | None) -> models.Condition:
    """The condition in Qdrant's terms. Raises InvalidFilter for keys that Qdrant cannot name.

    `hidden` and reserved fields are absent in every record, as they are in what a reader gets.
    """
    match condition:
        case All(parts):
            return models.Filter(must=[translate(part, hidden=hidden) for part in parts])
        case AnyOf(parts):
            return _any([translate(part, hidden=hidden) for part in parts])
        case Not(part):
            return models.Filter(must_not=[translate(part, hidden=hidden)])
        case Equals(field) | Range(field) | Exists(field) if _is_hidden(field, hidden):
            return NOTHING
        case Equals(field, values):
            return _any(list(_equals(json_key(field), values)))
        case Range(field):
            bounds = models.Range(gt=condition.gt, gte=condition.gte, lt=condition.lt, lte=condition.lte)
            return models.FieldCondition(key=json_key(field), range=bounds)
        case Exists(field):  # null and the empty list are "empty"; a list that holds a null is not
            empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=json_key(field)))
            return models.Filter(must_not=[empty])


def _is_hidden(field: str, hidden: TenantField | None) -> bool:
    return field.startswith(RESERVED_PREFIX) or (hidden is not None and hidden.path == (field,))


def _any(conditions: list[models.Condition]) -> models.Condition:
    if not conditions:  # an empty `should` would match everything
        return NOTHING
    return conditions[0] if len(conditions) == 1 else models.Filter(should=conditions)


def _equals(key: str, values: tuple[Scalar, ...]) -> Iterator[models.Condition]:
    words = [value for value in values if isinstance(value, str)]
    if len(words) == 1:
        yield _match(key, words[0])
    elif words:
        yield models.FieldCondition(key=key, match=models.MatchAny(any=words))
    for value in values:
        if isinstance(value, bool):
            yield _match(key, value)
        elif not isinstance(value, str):
            yield _number(key, value)


def _match(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _number(key: str, value: float) -> models.Condition:
    """A range, because `match 42` misses 42.0; whole numbers that a float would round, by value."""
    if isinstance(value, int) and abs(value) > _EXACT_IN_FLOAT and value in _INT64:
        return _match(key, value)
    try:
        return models.FieldCondition(key=key, range=models.Range(gte=float(value), lte=float(value)))
    except OverflowError:  # no payload holds a number as large
        return NOTHING
