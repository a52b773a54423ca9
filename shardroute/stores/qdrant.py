"""Qdrant as a store: over REST or gRPC, or qdrant-client's local mode in memory or on disk.

Tenants are kept apart by a payload field, by a collection of their own, or by a shard key and the
field. Every read, update and delete names the tenant in a filter beside whatever it was asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from qdrant_client import AsyncQdrantClient, models

from ..errors import ClusterRejected, ClusterUnavailable, InvalidRecord, ShardrouteError
from ..filters import Filter
from ..ports import Change, Cursor, Description, Limits, Page
from ..records import Match, Query, Record
from ..topology import IdScheme, Place, Placement, TenancyKind
from . import qdrant_points as points
from .qdrant_errors import About, QdrantRejected, request
from .qdrant_filters import json_key, tenant_field, translate, within
from .qdrant_tenants import by_collection, by_field

_T = TypeVar("_T")

_INSERT_ONLY_SINCE = (1, 17)
_UPDATE_ATTEMPTS = 5

# Qdrant closes idle connections after five seconds: a client that keeps them as long meets the close half-way.
_KEEPALIVE_SECONDS = 2.0
_CONNECTIONS = 100


class QdrantStore:
    """A `ports.Store` on one Qdrant cluster.

    `ids = "mapped"`: a point's id is a UUIDv5 of tenant and id, and the id itself is kept in the payload.
    `ids = "native"`: ids are Qdrant's own, canonically spelled. Where tenants share a collection, one
    tenant's upsert of an id that is another's leaves the other's point alone and raises ClusterRejected;
    that takes Qdrant 1.16, older servers overwrite.

    A query with both a dense and a sparse vector is two searches fused by rank (reciprocal rank fusion):
    its scores are ranks' scores, not similarities.
    """

    system = "qdrant"
    limits = Limits(upsert_bytes=16_000_000)

    def __init__(
        self,
        name: str,
        client: AsyncQdrantClient,
        *,
        owns_client: bool = True,
        read_consistency: models.ReadConsistencyType | int | None = None,
        write_ordering: models.WriteOrdering | None = None,
        request_timeout: float | None = 10.0,
    ) -> None:
        self.name = name
        self._client = client
        self._owns_client = owns_client
        self._consistency = read_consistency
        self._ordering = write_ordering
        self._timeout = request_timeout
        options = client.init_options
        self._local = options["location"] == ":memory:" or options["path"] is not None
        self.address = ("", None) if self._local else _address(options)
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
        **options: Any,
    ) -> QdrantStore:
        """A store with a client of its own: `url` of a server, `path` of a directory, or `location=":memory:"`.

        `timeout` in seconds is for each request. More options, such as `grpc_port` or `headers`, go to
        `AsyncQdrantClient`. Nothing is sent before the first request.
        """
        if url is not None:
            keep = httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            )
            options = {"limits": keep, "check_compatibility": False, **options}
        client = AsyncQdrantClient(
            url=url,
            path=path,
            location=location,
            api_key=api_key,
            prefer_grpc=prefer_grpc,
            timeout=math.ceil(timeout),
            **options,
        )
        return cls(
            name,
            client,
            read_consistency=read_consistency,
            write_ordering=write_ordering,
            request_timeout=timeout,
        )

    @property
    def can_insert_only(self) -> bool:
        """Known once the cluster has been asked for its version: by `ping`, `describe` or `prepare`."""
        return self._local or (self._version is not None and self._version >= _INSERT_ONLY_SINCE)

    def misfit(self, place: Place, record: Record) -> str | None:
        return points.misfit(place, record)

    def filter_misfit(self, condition: Filter) -> str | None:
        try:
            translate(condition, hidden=None)
        except ShardrouteError as error:
            return str(error)
        return None

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        if not records:
            return
        batch = [points.to_point(place, record) for record in records]
        if insert_only:
            await self._require_insert_only()
        try:
            await self._upsert(place, batch, insert_only)
        except QdrantRejected as error:
            if not _is_new_tenant(place, error):
                raise
            await self.prepare(place)
            await self._upsert(place, batch, insert_only)
        if _shares_ids(place):
            await self._refuse_foreign(place, [point.id for point in batch])

    async def _upsert(self, place: Place, batch: list[models.PointStruct], insert_only: bool) -> None:
        async with request(self.name, self._timeout):
            await self._client.upsert(
                place.collection,
                batch,
                wait=True,
                ordering=self._ordering,
                shard_key_selector=_shard_key(place),
                update_filter=within(place) if _shares_ids(place) else None,
                update_mode=models.UpdateMode.INSERT_ONLY if insert_only else None,
            )

    async def _refuse_foreign(self, place: Place, ids: Sequence[Any]) -> None:
        """Raises ClusterRejected if the update filter kept a write of ours off a point of another tenant."""
        foreign = set(ids) - await self._present(place, ids, missing=ids)
        if foreign:
            some = ", ".join(sorted(map(str, foreign))[:5])
            raise ClusterRejected(
                self.name,
                f"{len(foreign)} of {len(ids)} ids belong to another tenant of collection {place.collection!r} "
                f'and were not written: {some}; ids = "mapped" keeps tenants\' ids apart',
            )

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        for change in changes:
            reason = points.metadata_misfit(place, change.metadata or {})
            if reason is not None:
                raise InvalidRecord(f"record {change.id!r}: {reason}")
        known = [
            (held, change) for change in changes if (held := points.point_id(place, change.id)) is not None
        ]
        for _ in range(_UPDATE_ATTEMPTS):
            try:
                return await self._reached(place, self._update(place, known), None)
            except QdrantRejected as error:
                # Deleted after we saw it. The rest may not have been done, and can be done again.
                if error.about is not About.NO_POINT:
                    raise
        raise ClusterUnavailable(self.name, "points vanish faster than their vectors can be updated")

    async def _update(self, place: Place, changes: Sequence[tuple[points.PointId, Change]]) -> None:
        """Payloads by filter; vectors of points that are there, because an unknown id is an error to Qdrant."""
        operations: list[models.UpdateOperation] = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload=dict(change.metadata),
                    filter=within(place, ids=[held]),
                    shard_key=_shard_key(place),
                )
            )
            for held, change in changes
            if change.metadata
        ]
        moved = [pair for pair in changes if pair[1].vector is not None or pair[1].sparse_vector is not None]
        present = await self._present(place, [held for held, _ in moved])
        vectors = [
            models.PointVectors(id=held, vector=points.to_vectors(place, change.vector, change.sparse_vector))
            for held, change in moved
            if held in present
        ]
        if vectors:
            update = models.UpdateVectors(
                points=vectors, update_filter=within(place), shard_key=_shard_key(place)
            )
            operations.append(models.UpdateVectorsOperation(update_vectors=update))
        if operations:
            async with request(self.name, self._timeout):
                await self._client.batch_update_points(
                    place.collection, operations, wait=True, ordering=self._ordering
                )

    async def _present(
        self, place: Place, ids: Sequence[points.PointId], *, missing: Sequence[points.PointId] = ()
    ) -> set[points.PointId]:
        """Those of the ids that are points of the tenant; ids that nobody has count if they are in `missing`."""
        if not ids:
            return set()
        held = await self._retrieve(place, ids, payload=points.tenant_payload(place), vectors=False)
        own = {point.id for point in held if points.belongs(place, point.payload)}
        return {*own, *(set(missing) - {point.id for point in held})}

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        known = [held for name in ids if (held := points.point_id(place, name)) is not None]
        if known:
            await self._reached(place, self._delete(place, within(place, ids=known)), None)

    async def _delete(self, place: Place, own: models.Filter | None) -> None:
        assert own is not None, "without a filter, everything would go"
        async with request(self.name, self._timeout):
            await self._client.delete(
                place.collection,
                models.FilterSelector(filter=own),
                wait=True,
                ordering=self._ordering,
                shard_key_selector=_shard_key(place),
            )

    async def query(self, place: Place, query: Query) -> list[Match]:
        own = within(place, condition=query.filter)
        found = await self._reached(place, self._query(place, query, own), [])
        return [
            points.to_match(place, point, metadata=query.include_metadata, vector=query.include_vector)
            for point in found
        ]

    async def _query(self, place: Place, query: Query, own: models.Filter | None) -> list[models.ScoredPoint]:
        async with request(self.name, self._timeout):
            response = await self._client.query_points(
                place.collection,
                **_search(place, query, own),
                query_filter=own,
                limit=query.top_k,
                with_payload=points.wanted_payload(place, query.include_metadata),
                with_vectors=points.wanted_vectors(place, query.include_vector),
                consistency=self._consistency,
                shard_key_selector=_shard_key(place),
            )
        return response.points

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        known = [held for name in ids if (held := points.point_id(place, name)) is not None]
        if not known:
            return {}
        wanted = points.wanted_vectors(place, vectors)
        held = await self._reached(place, self._retrieve(place, known, payload=True, vectors=wanted), [])
        records = [points.to_record(place, point) for point in held if points.belongs(place, point.payload)]
        return {record.id: record for record in records}

    async def _retrieve(
        self,
        place: Place,
        ids: Sequence[points.PointId],
        *,
        payload: bool | list[str],
        vectors: bool | list[str],
    ) -> list[models.Record]:
        async with request(self.name, self._timeout):
            return await self._client.retrieve(
                place.collection,
                list(ids),
                with_payload=payload,
                with_vectors=vectors,
                consistency=self._consistency,
                shard_key_selector=_shard_key(place),
            )

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
        page = self._scroll(place, own, cursor, limit, points.wanted_vectors(place, vectors))
        held, follows = await self._reached(place, page, ([], None))
        return Page(
            [points.to_record(place, point) for point in held], None if follows is None else str(follows)
        )

    async def _scroll(
        self,
        place: Place,
        own: models.Filter | None,
        cursor: Cursor | None,
        limit: int,
        vectors: bool | list[str],
    ) -> tuple[list[models.Record], Any]:
        async with request(self.name, self._timeout):
            return await self._client.scroll(
                place.collection,
                scroll_filter=own,
                limit=limit,
                offset=None if cursor is None else points.native_id(cursor),
                with_payload=True,
                with_vectors=vectors,
                consistency=self._consistency,
                shard_key_selector=_shard_key(place),
            )

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        return await self._reached(place, self._count(place, within(place, condition=condition)), 0)

    async def _count(self, place: Place, own: models.Filter | None) -> int:
        async with request(self.name, self._timeout):
            answer = await self._client.count(
                place.collection, own, exact=True, shard_key_selector=_shard_key(place)
            )
        return answer.count

    async def purge(self, place: Place) -> None:
        if place.tenancy.kind is TenancyKind.COLLECTION:
            async with request(self.name, self._timeout):
                await self._client.delete_collection(place.collection)
            return
        await self._reached(place, self._delete(place, within(place)), None)
        if place.tenancy.kind is TenancyKind.SHARD_KEY:
            await self._reached(place, self._delete_shard_key(place), None)

    async def _delete_shard_key(self, place: Place) -> None:
        async with request(self.name, self._timeout):
            await self._client.delete_shard_key(place.collection, place.tenant)

    async def describe(self, place: Place) -> Description | None:
        await self._learn_version()
        info = await self._info(place)
        return None if info is None else points.to_description(place, info)

    async def prepare(self, place: Place) -> None:
        """The collection; the tenant's shard key; the index on the tenant's field."""
        await self._learn_version()
        info = await self._info(place)
        if info is None:
            await self._make(self._client.create_collection(place.collection, **points.new_collection(place)))
        if place.tenancy.kind is TenancyKind.SHARD_KEY:
            # Before the index: servers before 1.17 refuse an index while there is no shard.
            await self._make(self._client.create_shard_key(place.collection, place.tenant))
        field = tenant_field(place.tenancy)
        if field is not None and not self._local and (info is None or field not in info.payload_schema):
            await self._make(
                self._client.create_payload_index(
                    place.collection,
                    json_key(field),
                    models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
                    wait=True,
                )
            )

    async def _make(self, creation: Awaitable[object]) -> None:
        """What somebody else has made in the meantime is made."""
        try:
            async with request(self.name, self._timeout):
                await creation
        except QdrantRejected as error:
            if error.about is not About.EXISTS:
                raise

    async def _info(self, place: Place) -> models.CollectionInfo | None:
        try:
            async with request(self.name, self._timeout):
                return await self._client.get_collection(place.collection)
        except QdrantRejected as error:
            if error.about is not About.NO_COLLECTION:
                raise
            return None

    async def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        if placement.tenancy.kind is TenancyKind.COLLECTION:
            found = by_collection(self._client, self.name, self._timeout, placement.collection, collections)
        else:
            field = tenant_field(placement.tenancy) or ""
            found = by_field(self._client, self.name, self._timeout, field, collections)
        async for tenant in found:
            yield tenant

    async def ping(self) -> None:
        self._version = None
        await self._learn_version()

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
            async with request(self.name, self._timeout):
                text = (await self._client.info()).version
            major, minor = (re.findall(r"\d+", text) + ["0", "0"])[:2]
            self._version = (int(major), int(minor))


def _is_new_tenant(place: Place, error: QdrantRejected) -> bool:
    """Whether what is missing is the tenant's own: then the tenant has no records yet."""
    return (place.tenancy.kind, error.about) in {
        (TenancyKind.COLLECTION, About.NO_COLLECTION),
        (TenancyKind.SHARD_KEY, About.NO_SHARD_KEY),
    }


