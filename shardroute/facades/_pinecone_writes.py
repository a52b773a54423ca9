"""The writes of a `RoutedIndex`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinecone._internal.validation import (  # what the SDK itself checks arguments with
    DELETE_EMPTY_FILTER_MESSAGE,
    UPDATE_EMPTY_FILTER_MESSAGE,
    require_delete_selectors,
    require_non_empty_filter,
    require_update_selectors,
    require_valid_vector_id,
    require_valid_vector_ids,
)
from pinecone.models.response_info import ResponseInfo
from pinecone.models.vectors.responses import UpdateResponse, UpsertResponse

from ..filters import Equals, Not
from ..records import VectorLike
from ..tenant import Tenant
from ._pinecone_answers import Sparse, Vectors, built, to_metadata, to_record, to_sparse
from ._pinecone_base import TWINS, Namespaces
from ._pinecone_batches import Given, in_batches
from .recognised import recognised

_EVERY_RECORD = Not(Equals("_", ()))


class Writes(Namespaces):
    """Upsert, update and delete."""

    async def upsert(
        self,
        *,
        vectors: Vectors,
        namespace: str = "",
        batch_size: int | None = None,
        show_progress: bool = True,
        max_concurrency: int = 8,
        timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> UpsertResponse:
        """As `AsyncIndex.upsert`; no progress bar is drawn. `timeout` is for a whole batch, waits included.

        Without `batch_size` more than a cluster takes at once is written in several requests.
        """
        with recognised(TWINS):
            tenant = self._tenant(namespace)
            given = [
                (vector, to_record(vector)) for vector in built(vectors)
            ]  # all are checked before any is sent

            async def write(batch: Sequence[Given]) -> None:
                with recognised(TWINS):
                    await tenant.upsert([record for _, record in batch], timeout=timeout)

            if batch_size is not None:
                return await in_batches(
                    given, write, size=batch_size, concurrency=max_concurrency, total_timeout=total_timeout
                )
            await write(given)
            return UpsertResponse(upserted_count=len(given), response_info=ResponseInfo())

    async def update(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the SDK's name
        values: VectorLike | None = None,
        sparse_values: Sparse | None = None,
        set_metadata: Mapping[str, Any] | None = None,
        namespace: str = "",
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the SDK's name
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> UpdateResponse:
        """As `AsyncIndex.update`. How many records match is told for a `dry_run` only."""
        require_update_selectors(id=id, filter=filter, values=values, sparse_values=sparse_values)
        if id is not None:
            require_valid_vector_id("id", id)
        if filter is not None:
            require_non_empty_filter("filter", filter, server_message=UPDATE_EMPTY_FILTER_MESSAGE)
        with recognised(TWINS):
            tenant = self._tenant(namespace)
            if dry_run:
                return await self._matching(tenant, id, filter, timeout)
            metadata = to_metadata(set_metadata or {})
            sparse = None if sparse_values is None else to_sparse(sparse_values)
            if metadata or values is not None or sparse is not None:
                await tenant.update(
                    id,
                    filter=filter,
                    metadata=metadata or None,
                    vector=values,
                    sparse_vector=sparse,
                    timeout=timeout,
                )
            return UpdateResponse(response_info=ResponseInfo())

    async def _matching(
        self,
        tenant: Tenant,
        record_id: str | None,
        condition: Mapping[str, Any] | None,
        timeout: float | None,
    ) -> UpdateResponse:
        if record_id is not None:
            raise self._coverage.not_covered("update(id=…, dry_run=True)", "only a filter can be tried out")
        count = await tenant.count(filter=condition, timeout=timeout)
        return UpdateResponse(matched_records=count, response_info=ResponseInfo())

    async def delete(
        self,
        *,
        ids: Sequence[str] | None = None,
        delete_all: bool = False,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the SDK's name
        namespace: str = "",
        timeout: float | None = None,
    ) -> None:
        """As `AsyncIndex.delete`. A namespace without records is no error.

        `delete_all` deletes the tenant's records one by one, on every cluster that it is on: what is written
        meanwhile may stay, and no other tenant is touched. It is not undone by a rollback.
        """
        require_delete_selectors(ids=ids, delete_all=delete_all, filter=filter)
        if ids is not None:
            require_valid_vector_ids("ids", ids)
        if filter is not None:
            require_non_empty_filter("filter", filter, server_message=DELETE_EMPTY_FILTER_MESSAGE)
        with recognised(TWINS):
            tenant = self._tenant(namespace)
            condition = _EVERY_RECORD if delete_all else filter
            await tenant.delete(ids, filter=condition, timeout=timeout)
