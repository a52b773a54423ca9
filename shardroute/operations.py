"""The writes that a tenant can ask for, as values: which ids they touch, and what they ask of one side.

All of them are idempotent. That is for their callers, who may try again; the router never writes one twice (rule 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from .errors import InvalidRecord
from .native_ids import respelt
from .ports import Change
from .records import Record, as_vector, check_dimension, check_metadata
from .routing import Route, Target
from .topology import IdScheme


class Operation(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def ids(self) -> Sequence[str]: ...

    def check(self, route: Route) -> None:
        """Raises InvalidRecord if a side that would be written cannot hold it, or knows the id by another spelling.

        Nothing is written then.
        """

    async def apply(self, target: Target) -> None: ...


@dataclass(frozen=True, slots=True)
class Upsert:
    records: Sequence[Record]
    name: ClassVar[str] = "upsert"

    @property
    def ids(self) -> Sequence[str]:
        return [record.id for record in self.records]

    def check(self, route: Route) -> None:
        for target in route.targets:
            for record in self.records:
                check_record(target, record)

    async def apply(self, target: Target) -> None:
        await target.store.upsert(target.place, self.records)


@dataclass(frozen=True, slots=True)
class Update:
    changes: Sequence[Change]
    name: ClassVar[str] = "update"

    @property
    def ids(self) -> Sequence[str]:
        return [change.id for change in self.changes]

    def check(self, route: Route) -> None:
        for target in route.targets:
            for change in self.changes:
                check_change(target, change)

    async def apply(self, target: Target) -> None:
        await target.store.update(target.place, self.changes)


@dataclass(frozen=True, slots=True)
class Delete:
    ids: Sequence[str]
    name: ClassVar[str] = "delete"

    def check(self, route: Route) -> None:
        check_ids(route, self.ids)

    async def apply(self, target: Target) -> None:
        await target.store.delete(target.place, self.ids)


def check_ids(route: Route, ids: Sequence[str]) -> None:
    """Raises InvalidRecord if the primary knows the point of one of the ids by another spelling.

    It would find and delete nothing, where Qdrant's own client does. An id that no point can have is not there.
    """
    place = route.primary.place
    if place.ids is not IdScheme.NATIVE:
        return
    for record_id in ids:
        if (known := respelt(record_id)) is not None:
            raise InvalidRecord(
                f"id {record_id!r} is another spelling of {known!r}, by which cluster {place.cluster!r} knows it; "
                "give that one"
            )


def check_record(target: Target, record: Record) -> None:
    """Raises InvalidRecord if this side cannot hold the record."""
    place, vectors = target.place, (record.vector, record.sparse_vector, record.named_vectors or None)
    if target.encoder is None and all(vector is None for vector in vectors):
        raise InvalidRecord(f"record {record.id!r} has neither a vector nor a sparse vector")
    if record.named_vectors and not target.store.can_hold_named_vectors:
        raise InvalidRecord(
            f"record {record.id!r}: cluster {target.store.name!r} cannot hold its named vectors, "
            f"{', '.join(sorted(record.named_vectors))}"
        )
    check_dimension(record.vector, place.dimension, place.metric, what=f"record {record.id!r}")
    reason = target.store.misfit(place, record)
    if reason is not None:
        raise InvalidRecord(f"record {record.id!r}: cluster {target.store.name!r} cannot hold it: {reason}")


def check_change(target: Target, change: Change) -> None:
    """Raises InvalidRecord if this side cannot hold what the change sets."""
    place, what = target.place, f"update of {change.id!r}"
    vector = None if change.vector is None else as_vector(change.vector)
    check_dimension(vector, place.dimension, place.metric, what=what)
    metadata = {} if change.metadata is None else check_metadata(change.metadata)
    # What the change leaves as it is has a vector already, and a text, where vectors are made of one.
    there = {} if target.encoder is None else {target.encoder.source_field: ""}
    # Null removes a key; the text cannot be removed.
    kept = {key: value for key, value in metadata.items() if value is not None or key in there}
    dense = np.ones(place.dimension, dtype=np.float32) if vector is None else vector
    probe = Record(change.id, dense, {**there, **kept}, change.sparse_vector)
    reason = target.store.misfit(place, probe)
    if reason is not None:
        raise InvalidRecord(f"{what}: cluster {target.store.name!r} cannot hold it: {reason}")