def _shares_ids(place: Place) -> bool:
    """Whether another tenant may have a point of the same id. A shard key has its own points."""
    return place.ids is IdScheme.NATIVE and place.tenancy.kind is TenancyKind.PAYLOAD


def _shard_key(place: Place) -> str | None:
    return place.tenant if place.tenancy.kind is TenancyKind.SHARD_KEY else None


def _search(place: Place, query: Query, own: models.Filter | None) -> dict[str, Any]:
    """Dense, sparse, or both fused by reciprocal rank."""
    searches: list[dict[str, Any]] = []
    if query.vector is not None:
        searches.append({"query": query.vector.tolist(), "using": place.vector_name or None})
    if query.sparse_vector is not None:
        searches.append({"query": points.to_sparse(query.sparse_vector), "using": place.sparse_name})
    if len(searches) == 1:
        return searches[0]
    prefetch = [models.Prefetch(**search, filter=own, limit=query.top_k) for search in searches]
    return {"prefetch": prefetch, "query": models.FusionQuery(fusion=models.Fusion.RRF)}


def _address(options: dict[str, Any]) -> tuple[str, int | None]:
    parts = urlsplit(options["url"] or f"//{options['host'] or 'localhost'}")
    port = options["grpc_port"] if options["prefer_grpc"] else parts.port or options["port"]
    return parts.hostname or "", port
