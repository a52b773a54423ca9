"""The requests a store makes of Qdrant: each once, within its time, answered or refused in our terms."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from qdrant_client import AsyncQdrantClient, models

from ..records import Query
from ..schema import End
from ..topology import FieldType, Place
from ..truncation import quoted
from .batches import Sized, by_bytes, in_pages
from .qdrant_errors import About, QdrantRejected, request
from .qdrant_filters import MARK_KEY
from .qdrant_json import exact, point_size, read_body, upsert_body
from .qdrant_limits import bytes_of
from .qdrant_points import (
    Point,
    PointId,
    searched_vector,
    shard_key,
    to_sparse,
    to_struct,
    wanted_payload,
)
from .qdrant_schema import new_collection
from .qdrant_tenancy import TenantField

_INDEXES: Mapping[FieldType, models.PayloadFieldSchema] = {
    FieldType.TEXT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    FieldType.INTEGER: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, is_principal=None),
}
_NUMBER = re.compile(r"\d{1,9}")


class Guard(NamedTuple):
    """`own`: which of the points that exist may be replaced; None for any. `mode`: whether any may."""

    own: models.Filter | None
    mode: models.UpdateMode | None


class Part(NamedTuple):
    """Points for one upsert, and over REST the request's body."""

    points: Sequence[Point]
    body: bytes = b""


