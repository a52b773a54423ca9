"""What all calls of a `RoutedIndex` share: whose they are, and what their errors are to the SDK's callers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pinecone import AsyncIndex
from pinecone.errors.exceptions import (
    ApiError,
    PineconeError,
    PineconeValueError,
    RateLimitError,
    ServiceError,
)

from ..errors import (
    ClusterRejected,
    InvalidInput,
    RateLimited,
    ShardrouteError,
    Unavailable,
    UnknownTenant,
)
from ..router import Router
from ..tenant import Tenant
from .coverage import Coverage
from .recognised import Twins

FACADE = "RoutedIndex"
_DEFAULT_NAMESPACE = "__default__"  # beside "" and, as in the SDK, None


def _of_api(status: int) -> Callable[[ShardrouteError], Mapping[str, Any]]:
    return lambda error: {
        "message": str(error),
        "status_code": status,
        "body": None,
        "reason": None,
        "headers": None,
        "error_code": None,
        "request_id": None,
    }


TWINS: Twins = (
    (InvalidInput, PineconeValueError, lambda error: {"message": str(error), "path": None}),
    (RateLimited, RateLimitError, _of_api(429)),
    (Unavailable, ServiceError, _of_api(503)),
    (ClusterRejected, ApiError, _of_api(400)),
    (ShardrouteError, PineconeError, lambda error: {"message": str(error)}),
)


class Namespaces:
    """The tenants of a router, by namespace."""

    def __init__(
        self,
        router: Router,
        *,
        tenant_of: Callable[[str], str] = str,
        default_tenant: str | None = None,
        ignored: Collection[str] = (),
    ) -> None:
        self._router = router
        self._tenant_of = tenant_of
        self._default_tenant = default_tenant
        self._coverage = Coverage(FACADE, AsyncIndex, ignored)

    def _tenant(self, namespace: object) -> Tenant:
        """The namespace's tenant. Raises UnknownTenant, InvalidTenant, InvalidInput."""
        if namespace and namespace != _DEFAULT_NAMESPACE:
            if not isinstance(namespace, str):
                raise InvalidInput(f"a namespace is a string, not {namespace!r}")
            return self._router.tenant(self._tenant_of(namespace))
        if self._default_tenant is None:
            raise UnknownTenant(
                "no namespace is named, and no tenant is the default one; name the tenant's namespace, or say "
                "RoutedIndex(…, default_tenant=…)"
            )
        return self._router.tenant(self._default_tenant)
