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
    ConfigError,
    InvalidInput,
    RateLimited,
    ShardrouteError,
    Unavailable,
    UnknownTenant,
)
from ..router import Router
from ..tenant import Tenant
from ..topology import DEFAULT_NAMESPACE, TenancyKind
from .coverage import Coverage
from .recognised import Twins

FACADE = "RoutedIndex"


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


def _owner(router: Router) -> str | None:
    """The tenant that has the default namespace where tenants come from: "" is nobody, None: there are none there."""
    placement = router.config.route.old.placement
    return placement.default_namespace if placement.tenancy.kind is TenancyKind.NAMESPACE else None


def _elsewhere(router: Router, tenant: str, owner: str) -> str:
    topology = router.config.route.old
    whose = f"belongs to tenant {owner!r}" if owner else "is nobody's"
    return (
        f"RoutedIndex(default_tenant={tenant!r}): tenant {tenant!r} has namespace "
        f"{topology.place(tenant).namespace!r} on cluster {topology.placement.cluster!r}, where the default one "
        f"{whose}: what is there would not be found. If it is this tenant's, say so: "
        f'placement = {{ …, default_namespace = "{tenant}" }} in topologies.{topology.name}'
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
        self._owner = _owner(router)
        self._default_tenant = default_tenant or self._owner
        if default_tenant and self._owner is not None and self._owner != default_tenant:
            raise ConfigError(_elsewhere(router, default_tenant, self._owner))
        self._coverage = Coverage(FACADE, AsyncIndex, ignored)

    def _tenant(self, namespace: object) -> Tenant:
        """The namespace's tenant. Raises UnknownTenant, InvalidTenant, InvalidInput."""
        if namespace and namespace != DEFAULT_NAMESPACE:
            if not isinstance(namespace, str):
                raise InvalidInput(f"a namespace is a string, not {namespace!r}")
            tenant = self._tenant_of(namespace)
            if self._owner and tenant == self._owner:
                raise UnknownTenant(
                    f"namespace {namespace!r} is nobody's: tenant {tenant!r} has the default namespace instead "
                    "(default_namespace of the placement)"
                )
            return self._router.tenant(tenant)
        if not self._default_tenant:
            raise UnknownTenant(
                "no namespace is named, and the default one is nobody's; name the tenant's namespace, or say whose the "
                f"default one is: {self._how()}"
            )
        return self._router.tenant(self._default_tenant)

    def _how(self) -> str:
        if self._owner is None:
            return "RoutedIndex(…, default_tenant=…)"
        return f'default_namespace = "TENANT" in the placement of topologies.{self._router.config.route.old.name}'
