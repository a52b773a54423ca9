"""The reads of a `RoutedIndex`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pinecone._internal.validation import (  # what the SDK itself checks arguments with
    FETCH_BY_METADATA_EMPTY_FILTER_MESSAGE,
    require_non_empty_filter,
    require_query_selectors,
    require_valid_fetch_by_metadata_limit,
    require_valid_id_prefix,
    require_valid_list_limit,
    require_valid_vector_id,
    require_valid_vector_ids,
)
from pinecone.errors.exceptions import PineconeValueError
from pinecone.models.response_info import ResponseInfo
from pinecone.models.vectors.query_aggregator import QueryNamespacesResults, QueryResultsAggregator
from pinecone.models.vectors.responses import (
    FetchByMetadataResponse,
    FetchResponse,
    ListItem,
    ListResponse,
    Pagination,
    QueryResponse,
)

from ..records import Match, Record, VectorLike
from ..stores.pinecone_errors import all_read
from ..tenant import Tenant
from ._pinecone_answers import Sparse, to_scored, to_sparse, to_vector
from ._pinecone_base import TWINS, Namespaces
from .paging import filled
from .recognised import recognised

_PAGE = 100  # Pinecone's own where none is asked for
_NAMESPACES_AT_ONCE = 10  # as the SDK


class Reads(Namespaces):
    """Query, fetch and list."""

    async def query(
        self,
        *,
        top_k: int,
        vector: VectorLike | None = None,
        id: str | None = None,  # noqa: A002 - the SDK's name
        namespace: str = "",
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the SDK's name
        include_values: bool = False,
        include_metadata: bool = False,
        sparse_vector: Sparse | None = None,
        scan_factor: float | None = None,
        max_candidates: int | None = None,
        timeout: float | None = None,
    ) -> QueryResponse:
        """As `AsyncIndex.query`. By `id` it is two requests; so it is where sparse values are to be shown."""
        require_query_selectors(vector=vector, id=id, sparse_vector=sparse_vector)
        if id is not None:
            require_valid_vector_id("id", id)
        with recognised(TWINS):
            self._coverage.refuse("query", scan_factor=scan_factor, max_candidates=max_candidates)
            tenant = self._tenant(namespace)
            sparse = None if sparse_vector is None else to_sparse(sparse_vector)
            if id is not None:
                stored = (await tenant.fetch([id], timeout=timeout)).get(id)
                if stored is None:
                    return QueryResponse(namespace=namespace, response_info=ResponseInfo())
                vector, sparse = stored.vector, stored.sparse_vector
            matches = await tenant.query(
                vector,
                top_k=top_k,
                filter=filter,
                sparse_vector=sparse,
                include_metadata=include_metadata,
                include_vector=include_values,
                timeout=timeout,
            )
            full = await self._full(tenant, matches, timeout) if include_values else {}
            scored = [
                to_scored(
                    match,
                    tenant.metric,
                    metadata=include_metadata,
                    values=include_values,
                    full=full.get(match.id),
                )
                for match in matches
            ]
            return QueryResponse(matches=scored, namespace=namespace, response_info=ResponseInfo())

    async def _full(
        self, tenant: Tenant, matches: Sequence[Match], timeout: float | None
    ) -> Mapping[str, Record]:
        """The matches' records where they may have sparse vectors, which matches do not carry."""
        route = self._router.config.route
        if not (route.old.placement.sparse_name or route.new.placement.sparse_name):
            return {}
        return await tenant.fetch([match.id for match in matches], timeout=timeout)

    async def query_namespaces(
        self,
        *,
        vector: Sequence[float] | None = None,
        namespaces: Sequence[str],
        metric: str,
        top_k: int | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the SDK's name
        include_values: bool = False,
        include_metadata: bool = False,
        sparse_vector: Sparse | None = None,
        scan_factor: float | None = None,
        max_candidates: int | None = None,
        timeout: float | None = None,
    ) -> QueryNamespacesResults:
        """As `AsyncIndex.query_namespaces`: a query of each tenant, merged by the SDK's own code."""
        if not namespaces:
            raise PineconeValueError("namespaces must be a non-empty list")
        most = 10 if top_k is None else top_k
        merged = QueryResultsAggregator(metric=metric, top_k=most)
        free = asyncio.Semaphore(_NAMESPACES_AT_ONCE)

        async def ask(namespace: str) -> QueryResponse:
            async with free:
                return await self.query(
                    top_k=most,
                    vector=vector,
                    namespace=namespace,
                    filter=filter,
                    include_values=include_values,
                    include_metadata=include_metadata,
                    sparse_vector=sparse_vector,
                    scan_factor=scan_factor,
                    max_candidates=max_candidates,
                    timeout=timeout,
                )

        for answer in await all_read(ask(name) for name in dict.fromkeys(namespaces)):
            merged.add_results(answer.namespace or "", answer)
        return merged.get_results()

    async def fetch(
        self, *, ids: Sequence[str], namespace: str = "", timeout: float | None = None
    ) -> FetchResponse:
        """As `AsyncIndex.fetch`."""
        require_valid_vector_ids("ids", ids)
        with recognised(TWINS):
            found = await self._tenant(namespace).fetch(ids, timeout=timeout)
            vectors = {name: to_vector(record) for name, record in found.items()}
            return FetchResponse(vectors=vectors, namespace=namespace, response_info=ResponseInfo())

    async def fetch_by_metadata(
        self,
        *,
        filter: Mapping[str, Any],  # noqa: A002 - the SDK's name
        namespace: str = "",
        limit: int | None = None,
        pagination_token: str | None = None,
        timeout: float | None = None,
    ) -> FetchByMetadataResponse:
        """As `AsyncIndex.fetch_by_metadata`, in an order of the cluster's own. `timeout` is for each request."""
        if limit is not None:
            require_valid_fetch_by_metadata_limit("limit", limit)
        require_non_empty_filter("filter", filter, server_message=FETCH_BY_METADATA_EMPTY_FILTER_MESSAGE)
        with recognised(TWINS):
            page = await filled(
                self._tenant(namespace),
                pagination_token,
                limit or _PAGE,
                condition=filter,
                vectors=True,
                timeout=timeout,
            )
            return FetchByMetadataResponse(
                vectors={record.id: to_vector(record) for record in page.records},
                namespace=namespace,
                pagination=_pagination(page.cursor),
                response_info=ResponseInfo(),
            )

    async def list_paginated(
        self,
        *,
        prefix: str | None = None,
        limit: int | None = None,
        pagination_token: str | None = None,
        namespace: str = "",
        timeout: float | None = None,
    ) -> ListResponse:
        """As `AsyncIndex.list_paginated`, in an order of the cluster's own. `timeout` is for each request.

        With `prefix` all ids are read, and a page may be short before the last.
        """
        if prefix is not None:
            require_valid_id_prefix("prefix", prefix)
        if limit is not None:
            require_valid_list_limit("limit", limit)
        with recognised(TWINS):
            page = await filled(
                self._tenant(namespace),
                pagination_token,
                limit or _PAGE,
                wanted=(lambda record: record.id.startswith(prefix)) if prefix else None,
                timeout=timeout,
            )
            return ListResponse(
                vectors=[ListItem(id=record.id) for record in page.records],
                pagination=_pagination(page.cursor),
                namespace=namespace,
                response_info=ResponseInfo(),
            )

    async def list(
        self,
        *,
        prefix: str | None = None,
        limit: int | None = None,
        namespace: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[ListResponse]:
        """As `AsyncIndex.list`: the pages of `list_paginated` that hold something."""
        token: str | None = None
        while True:
            page = await self.list_paginated(
                prefix=prefix, limit=limit, pagination_token=token, namespace=namespace, timeout=timeout
            )
            if page.vectors:
                yield page
            if page.pagination is None:
                return
            token = page.pagination.next


def _pagination(cursor: str | None) -> Pagination | None:
    return None if cursor is None else Pagination(next=cursor)
