"""Pinecone's legacy vector indexes as a store: made with a dimension and a metric, spoken to by the Vectors API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinecone import Vector
from pinecone.models.indexes.index import IndexModel
from pinecone.models.vectors.responses import FetchResponse

from ..errors import ClusterRejected
from ..ports import Change
from ..records import EMPTY, Match, Metric, Query, Record, as_vector
from ..schema import Description
from ..topology import Place
from .batches import Sized, in_pages
from .pinecone_batches import by_url
from .pinecone_errors import all_read, all_written
from .pinecone_freshness import FENCE_ID, FENCE_KEY
from .pinecone_records import METRIC_NAMES, METRICS, true_distance
from .pinecone_store import PineconeStore
from .pinecone_vector_records import (
    dense_field,
    is_hidden,
    misfit,
    part_misfit,
    to_record,
    to_sparse_values,
    to_wire,
    unfit,
)

_UPDATED_AT_ONCE = 50


class PineconeVectorsStore(PineconeStore):
    """A `ports.Store` on legacy vector indexes; a tenant is a namespace.

    Pinecone is eventually consistent: `fresh` is what makes reads see writes. It writes a fence, an update of
    a record that never exists, and asks until searches, several in a row, say that they have seen its place in
    the log: places are the namespace's own and only grow, so this covers writes of other processes, and deletes.
    Fetches, lists, fetches by metadata and counts tell no place and may each lag differently, so it waits in any
    case until `lag` seconds after the fence, and longer where searches were slow.

    An update cannot remove a metadata key, as this API cannot: it raises InvalidRecord.

    Sparse vectors go beside dense ones, under the metric `dot`, where the place has a `sparse_name` (any); a
    query with both adds the two scores up.
    """

    kind = "pinecone-vectors"

    def _record_misfit(self, place: Place, record: Record) -> str | None:
        return misfit(place, record)

    def _change_misfit(self, place: Place, change: Change) -> str | None:
        """A null could be had by reading the record and writing it anew, and would undo what came between."""
        metadata = change.metadata or EMPTY
        for key, value in metadata.items():
            if value is None:
                return (
                    f"an update cannot remove {key!r} from a legacy index; upsert the whole record without it"
                )
        vector = None if change.vector is None else as_vector(change.vector)
        return part_misfit(place, metadata, vector, change.sparse_vector)

    def _is_hidden(self, place: Place | None, key: str) -> bool:
        return is_hidden(key)

    def _to_wire(self, place: Place, record: Record) -> Sized[Vector]:
        return to_wire(record)

    async def _upsert(self, place: Place, batch: list[Vector]) -> None:
        await self._ask(place, "upsert", lambda index: index.upsert(vectors=batch, namespace=place.namespace))

    async def _update(self, place: Place, changes: Sequence[Change]) -> None:
        for part in in_pages(changes, _UPDATED_AT_ONCE):
            await all_written(self._update_one(place, change) for change in part)

    async def _update_one(self, place: Place, change: Change) -> None:
        patch: dict[str, Any] = {}
        if change.metadata:
            patch["set_metadata"] = dict(change.metadata)
        if change.vector is not None:
            patch["values"] = as_vector(change.vector).tolist()
        if change.sparse_vector is not None:
            patch["sparse_values"] = to_sparse_values(change.sparse_vector)
        if patch:
            await self._ask(
                place,
                "update",
                lambda index: index.update(id=change.id, namespace=place.namespace, **patch),
            )

    async def _delete(self, place: Place, ids: Sequence[str]) -> None:
        await self._ask(place, "delete", lambda index: index.delete(ids=list(ids), namespace=place.namespace))

    async def _query(self, place: Place, query: Query, clause: Mapping[str, Any] | None) -> list[Match]:
        if query.vector is None:
            raise ClusterRejected(
                self.name, "a legacy vector index takes a sparse vector beside a dense one only"
            )
        dense, sparse = query.vector.tolist(), query.sparse_vector
        response = await self._ask(
            place,
            "query",
            lambda index: index.query(
                top_k=query.top_k,
                vector=dense,
                sparse_vector=None if sparse is None else to_sparse_values(sparse),
                namespace=place.namespace,
                filter=clause,
                include_values=query.include_vector,
                include_metadata=query.include_metadata,
            ),
        )
        self._require_own(place, response.namespace)
        return [
            Match(
                found.id,
                true_distance(place.metric, found.score),
                found.metadata or EMPTY,
                to_record(found, vectors=True).vector if query.include_vector else None,
            )
            for found in response.matches
        ]

    async def _fetch(self, place: Place, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        responses = await all_read(self._fetch_some(place, part) for part in by_url(ids))
        return {
            name: to_record(vector, vectors=vectors)
            for response in responses
            for name, vector in response.vectors.items()
        }

    async def _fetch_some(self, place: Place, ids: Sequence[str]) -> FetchResponse:
        response = await self._ask(
            place, "fetch", lambda index: index.fetch(ids=ids, namespace=place.namespace)
        )
        self._require_own(place, response.namespace)
        return response

    async def _fetch_where(
        self, place: Place, clause: Mapping[str, Any], token: str | None, limit: int, *, vectors: bool
    ) -> tuple[list[Record], str | None]:
        response = await self._ask(
            place,
            "fetch",
            lambda index: index.fetch_by_metadata(
                filter=clause, namespace=place.namespace, limit=limit, pagination_token=token
            ),
        )
        self._require_own(place, response.namespace)
        records = [to_record(vector, vectors=vectors) for vector in response.vectors.values()]
        return records, response.pagination.next if response.pagination else None

    async def _list(
        self, collection: str, namespace: str, token: str | None, limit: int
    ) -> tuple[list[str], str | None]:
        response = await self._connection.ask(
            collection,
            namespace,
            "list",
            lambda index: index.list_paginated(limit=limit, pagination_token=token, namespace=namespace),
        )
        ids = [item.id for item in response.vectors if item.id is not None]
        return ids, response.pagination.next if response.pagination else None

    async def _write_fence(self, place: Place) -> int | None:
        response = await self._ask(
            place,
            "update",
            lambda index: index.update(
                id=FENCE_ID, set_metadata={FENCE_KEY: True}, namespace=place.namespace
            ),
        )
        return response.response_info.lsn_committed if response.response_info else None

    async def _seen(self, place: Place) -> int | None:
        anything = [1.0, *[0.0] * (place.dimension - 1)]
        response = await self._ask(
            place, "query", lambda index: index.query(top_k=1, vector=anything, namespace=place.namespace)
        )
        return response.response_info.lsn_reconciled if response.response_info else None

    def _described(self, place: Place, model: IndexModel) -> Description:
        field = dense_field(model)
        metric = METRICS.get(field.metric) if field else None
        return Description(field.dimension if field else None, metric, self._may_be_sparse(place, metric))

    def _may_be_sparse(self, place: Place, metric: Metric | None) -> bool:
        return bool(place.sparse_name) and metric is Metric.DOT

    def _unfit(self, place: Place, model: IndexModel) -> str | None:
        return unfit(model)

    def _how_to_make(self, place: Place) -> str:
        return (
            "does not exist; make it with `AsyncPinecone(…).create_index("
            f'name="{place.collection}", dimension={place.dimension}, metric="{METRIC_NAMES[place.metric]}", spec=…)`'
        )
