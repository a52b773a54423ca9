"""The reads of a `RoutedClient`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # `models` has another of this name

from ..errors import InvalidInput
from ..records import Match, Metric, Record, SparseVector, VectorLike
from ._qdrant_base import TWINS, OneTenant
from ._qdrant_points import PointId, point_id, record_id
from .paging import filled
from .recognised import recognised


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the nearest are looked for of. `but`: the record that a query by id leaves out."""

    dense: VectorLike | None = None
    sparse: SparseVector | None = None
    but: str | None = None


class Reads(OneTenant):
    """Query, retrieve, scroll and count."""

    async def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: Any = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        lookup_from: models.LookupLocation | None = None,
        consistency: Any = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> QueryResponse:
        """As `AsyncQdrantClient.query_points`, for the nearest of a vector or of a point.

        By id it is two requests; so it is where sparse vectors are to be shown. `version` of a point is 0.
        """
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse(
                "query_points",
                prefetch=prefetch,
                search_params=search_params,
                lookup_from=lookup_from,
                consistency=consistency,
                shard_key_selector=shard_key_selector,
            )
            condition = self._filters.filter("query_points", query_filter)
            skipped = offset or 0
            if limit < 1 or skipped < 0:
                raise InvalidInput(f"limit is {limit}, offset {skipped}; they must be at least 1 and 0")
            asked = await self._asked(query, using, timeout)
            found = await self._tenant.query(
                asked.dense,
                sparse_vector=asked.sparse,
                top_k=limit + skipped + (asked.but is not None),
                filter=condition,
                include_metadata=bool(with_payload),
                include_vector=bool(with_vectors),
                timeout=timeout,
            )
            metric = self._tenant.metric if asked.sparse is None else Metric.DOT
            others = [match for match in found if match.id != asked.but]
            matches = _good_enough(others[skipped : skipped + limit], score_threshold, metric)
            full = await self._full(matches, with_vectors, timeout)
            points = [
                self._scored(match, full.get(match.id), with_payload, with_vectors) for match in matches
            ]
            return QueryResponse(points=points)

    async def _asked(self, query: object, using: str | None, timeout: int | None) -> _Asked:
        shapes = self._shapes
        names = {"", None, shapes.vector_name, shapes.sparse_name}
        if using not in names:
            raise InvalidInput(f"no vector is called {using!r} here; see vector_name and sparse_name")
        if isinstance(query, models.NearestQuery):
            self._coverage.refuse("query_points", mmr=query.mmr)
            query = query.nearest
        if isinstance(query, (int, str, UUID)):
            return await self._like(
                record_id(query), sparse=bool(using) and using == shapes.sparse_name, timeout=timeout
            )
        if isinstance(query, models.SparseVector):
            return _Asked(sparse=shapes.sparse(query))
        if query is None:
            raise self._coverage.not_covered("query_points(query=None)", "`scroll` reads without a query")
        return _Asked(dense=shapes.dense(query))

    async def _like(self, name: str, timeout: int | None, *, sparse: bool) -> _Asked:
        stored = (await self._tenant.fetch([name], timeout=timeout)).get(name)
        if stored is None:
            raise InvalidInput(f"no point with id {name} found")
        return _Asked(sparse=stored.sparse_vector, but=name) if sparse else _Asked(stored.vector, but=name)

    async def _full(
        self, matches: Sequence[Match], with_vectors: object, timeout: int | None
    ) -> Mapping[str, Record]:
        """The matches' records where they may have sparse vectors, which matches do not carry."""
        if not (with_vectors and self._shapes.sparse_name):
            return {}
        return await self._tenant.fetch([match.id for match in matches], timeout=timeout)

    async def retrieve(
        self,
        collection_name: str,
        ids: Sequence[PointId],
        with_payload: Any = True,
        with_vectors: Any = False,
        consistency: Any = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> list[models.Record]:
        """As `AsyncQdrantClient.retrieve`, in the order of `ids`."""
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse("retrieve", consistency=consistency, shard_key_selector=shard_key_selector)
            names = [record_id(one) for one in ids]
            found = await self._tenant.fetch(names, vectors=bool(with_vectors), timeout=timeout)
            return [
                self._record(found[name], with_payload, with_vectors)
                for name in dict.fromkeys(names)
                if name in found
            ]

    async def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        order_by: Any = None,
        offset: PointId | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        consistency: Any = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> tuple[list[models.Record], PointId | None]:
        """As `AsyncQdrantClient.scroll`, in an order of the cluster's own. `timeout` is for each request.

        `offset` is what the page before said: text that any process can go on from, and no point's id.
        """
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse(
                "scroll", order_by=order_by, consistency=consistency, shard_key_selector=shard_key_selector
            )
            if offset is not None and not isinstance(offset, str):
                raise self._coverage.not_covered(
                    f"scroll(offset={offset!r})", "begin with None, and go on from what it returns"
                )
            page = await filled(
                self._tenant,
                offset,
                limit,
                condition=self._filters.filter("scroll", scroll_filter),
                vectors=bool(with_vectors),
                timeout=timeout,
            )
            return [self._record(record, with_payload, with_vectors) for record in page.records], page.cursor

    async def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> models.CountResult:
        """As `AsyncQdrantClient.count`; always exact."""
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse("count", shard_key_selector=shard_key_selector)
            condition = self._filters.filter("count", count_filter)
            return models.CountResult(count=await self._tenant.count(filter=condition, timeout=timeout))

    def _record(self, record: Record, with_payload: object, with_vectors: object) -> models.Record:
        return models.Record(
            id=point_id(record.id),
            payload=self._shapes.payload(record.metadata, with_payload),
            vector=self._shapes.vectors(
                record.vector, record.sparse_vector, self._tenant.metric, with_vectors
            ),
        )

    def _scored(
        self, match: Match, full: Record | None, with_payload: object, with_vectors: object
    ) -> models.ScoredPoint:
        sparse = None if full is None else full.sparse_vector
        return models.ScoredPoint(
            id=point_id(match.id),
            version=0,
            score=match.score,
            payload=self._shapes.payload(match.metadata, with_payload),
            vector=self._shapes.vectors(match.vector, sparse, self._tenant.metric, with_vectors),
        )


def _good_enough(matches: Sequence[Match], threshold: float | None, metric: Metric) -> Sequence[Match]:
    if threshold is None:
        return matches
    if metric is Metric.EUCLIDEAN:
        return [match for match in matches if match.score <= threshold]
    return [match for match in matches if match.score >= threshold]
