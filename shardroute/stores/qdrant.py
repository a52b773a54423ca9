"""Qdrant as a store: over REST or gRPC, or qdrant-client's local mode in memory or on disk.

Tenants are kept apart by a payload field, by a collection of their own, or by a shard key and the
field. Every read, update and delete names the tenant in a filter beside whatever it was asked for;
points that are asked for by id are looked at before anybody sees them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Sequence
from itertools import compress
from typing import Any, TypeVar

from qdrant_client import AsyncQdrantClient, models

from ..errors import (
    ClusterRejected,
    InvalidFilter,
    InvalidInput,
    InvalidRecord,
)
from ..filters import Filter
from ..native_ids import native_id
from ..ports import Change, Cursor, Limits, Page, Unnamed
from ..records import Match, Query, Record
from ..schema import Description, End
from ..topology import IdScheme, Place, Placement, TenancyKind
from . import qdrant_points as points
from .batches import Sized, by_bytes
from .qdrant_connection import address, apart_from_its_stream, cut_off_for_good, kept, last_byte_kept_back
from .qdrant_errors import About, QdrantRejected
from .qdrant_filters import translate, within
from .qdrant_json import point_size
from .qdrant_limits import LIMITS, MAX_BODY, NUMBER, bytes_of
from .qdrant_parts import Parts
from .qdrant_requests import Guard, Requests
from .qdrant_schema import check_create_options, missing_indexes, to_description
from .qdrant_sizes import Sizes
from .qdrant_tenancy import belongs, shared, tenant_field
from .qdrant_tenants import by_collection, by_field, unnamed_by_field, unnamed_collections

_T = TypeVar("_T")

_INSERT_ONLY_SINCE = (1, 17)
_MOVED_AT_ONCE = 16  # points whose vectors change, a request each


class QdrantStore:
    """A `ports.Store` on one Qdrant cluster.

    `ids = "mapped"`: a point's id is a UUIDv5 of tenant and id, and the id itself is kept in the payload.
    `ids = "native"`: ids are Qdrant's own, in the spelling that it gives back (`native_ids`). No point has any other:
    `upsert` refuses it, all else passes it over as not there. Where tenants share a collection, one
    tenant's upsert of an id that is another's leaves the other's point alone and raises ClusterRejected;
    that takes Qdrant 1.16, older servers overwrite.

    A query with both a dense and a sparse vector is two searches fused by reciprocal rank: its scores
    tell ranks, not similarities.
    """

    system = "qdrant"
    lag = 0.0
    can_hold_named_vectors = True
    limits = LIMITS

    def __init__(
        self,
        name: str,
        client: AsyncQdrantClient,
        *,
        owns_client: bool = True,
        read_consistency: models.ReadConsistencyType | int | None = None,
        write_ordering: models.WriteOrdering | None = None,
        request_timeout: float | None = 10.0,
        max_request_bytes: int = MAX_BODY,
    ) -> None:
        if max_request_bytes < 1_000_000:
            raise ValueError(f"max_request_bytes is {max_request_bytes}; it must be a million or more")
        self.name = name
        self._client = client
        self._owns_client = owns_client
        self._requests = Requests(name, client, request_timeout, read_consistency, write_ordering)
        self._local = self._requests.local
        self._sizes = Sizes(max_request_bytes)
        self._parts = Parts(self._requests, self._sizes)
        self._marked: dict[str, set[points.PointId]] = {}
        self.address = ("", None) if self._local else address(client.init_options)
        self._version: tuple[int, int] | None = None

    @classmethod
    def connect(
        cls,
        name: str,
        *,
        url: str | None = None,
        path: str | None = None,
        location: str | None = None,
        api_key: str | None = None,
        prefer_grpc: bool = False,
        timeout: float = 10.0,
        read_consistency: models.ReadConsistencyType | int | None = None,
        write_ordering: models.WriteOrdering | None = None,
        max_request_bytes: int = MAX_BODY,
        **options: Any,
    ) -> QdrantStore:
        """A store with a client of its own: `url` of a server, `path` of a directory, or `location=":memory:"`.

        `timeout` in seconds is for each request. `max_request_bytes`: the cluster's `service.max_request_size_mb`, for
        REST. More options, such as `grpc_port` or `headers`, go to `AsyncQdrantClient`. Nothing is sent before the
        first request. Raises ValueError if it is not said where.
        """
        if url is None and path is None and location is None and "host" not in options:
            raise ValueError("url is missing, where the cluster is (or, for local mode, path or location)")
        if url is not None:
            options = {"limits": kept(url), "check_compatibility": False, **options}
            options |= cut_off_for_good(options)
        client = AsyncQdrantClient(
            url=url,
            path=path,
            location=location,
            api_key=api_key,
            prefer_grpc=prefer_grpc,
            timeout=math.ceil(timeout),
            **options,
        )
        if url is not None:
            client.http.client.add_middleware(apart_from_its_stream)
            client.http.client.add_middleware(last_byte_kept_back)
        store = cls(
            name,
            client,
            read_consistency=read_consistency,
            write_ordering=write_ordering,
            request_timeout=timeout,
            max_request_bytes=max_request_bytes,
        )
        store._parts.asks_late = url is not None and not prefer_grpc
        return store

    @property
    def can_insert_only(self) -> bool:
        """Known once the cluster has been asked for its version: by `ping`, `describe` or `prepare`."""
        return self._local or (self._version is not None and self._version >= _INSERT_ONLY_SINCE)

    def limits_at(self, place: Place) -> Limits:
        """By what the collection and the cluster have said so far: `describe` and `prepare` ask, refusals tell."""
        return self._sizes.limits(place.collection)

    def misfit(self, place: Place, record: Record) -> str | None:
        return points.misfit(place, record) or self._too_large(place, record)

    def _too_large(self, place: Place, record: Record) -> str | None:
        """Over gRPC Qdrant takes any size. The vector counts with its dimensions where the record was read without."""
        if not self._requests.rest:
            return None
        most, vector = self._sizes.point, place.dimension * NUMBER
        others = [record.sparse_vector, *record.named_vectors.values()]
        held = bytes_of(record.metadata, 6) + sum(bytes_of(other) for other in others if other is not None)
        if held + vector <= most:
            return None
        size = point_size(points.to_point(place, record)) + (vector if record.vector is None else 0)
        return (
            None
            if size <= most
            else f"it has {size:,} bytes, and the cluster takes {most:,} at once (max_request_bytes)"
        )

    def filter_misfit(self, condition: Filter) -> str | None:
        try:
            translate(condition, hidden=None)
        except InvalidFilter as error:
            return str(error)
        return None

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        """In several requests, one after the other, where the cluster would refuse the size.

        If one of them fails, those before it are carried out, and none is under way but that one.
        """
        if not records:
            return
        batch = [self._to_point(place, record) for record in records]
        if insert_only:
            await self._require_insert_only()
        guard = Guard(
            within(place) if _shares_ids(place) else None,
            models.UpdateMode.INSERT_ONLY if insert_only else None,
        )
        try:
            await self._parts.upsert(place, batch, guard)
        except QdrantRejected as error:
            if not _is_new_tenant(place, error):
                raise
            await self.prepare(place)
            await self._parts.upsert(place, batch, guard)
        if _shares_ids(place):
            await self._refuse_foreign(place, batch)

    def _to_point(self, place: Place, record: Record) -> points.Point:
        point = points.to_point(place, record)
        if (reason := self._too_large(place, record)) is not None:
            raise InvalidRecord(f"record {record.id!r}: {reason}")
        return point

    async def _refuse_foreign(self, place: Place, batch: Sequence[points.Point]) -> None:
        """Raises ClusterRejected if the filter kept a write off another tenant's point."""
        ids = [point["id"] for point in batch]
        held = await self._parts.retrieve(place, ids, payload=points.tenant_payload(place), vectors=False)
        foreign = [str(point.id) for point in held if not belongs(place, point.payload)]
        if foreign:
            raise ClusterRejected(
                self.name,
                f"{len(foreign)} of {len(ids)} ids belong to another tenant of collection {place.collection!r} "
                f'and were not written: {", ".join(sorted(foreign)[:5])}; ids = "mapped" keeps tenants\' ids apart',
            )

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        for change in changes:
            reason = points.metadata_misfit(place, change.metadata or {})
            if reason is not None:
                raise InvalidRecord(f"record {change.id!r}: {reason}")
        known = [
            (point_id, change)
            for change in changes
            if (point_id := points.point_id(place, change.id)) is not None
        ]
        await self._reached(place, self._update(place, known), None)

    async def _update(self, place: Place, changes: Sequence[tuple[points.PointId, Change]]) -> None:
        """Payloads by filter; vectors of the points that are there, for an unknown id is an error to Qdrant.

        One request for each point whose vector changes: where Qdrant finds one missing, it has carried out some of the
        others, and nobody can tell which. What may have been carried out is never sent again (rule 4).
        """
        moved = [(point_id, change) for point_id, change in changes if points.moves(change)]
        rest = [(point_id, change) for point_id, change in changes if not points.moves(change)]
        payloads = [
            Sized(points.set_payload(place, held, change.metadata), bytes_of(change.metadata))
            for held, change in rest
            if change.metadata
        ]
        for some in by_bytes(payloads, self._sizes.batch):
            await self._parts.each(place, "delete_ids", some, lambda part: self._requests.change(place, part))
        present = await self._present(place, [point_id for point_id, _ in moved])
        there = [(point_id, change) for point_id, change in moved if point_id in present]
        for start in range(0, len(there), _MOVED_AT_ONCE):
            at_once = there[start : start + _MOVED_AT_ONCE]
            await _all_ended(self._move(place, point_id, change) for point_id, change in at_once)

    async def _move(self, place: Place, point_id: points.PointId, change: Change) -> None:
        operations: list[models.UpdateOperation] = [points.update_vectors(place, [(point_id, change)])]
        if change.metadata:
            operations.append(points.set_payload(place, point_id, change.metadata))
        try:
            await self._requests.change(place, operations)
        except QdrantRejected as error:
            if error.about is not About.NO_POINT:  # deleted after we saw it: nothing is left to be changed
                raise

    async def _present(self, place: Place, ids: Sequence[points.PointId]) -> set[points.PointId]:
        """Those of the ids that are the tenant's points."""
        if not ids:
            return set()
        held = await self._parts.retrieve(place, ids, payload=points.tenant_payload(place), vectors=False)
        return {_id(point) for point in held if belongs(place, point.payload)}

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        known = points.point_ids(place, ids)

        def delete(some: Sequence[points.PointId]) -> Awaitable[None]:
            return self._requests.delete(place, within(place, ids=some))

        await self._reached(place, self._parts.each(place, "delete_ids", known, delete), None)

    async def query(self, place: Place, query: Query) -> list[Match]:
        own = within(place, condition=query.filter)
        found = await self._reached(place, self._requests.query(place, query, own), [])
        return [
            points.to_match(place, point, metadata=query.include_metadata, vector=query.include_vector)
            for point in found
        ]

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        known = points.point_ids(place, ids)
        if not known:
            return {}
        answer = self._parts.retrieve(place, known, payload=True, vectors=vectors)
        held = await self._reached(place, answer, [])
        records = [points.to_record(place, point) for point in held if belongs(place, point.payload)]
        return {record.id: record for record in records}

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        """In the order of point ids; the cursor is the id that the next page begins with."""
        own = within(place, condition=condition)
        offset = None if cursor is None else native_id(cursor)
        if offset is None and cursor is not None:
            raise InvalidInput(f"cursor {cursor[:40]!r} was not given out by a Qdrant store")
        held, following = await self._reached(
            place, self._parts.scroll(place, own, offset, limit, vectors=vectors), ([], None)
        )
        others = [shared(place, point.payload) for point in held]  # a record's payload is without the field
        records = [points.to_record(place, point) for point in held]
        return Page(
            records,
            None if following is None else str(following),
            [record.id for record in compress(records, others)],
        )

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        own = within(place, condition=condition)
        try:
            return await self._reached(place, self._requests.count(place, own), 0)
        except QdrantRejected as error:
            if error.about is not About.NOT_EXACT:
                raise
        return await self._parts.count(place, own)

    async def estimate(self, place: Place) -> int:
        own = within(place)
        try:
            return await self._reached(place, self._requests.count(place, own), 0)
        except QdrantRejected as error:
            if error.about is not About.NOT_EXACT:
                raise
        return await self._requests.count(place, own, exactly=False)

    async def fresh(self, place: Place) -> None:
        """Writes are waited for, so reads see them; with replicas, as `read_consistency` says."""

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        """Marks the points, and deletes those of them that still have the mark: an upsert takes it away."""
        known = points.point_ids(place, ids)

        def remove(some: Sequence[points.PointId]) -> Awaitable[None]:
            return self._remove(place, some, mark)

        await self._reached(place, self._parts.each(place, "delete_ids", known, remove), None)

    async def _remove(self, place: Place, known: Sequence[points.PointId], mark: str) -> None:
        """What has its mark from an attempt before keeps it: of a limited rate, marks cost what deleting needs."""
        marked = self._marked.setdefault(mark, set())
        if unmarked := [point_id for point_id in known if point_id not in marked]:
            await self._requests.change(place, [points.set_mark(place, unmarked, mark)])
            marked.update(unmarked)
        await self._parts.still_permitted()
        condition = within(place, ids=known, mark=mark)
        try:
            await self._requests.delete(place, condition)
        except QdrantRejected as error:
            if error.about is not About.NO_INDEX:  # strict mode takes no filter without one
                raise
            await self._requests.make_mark_index(place)
            await self._requests.delete(place, condition)
        marked.difference_update(known)
        if not marked:
            self._marked.pop(mark, None)

    async def describe(self, place: Place) -> Description | None:
        check_create_options(place)  # before anything moves there
        await self._learn_version()
        told = await self._requests.collection(place.collection)
        if told is None:
            return None
        self._sizes.told(place.collection, models.CollectionInfo.model_validate(told))
        return to_description(place, told)

    async def prepare(self, place: Place, like: End | None = None) -> None:
        """Makes the collection, the tenant's shard key, the index on its field, and the indexes that `like` has."""
        await self._learn_version()
        if like is not None and (like.schema is None or like.schema.system != self.system):
            like = None
        told = await self._requests.collection(place.collection)
        if told is None:
            await self._requests.make_collection(place, like)
            told = await self._requests.collection(place.collection)  # with what the cluster sets for all
        if told is not None:
            self._sizes.told(place.collection, models.CollectionInfo.model_validate(told))
        if place.tenancy.kind is TenancyKind.SHARD_KEY:
            # Before the index: older servers refuse one while there is no shard.
            await self._requests.make_shard_key(place)
        if self._local:  # has no indexes
            return
        field = tenant_field(place.tenancy)
        if field and (told is None or field.key not in told["payload_schema"]):
            await self._requests.make_tenant_index(place, field)
        for name, schema in (missing_indexes(like, told) if like is not None else {}).items():
            await self._requests.make_index(place, name, schema)

    def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        field = tenant_field(placement.tenancy)
        if field is None:
            return by_collection(self._requests, placement, collections)
        return by_field(self._requests, field, placement.tenant_of, collections)

    def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        field = tenant_field(placement.tenancy)
        if field is None:
            return unnamed_collections(self._requests, placement, collections)
        return unnamed_by_field(self._requests, field, placement.tenant_of, collections)

    async def ping(self) -> None:
        self._version = await self._requests.version()

    async def aclose(self) -> None:
        if self._owns_client:
            await self._client.close()

    async def _reached(self, place: Place, answer: Awaitable[_T], empty: _T) -> _T:
        """The answer; `empty` where the tenant's own collection or shard key is not there yet."""
        try:
            return await answer
        except QdrantRejected as error:
            if _is_new_tenant(place, error):
                return empty
            raise

    async def _require_insert_only(self) -> None:
        await self._learn_version()
        if not self.can_insert_only:
            raise ClusterRejected(self.name, f"insert_only takes Qdrant 1.17; this is {self._version}")

    async def _learn_version(self) -> None:
        if self._version is None:
            await self.ping()


async def _all_ended(calls: Iterable[Awaitable[None]]) -> None:
    """Raises the first failure once all have ended: none goes on behind its caller's back."""
    for failure in await asyncio.gather(*calls, return_exceptions=True):
        if failure is not None:
            raise failure


def _is_new_tenant(place: Place, error: QdrantRejected) -> bool:
    """Whether what is missing is the tenant's own: then the tenant has no records yet."""
    return (place.tenancy.kind, error.about) in {
        (TenancyKind.COLLECTION, About.NO_COLLECTION),
        (TenancyKind.SHARD_KEY, About.NO_SHARD_KEY),
    }


def _shares_ids(place: Place) -> bool:
    """Whether another tenant may have a point of the same id."""
    return place.ids is IdScheme.NATIVE and tenant_field(place.tenancy) is not None


def _id(point: models.Record) -> points.PointId:
    return point.id if isinstance(point.id, int) else str(point.id)
