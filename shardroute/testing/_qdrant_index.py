"""Indexes beside a collection of Qdrant's local mode: which points match a filter, in id order.

Local mode evaluates every filter on every point and sorts all ids for each page of a scroll. The index
answers one condition of a filter exactly, the one with the fewest points, and leaves the rest of the
filter to local mode's own `check_filter`. Deleted points stay in; the collection knows which they are.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key
from qdrant_client.local.utils import normalize_point_id

PointId = models.ExtendedPointId
Payload = dict[str, Any]
SortKey = tuple[str, int, int]
"""A point's UUID or "", its number or 0, its place in the collection: numbers come before UUIDs."""

FEW = 64
MOST_FIELDS = 16


def sort_key(point_id: PointId, place: int) -> SortKey:
    """Where a point stands in Qdrant's order of ids."""
    return ("", point_id, place) if isinstance(point_id, int) else (str(point_id), 0, place)


class SortedPoints:
    """Points in the order of their ids."""

    __slots__ = ("_keys", "_known", "_pending", "_places")

    def __init__(self, keys: Iterable[SortKey] = ()) -> None:
        self._keys: list[SortKey] = []
        self._pending = list(keys)
        self._places = {key[2] for key in self._pending}
        self._known = set(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: SortKey) -> None:
        """Take in a point; again is fine."""
        self._places.add(key[2])
        if key[2] not in self._known:
            self._known.add(key[2])
            self._pending.append(key)

    def discard(self, place: int) -> None:
        """Let go of a point, if it is in. (Its key stays, and is passed over.)"""
        self._places.discard(place)

    def places(self) -> Collection[int]:
        """The points' places, in no order."""
        return self._places

    def since(self, first: PointId | None) -> Iterator[int]:
        """The points' places in the order of their ids, from `first` on."""
        self._settle()
        start = 0 if first is None else bisect_left(self._keys, sort_key(first, -1))
        for position in range(start, len(self._keys)):
            place = self._keys[position][2]
            if place in self._places:
                yield place

    def _settle(self) -> None:
        if len(self._pending) <= FEW:
            for key in self._pending:
                insort(self._keys, key)
        else:
            self._keys += self._pending
            self._keys.sort()
        self._pending.clear()


class Selection(NamedTuple):
    """Points, and what of a filter is still to be checked on each of them."""

    points: SortedPoints
    rest: models.Filter | None


class PointIndex:
    """All points by id and, for each field that a filter has asked for, by its string values."""

    def __init__(self, ids: list[PointId], payloads: list[Payload]) -> None:
        self._ids = ids
        self._payloads = payloads
        self._everything = SortedPoints(sort_key(point_id, place) for place, point_id in enumerate(ids))
        self._fields: dict[str, dict[str, SortedPoints]] = {}

    def note(self, place: int, before: Payload, after: Payload) -> None:
        """A point was added (`before` is empty then), or its payload replaced."""
        key = sort_key(self._ids[place], place)
        self._everything.add(key)
        for field, points_of in self._fields.items():
            for value in _strings(before, field):
                points_of[value].discard(place)
            for value in _strings(after, field):
                points_of.setdefault(value, SortedPoints()).add(key)

    def select(self, payload_filter: models.Filter | None, places: dict[PointId, int]) -> Selection:
        """The fewest points one index can narrow the filter down to; `places` finds points by their id."""
        best = Selection(self._everything, payload_filter)
        if payload_filter is None:
            return best
        conditions = _as_list(payload_filter.must)
        for position, condition in enumerate(conditions):
            points, rest = self._answer(condition, places)
            if rest is not condition and len(points) <= len(best.points):
                others = [*conditions[:position], *([rest] if rest else []), *conditions[position + 1 :]]
                best = Selection(points, _with_must(payload_filter, others))
        return best

    def _answer(self, condition: Any, places: dict[PointId, int]) -> Selection:
        if isinstance(condition, models.Filter):
            return self.select(condition, places)
        if isinstance(condition, models.HasIdCondition):
            wanted = (normalize_point_id(point_id) for point_id in condition.has_id)
            keys = [sort_key(each, places[each]) for each in wanted if each in places]
            return Selection(SortedPoints(dict.fromkeys(keys)), None)
        if _asks_for_one_string(condition) and self._covers(condition.key):
            return Selection(self._fields[condition.key].get(condition.match.value, SortedPoints()), None)
        return Selection(self._everything, condition)

    def _covers(self, field: str) -> bool:
        if field not in self._fields and len(self._fields) < MOST_FIELDS:
            points_of = self._fields[field] = {}
            for place, payload in enumerate(self._payloads):
                for value in _strings(payload, field):
                    points_of.setdefault(value, SortedPoints()).add(sort_key(self._ids[place], place))
        return field in self._fields


class IndexedPayloads(list[Payload]):
    """The payloads of a collection; the index hears of every change.

    Local mode adds the id before the payload, and replaces a payload rather than change it in place.
    """

    def __init__(self, payloads: list[Payload], ids: list[PointId]) -> None:
        super().__init__(payloads)
        self.points = PointIndex(ids, self)

    def append(self, payload: Payload) -> None:
        """Take the payload of the next point."""
        super().append(payload)
        self.points.note(len(self) - 1, {}, payload)

    def __setitem__(self, place: Any, payload: Any) -> None:
        before = self[place]
        super().__setitem__(place, payload)
        self.points.note(place, before, payload)


def _as_list(clause: Any) -> list[Any]:
    return clause if isinstance(clause, list) else [] if clause is None else [clause]


def _with_must(payload_filter: models.Filter, must: list[Any]) -> models.Filter | None:
    others = (payload_filter.should, payload_filter.must_not, payload_filter.min_should)
    if not must and all(clause is None for clause in others):
        return None
    return payload_filter.model_copy(update={"must": must})


def _asks_for_one_string(condition: Any) -> bool:
    if not isinstance(condition, models.FieldCondition):
        return False
    # Local mode looks at these three first and, if one is there, at nothing else.
    others = (condition.values_count, condition.is_empty, condition.is_null)
    match = condition.match
    return (
        all(other is None for other in others)
        and isinstance(match, models.MatchValue)
        and isinstance(match.value, str)
    )


def _strings(payload: Payload, field: str) -> set[str]:
    found = _found(payload, field)
    return {value for value in found if isinstance(value, str)} if found else set()


def _found(payload: Payload, field: str) -> Sequence[Any] | None:
    if not (field.isascii() and field.isidentifier()):
        return value_by_key(payload, field)
    value = payload.get(field)  # the same, without taking the path apart
    return value if isinstance(value, list) else (value,)
