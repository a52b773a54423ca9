"""Pinecone's document indexes as a store: made with a schema, spoken to by the Documents API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pinecone import SparseValues
from pinecone.models.documents.document import Document as Found
from pinecone.models.documents.responses import FetchDocumentsResponse
from pinecone.models.documents.score_by import DenseVectorQuery, SparseVectorQuery
from pinecone.models.indexes.index import IndexModel

from ..errors import ClusterRejected
from ..ports import Change
from ..records import Match, Metric, Query, Record
from ..schema import Description, End
from ..topology import Place
from . import pinecone_document_records as documents
from .batches import Sized, by_bytes, in_pages
from .pinecone_batches import MAX_BYTES, PAGE
from .pinecone_document_records import Document
from .pinecone_errors import all_read, all_written
from .pinecone_freshness import FENCE_ID, FENCE_KEY
from .pinecone_records import METRIC_NAMES, true_distance
from .pinecone_store import PineconeStore

_MAX_RESULT_BYTES = 3_500_000
"""Of a search; 4 MB is documented."""

_BYTES_OF_A_NUMBER = 20

Clause = DenseVectorQuery | SparseVectorQuery


class PineconeDocumentsStore(PineconeStore):
    """A `ports.Store` on document indexes; a tenant is a namespace.

    The place's `vector_name` and `sparse_name` are fields of the index's schema; the first is needed. All
    other fields of a document are metadata.

    Pinecone is eventually consistent: `fresh` is what makes reads see writes. It writes a fence, an update of
    a record that never exists, and asks until searches, several in a row, say that they have seen its place in
    the log: places are the namespace's own and only grow, so this covers writes of other processes, and deletes.
    Fetches, lists, fetches by metadata and counts tell no place and may each lag differently, so it waits in any
    case until `lag` seconds after the fence, and longer where searches were slow.

    A query with both a dense and a sparse vector is two searches fused by reciprocal rank: its scores tell
    ranks, not similarities.
    """

    kind = "pinecone-documents"

    def _record_misfit(self, place: Place, record: Record) -> str | None:
        return documents.misfit(place, record)

    def _change_misfit(self, place: Place, change: Change) -> str | None:
        return documents.change_misfit(place, change)

    def _is_hidden(self, place: Place | None, key: str) -> bool:
        return documents.is_hidden(place, key)

    def _to_wire(self, place: Place, record: Record) -> Sized[Document]:
        return documents.to_wire(place, record)

    async def _upsert(self, place: Place, batch: list[Document]) -> None:
        await self._ask(
            place,
            "upsert",
            lambda index: index.documents.upsert(namespace=place.namespace, documents=batch),
        )

    async def _update(self, place: Place, changes: Sequence[Change]) -> None:
        patches = [patch for change in changes if (patch := documents.to_patch(place, change)) is not None]
        await all_written(self._patch(place, batch) for batch in by_bytes(patches, MAX_BYTES))

    async def _patch(self, place: Place, batch: list[Document]) -> None:
        await self._ask(
            place,
            "update",
            lambda index: index.documents.update(namespace=place.namespace, documents=batch),
        )

    async def _delete(self, place: Place, ids: Sequence[str]) -> None:
        await self._ask(
            place, "delete", lambda index: index.documents.delete(namespace=place.namespace, ids=list(ids))
        )

    async def _query(self, place: Place, query: Query, clause: Mapping[str, Any] | None) -> list[Match]:
        searches = await all_read(
            self._search(place, query, scoring, clause) for scoring in _scorings(place, query)
        )
        found = searches[0] if len(searches) == 1 else documents.fused(searches, query.top_k)
        return await self._with_metadata(place, found) if _is_large(place, query) else found

    async def _search(
        self, place: Place, query: Query, scoring: Clause, clause: Mapping[str, Any] | None
    ) -> list[Match]:
        fields = None if _is_large(place, query) else documents.included(place, query)
        response = await self._ask(
            place,
            "query",
            lambda index: index.documents.search(
                namespace=place.namespace,
                score_by=[scoring],
                top_k=query.top_k,
                include_fields=fields,
                filter=clause,
            ),
        )
        self._require_own(place, response.namespace)
        metric = place.metric if isinstance(scoring, DenseVectorQuery) else Metric.DOT
        return [
            documents.to_match(place, found.to_dict(), query, true_distance(metric, found.score or 0.0))
            for found in response.matches
        ]

    async def _with_metadata(self, place: Place, matches: Sequence[Match]) -> list[Match]:
        """Fetched by id: with the vectors that come along, the answer to the search would have been too large."""
        held = await self._fetch(place, [match.id for match in matches], vectors=False)
        return [
            Match(match.id, match.score, held[match.id].metadata) for match in matches if match.id in held
        ]

    async def _fetch(self, place: Place, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        responses = await all_read(self._fetch_some(place, part) for part in in_pages(ids, PAGE))
        found = [record for response in responses for record in _records(place, response.documents, vectors)]
        return {record.id: record for record in found}

    async def _fetch_some(self, place: Place, ids: Sequence[str]) -> FetchDocumentsResponse:
        response = await self._ask(
            place, "fetch", lambda index: index.documents.fetch(namespace=place.namespace, ids=ids)
        )
        self._require_own(place, response.namespace)
        return response

    async def _fetch_where(
        self, place: Place, clause: Mapping[str, Any], token: str | None, limit: int, *, vectors: bool
    ) -> tuple[list[Record], str | None]:
        response = await self._ask(
            place,
            "fetch",
            lambda index: index.documents.fetch(
                namespace=place.namespace, filter=clause, pagination_token=token, limit=limit
            ),
        )
        self._require_own(place, response.namespace)
        following = response.pagination.next if response.pagination else None
        return _records(place, response.documents, vectors), following

    async def _list(
        self, collection: str, namespace: str, token: str | None, limit: int
    ) -> tuple[list[str], str | None]:
        async def page(index: Any) -> Any:
            listing = index.documents.list(namespace=namespace, limit=limit, pagination_token=token)
            async with aclosing(listing.pages()) as pages:
                return await anext(pages)

        found = await self._connection.ask(collection, namespace, "list", page)
        return [item.id for item in found.items], found.pagination_token

    async def _write_fence(self, place: Place) -> int | None:
        fence = {"_id": FENCE_ID, FENCE_KEY: True}
        response = await self._ask(
            place,
            "update",
            lambda index: index.documents.update(namespace=place.namespace, documents=[fence]),
        )
        return response.response_info.lsn_committed if response.response_info else None

    async def _seen(self, place: Place) -> int | None:
        anything = DenseVectorQuery(
            field=_vector_name(self.name, place), values=[1.0, *[0.0] * (place.dimension - 1)]
        )
        response = await self._ask(
            place,
            "query",
            lambda index: index.documents.search(namespace=place.namespace, score_by=[anything], top_k=1),
        )
        return response.response_info.lsn_reconciled if response.response_info else None

    async def prepare(self, place: Place, like: End | None = None) -> None:
        _vector_name(self.name, place)
        await super().prepare(place, like)

    def _described(self, place: Place, model: IndexModel) -> Description:
        return documents.described(place, model)

    def _may_be_sparse(self, place: Place, metric: Metric | None) -> bool:
        return bool(place.sparse_name)

    def _unfit(self, place: Place, model: IndexModel) -> str | None:
        return documents.unfit(place, model)

    def _how_to_make(self, place: Place) -> str:
        field = {"type": "dense_vector", "dimension": place.dimension, "metric": METRIC_NAMES[place.metric]}
        schema = {"fields": {place.vector_name: field}}
        return (
            "does not exist; make it with "
            f'`AsyncPinecone(…).indexes.create(name="{place.collection}", schema={schema})`'
        )


def _vector_name(cluster: str, place: Place) -> str:
    if not place.vector_name:
        raise ClusterRejected(cluster, documents.NO_VECTOR_NAME)
    return place.vector_name


def _scorings(place: Place, query: Query) -> list[Clause]:
    """A clause that scores by a vector must stand alone in its search."""
    scorings: list[Clause] = []
    if query.vector is not None:
        scorings.append(DenseVectorQuery(field=place.vector_name, values=query.vector.tolist()))
    if (sparse := query.sparse_vector) is not None:
        values = SparseValues(sparse.indices.tolist(), sparse.values.tolist())
        scorings.append(SparseVectorQuery(field=place.sparse_name, sparse_values=values))
    return scorings


def _is_large(place: Place, query: Query) -> bool:
    """Whether vectors that were not asked for would make the answer too large."""
    size = query.top_k * place.dimension * _BYTES_OF_A_NUMBER
    return query.include_metadata and not query.include_vector and size > _MAX_RESULT_BYTES


def _records(place: Place, found: Mapping[str, Found], vectors: bool) -> list[Record]:
    return [documents.to_record(place, document.to_dict(), vectors=vectors) for document in found.values()]