class Requests:
    """A client with the settings that every request has. Raises only errors of ours.

    Writes are waited for: without, Qdrant acknowledges what may still fail.
    """

    def __init__(
        self,
        cluster: str,
        client: AsyncQdrantClient,
        timeout: float | None,
        consistency: models.ReadConsistencyType | int | None = None,
        ordering: models.WriteOrdering | None = None,
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._timeout = timeout
        self._consistency = consistency
        self._ordering = ordering
        options = client.init_options
        self.local = options["location"] == ":memory:" or options["path"] is not None
        self.rest = not self.local and not options["prefer_grpc"]
        self._reads = cast(
            models.ReadConsistency, consistency
        )  # None as well, whatever the type of their argument

    def parts(
        self, place: Place, batch: Sequence[Point], guard: Guard, most: int, count: int
    ) -> Iterator[Part]:
        """The batch in order, for requests of at most so many bytes and points each; one point alone may have more."""
        if self.local:
            yield Part(batch)
            return
        for page in in_pages(batch, count):
            body = self._body(place, page, guard) if self.rest else b""
            size = len(body) if self.rest else sum(map(_size, page))
            if size <= most or len(page) == 1:
                yield Part(page, body)
                continue
            sized = (Sized(point, point_size(point) + 1 if self.rest else _size(point)) for point in page)
            for some in by_bytes(sized, most, count):
                yield Part(some, self._body(place, some, guard) if self.rest else b"")

    def _body(self, place: Place, points: Sequence[Point], guard: Guard) -> bytes:
        return upsert_body(points, shard_key(place), guard.own, guard.mode)

    async def upsert(self, place: Place, part: Part, guard: Guard) -> None:
        async with request(self._cluster, self._timeout):
            if self.rest:
                return await self._upsert_body(place, part.body)
            await self._client.upsert(
                place.collection,
                [to_struct(point) for point in part.points],
                wait=True,
                ordering=self._ordering,
                shard_key_selector=shard_key(place),
                update_filter=guard.own,
                update_mode=guard.mode,
            )

    async def _upsert_body(self, place: Place, body: bytes) -> None:
        """The same request by the same client. What is no model, it sends as it is."""
        await self._client.http.points_api.upsert_points(
            collection_name=place.collection,
            wait=True,
            ordering=cast(models.WriteOrdering, self._ordering),  # None as well, whatever its type says
            point_insert_operations=cast(models.PointsList, body),
        )

    async def change(self, place: Place, operations: Sequence[models.UpdateOperation]) -> None:
        async with request(self._cluster, self._timeout):
            await self._client.batch_update_points(
                place.collection, operations, wait=True, ordering=self._ordering
            )

    async def delete(self, place: Place, own: models.Filter | None) -> None:
        assert own is not None, "without a filter, everything would go"
        async with request(self._cluster, self._timeout):
            await self._client.delete(
                place.collection,
                models.FilterSelector(filter=own),
                wait=True,
                ordering=self._ordering,
                shard_key_selector=shard_key(place),
            )

    async def query(self, place: Place, query: Query, own: models.Filter | None) -> list[models.ScoredPoint]:
        payload = wanted_payload(place, query.include_metadata)
        vectors = searched_vector(place, query.include_vector)
        async with request(self._cluster, self._timeout):
            if self.rest:
                body = read_body(
                    own,
                    **_search_json(place, query, own),
                    limit=query.top_k,
                    with_payload=payload,
                    with_vector=vectors,
                    shard_key=shard_key(place),
                )
                answer = await self._client.http.search_api.query_points(
                    collection_name=place.collection,
                    consistency=self._reads,
                    query_request=cast(models.QueryRequest, body),
                )
                return answer.result.points if answer.result else []
            response = await self._client.query_points(
                place.collection,
                **_search(place, query, own),
                query_filter=own,
                limit=query.top_k,
                with_payload=payload,
                with_vectors=vectors,
                consistency=self._consistency,
                shard_key_selector=shard_key(place),
            )
        return response.points

    async def retrieve(
        self, place: Place, ids: Sequence[PointId], *, payload: bool | list[str], vectors: bool
    ) -> list[models.Record]:
        """By id alone: who calls looks whose points they are."""
        async with request(self._cluster, self._timeout):
            return await self._client.retrieve(
                place.collection,
                list(ids),
                with_payload=payload,
                with_vectors=vectors,
                consistency=self._consistency,
                shard_key_selector=shard_key(place),
            )

    async def scroll(
        self,
        place: Place,
        own: models.Filter | None,
        offset: PointId | None,
        limit: int,
        *,
        payload: bool = True,
        vectors: bool,
    ) -> tuple[list[models.Record], object]:
        async with request(self._cluster, self._timeout):
            if self.rest:
                body = read_body(
                    own,
                    limit=limit,
                    offset=offset,
                    with_payload=payload,
                    with_vector=vectors,
                    shard_key=shard_key(place),
                )
                answer = await self._client.http.points_api.scroll_points(
                    collection_name=place.collection,
                    consistency=self._reads,
                    scroll_request=cast(models.ScrollRequest, body),
                )
                return (answer.result.points, answer.result.next_page_offset) if answer.result else ([], None)
            return await self._client.scroll(
                place.collection,
                scroll_filter=own,
                limit=limit,
                offset=offset,
                with_payload=payload,
                with_vectors=vectors,
                consistency=self._consistency,
                shard_key_selector=shard_key(place),
            )

    async def count(self, place: Place, own: models.Filter | None, *, exactly: bool = True) -> int:
        async with request(self._cluster, self._timeout):
            if self.rest:
                body = read_body(own, exact=exactly, shard_key=shard_key(place))
                answer = await self._client.http.points_api.count_points(
                    collection_name=place.collection,
                    consistency=self._reads,
                    count_request=cast(models.CountRequest, body),
                )
                return answer.result.count if answer.result else 0
            told = await self._client.count(
                place.collection, own, exact=exactly, shard_key_selector=shard_key(place)
            )
        return told.count

    async def collection(self, name: str) -> Mapping[str, Any] | None:
        """All that Qdrant says of it, as JSON; None if there is no such collection.

        Over REST with what qdrant-client does not know. Over gRPC that cannot be seen.
        """
        try:
            async with request(self._cluster, self._timeout):
                if not self.rest:
                    told = await self._client.get_collection(name)
                    return told.model_dump(mode="json", exclude_none=True)
                answer: Any = await self._client.http.client.request(
                    type_=dict[str, Any],
                    method="GET",
                    url="/collections/{collection_name}",
                    path_params={"collection_name": name},
                )
                return cast("Mapping[str, Any]", answer["result"])
        except QdrantRejected as error:
            if error.about is not About.NO_COLLECTION:
                raise
            return None

    async def info(self, name: str) -> models.CollectionInfo | None:
        """The same as qdrant-client's model."""
        told = await self.collection(name)
        return None if told is None else models.CollectionInfo.model_validate(told)

    async def make_collection(self, place: Place, like: End | None) -> None:
        await self._make(self._client.create_collection(place.collection, **new_collection(place, like)))

    async def make_shard_key(self, place: Place) -> None:
        await self._make(self._client.create_shard_key(place.collection, place.tenant))

    async def make_tenant_index(self, place: Place, field: TenantField) -> None:
        await self.make_index(place, field.key, _INDEXES[field.type])

    async def make_index(self, place: Place, field: str, schema: models.PayloadFieldSchema) -> None:
        await self._make(self._client.create_payload_index(place.collection, field, schema, wait=True))

    async def make_mark_index(self, place: Place) -> None:
        await self.make_index(place, MARK_KEY, models.PayloadSchemaType.KEYWORD)

    async def _make(self, creation: Awaitable[object]) -> None:
        """What somebody else has made in the meantime is made."""
        try:
            async with request(self._cluster, self._timeout):
                await creation
        except QdrantRejected as error:
            if error.about is not About.EXISTS:
                raise

    async def collections(self) -> list[str]:
        async with request(self._cluster, self._timeout):
            answer = await self._client.get_collections()
        return [collection.name for collection in answer.collections]

    async def facet(self, collection: str, key: str, limit: int) -> list[models.FacetValueHit]:
        async with request(self._cluster, self._timeout):
            answer = await self._client.facet(collection, key, limit=limit, exact=True)
        return answer.hits

    async def count_values(self, collection: str, key: str, values: list[str]) -> int:
        """How many points of a whole collection, whoever's, have one of the values."""
        held = models.FieldCondition(key=key, match=models.MatchAny(any=values))
        async with request(self._cluster, self._timeout):
            answer = await self._client.count(collection, models.Filter(must=[held]), exact=True)
        return answer.count

    async def count_all(self, collection: str) -> int:
        async with request(self._cluster, self._timeout):
            return (await self._client.count(collection, exact=True)).count

    async def count_others(self, collection: str, key: str, values: Sequence[str | int]) -> int:
        """How many points of a whole collection, whoever's, have none of the values."""
        async with request(self._cluster, self._timeout):
            return (await self._client.count(collection, _without(key, values), exact=True)).count

    async def scroll_key(
        self, collection: str, key: str, offset: Any, limit: int, *, without: Sequence[str | int] = ()
    ) -> tuple[list[models.Record], Any]:
        """A page of a whole collection, whoever's, with one key of the payload; `without` values of it."""
        async with request(self._cluster, self._timeout):
            return await self._client.scroll(
                collection,
                scroll_filter=_without(key, without),
                limit=limit,
                offset=offset,
                with_payload=[key],
                with_vectors=False,
            )

    async def version(self) -> tuple[int, int]:
        async with request(self._cluster, self._timeout):
            text = (await self._client.info()).version
        major, minor = [*_NUMBER.findall(quoted(text)), "0", "0"][:2]
        return int(major), int(minor)


def _without(key: str, values: Sequence[str | int]) -> models.Filter | None:
    """Points whose key holds none of the values; None for all points."""
    if not values:
        return None
    words = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    held: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchAny(any=some)) for some in (words, numbers) if some
    ]
    return models.Filter(must_not=held)


