"""From what a request says to a name that may touch Redis and clusters."""

from __future__ import annotations

from ..errors import UnknownTenant
from ..topology import check_tenant
from .resolvers import Asked, Resolver


def resolved(resolver: Resolver, asked: Asked) -> str:
    """The request's tenant. Raises UnknownTenant where it says none, InvalidTenant where the name is none."""
    name = resolver(asked)
    if name is None:
        raise UnknownTenant("the request does not say for which tenant it is")
    return check_tenant(name)
