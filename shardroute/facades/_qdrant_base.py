"""What all calls of a `RoutedClient` share: whose they are, and what their errors are to the client's callers."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

from httpx import Headers
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from ..errors import ClusterRejected, InvalidInput, RateLimited, ShardrouteError, Unavailable
from ..filters import Filter
from ..tenant import Tenant
from ._qdrant_filters import Translator
from ._qdrant_points import Shapes, record_id
from .coverage import Coverage
from .recognised import Twins

FACADE = "RoutedClient"

Chosen: TypeAlias = Sequence[str] | Filter | None
"""Which points a selector names: by id, or by a filter; None is a filter without a condition."""


def _unexpected(error: ShardrouteError) -> Mapping[str, Any]:
    status = HTTPStatus.BAD_REQUEST
    return {
        "status_code": int(status),
        "reason_phrase": status.phrase,
        "content": json.dumps({"status": {"error": str(error)}}).encode(),
        "headers": Headers(),
    }


def _exhausted(error: ShardrouteError) -> Mapping[str, Any]:
    return {"message": str(error), "retry_after_s": max(1, math.ceil(error.retry_after or 1))}


TWINS: Twins = (
    (InvalidInput, UnexpectedResponse, _unexpected),
    (RateLimited, ResourceExhaustedResponse, _exhausted),
    (Unavailable, ResponseHandlingException, lambda error: {"source": error}),
    (ClusterRejected, UnexpectedResponse, _unexpected),
    (ShardrouteError, ApiException, lambda _: {}),
)


class OneTenant:
    """One tenant's points, under the name of the collection that they were in."""

    def __init__(
        self,
        tenant: Tenant,
        collection: str,
        *,
        vector_name: str = "",
        sparse_name: str = "",
        tenant_field: str | None = None,
        ignored: Collection[str] = (),
    ) -> None:
        self._tenant = tenant
        self._collection = collection
        self._coverage = Coverage(FACADE, AsyncQdrantClient, ignored)
        self._shapes = Shapes(self._coverage, tenant.name, vector_name, sparse_name, tenant_field)
        self._filters = Translator(self._coverage, tenant.name, tenant_field)

    def _check(self, collection: str) -> None:
        """Raises InvalidInput."""
        if collection != self._collection:
            raise InvalidInput(
                f"this client is tenant {self._tenant.name!r}'s, in collection {self._collection!r}; it was asked for "
                f"collection {collection!r}"
            )

    def _chosen(self, call: str, selector: object) -> Chosen:
        """Raises NotCovered, InvalidInput."""
        match selector:
            case models.PointIdsList(points=points) | (list() as points):
                chosen: Chosen = [record_id(point) for point in points]
            case models.FilterSelector(filter=condition) | (models.Filter() as condition):
                chosen = self._filters.filter(call, condition)
            case _:
                raise self._coverage.not_covered(f"{call}({type(selector).__name__})", "name ids or a filter")
        self._coverage.refuse(call, shard_key=getattr(selector, "shard_key", None))
        return chosen