def _size(point: Point) -> int:
    """About how many bytes it has over gRPC."""
    vectors = point["vector"]
    numbers = vectors.values() if isinstance(vectors, dict) else [vectors]
    return bytes_of(point["payload"]) + sum(bytes_of(vector) for vector in numbers) // 6


def _search(place: Place, query: Query, own: models.Filter | None) -> dict[str, Any]:
    """Dense, sparse, or both fused by reciprocal rank."""
    searches: list[dict[str, Any]] = []
    if query.vector is not None:
        searches.append({"query": query.vector.tolist(), "using": place.vector_name or None})
    if query.sparse_vector is not None:
        searches.append({"query": to_sparse(query.sparse_vector), "using": place.sparse_name})
    if len(searches) == 1:
        return searches[0]
    prefetch = [models.Prefetch(**search, filter=own, limit=query.top_k) for search in searches]
    return {"prefetch": prefetch, "query": models.FusionQuery(fusion=models.Fusion.RRF)}


def _search_json(place: Place, query: Query, own: models.Filter | None) -> dict[str, Any]:
    """The same as JSON, its vectors still arrays."""
    searches: list[dict[str, Any]] = []
    if query.vector is not None:
        searches.append(
            {"query": query.vector, **({"using": place.vector_name} if place.vector_name else {})}
        )
    if query.sparse_vector is not None:
        searches.append({"query": query.sparse_vector, "using": place.sparse_name})
    if len(searches) == 1:
        return searches[0]
    limits = {"limit": query.top_k} if own is None else {"limit": query.top_k, "filter": exact(own)}
    return {"prefetch": [search | limits for search in searches], "query": {"fusion": "rrf"}}
