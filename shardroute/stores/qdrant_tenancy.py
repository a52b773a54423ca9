"""Where in a point's payload its tenant is named, and as what: the one rule for whose point it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, InvalidFilter
from ..records import Metadata
from ..topology import FieldType, Place, Tenancy, TenancyKind

TenantValue = str | int
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TenantField:
    """A field of the payload: `path` from the top, and what it holds."""

    path: tuple[str, ...]
    type: FieldType

    @property
    def key(self) -> str:
        """As Qdrant's JSON path."""
        return ".".join(json_key(part) for part in self.path)

    def value(self, tenant: str) -> TenantValue:
        return int(tenant) if self.type is FieldType.INTEGER else tenant

    def text(self, value: object) -> str | None:
        """A value that may name a tenant, as text; None of any other."""
        if self.type is FieldType.INTEGER:
            return str(value) if type(value) is int else None
        return value if isinstance(value, str) else None

    def held(self, payload: Mapping[str, Any] | None) -> Sequence[object]:
        """The values in a payload, to a filter: a list is each of its items."""
        found: Any = payload or {}
        for part in self.path:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found if isinstance(found, list) else () if found is None else (found,)

    def told(self, payload: Mapping[str, Any]) -> bool:
        """Whether the payload has the field, whatever it holds."""
        inside: Any = payload
        for part in self.path:
            if not isinstance(inside, Mapping) or part not in inside:
                return False
            inside = inside[part]
        return True

    def names(self, value: object, tenant: str) -> bool:
        """Whether a value of the field is the tenant's. True is not 1."""
        return type(value) is not bool and value == self.value(tenant)

    def put(self, payload: dict[str, Any], tenant: str) -> None:
        """Names the tenant in the payload. What lies around the field is copied before it is changed."""
        inside = payload
        for part in self.path[:-1]:
            inside[part] = dict(inside.get(part) or {})
            inside = inside[part]
        inside[self.path[-1]] = self.value(tenant)

    def take(self, payload: dict[str, Any]) -> None:
        """Takes the field out, and mappings that held nothing else."""
        self._take(payload, self.path)

    def _take(self, inside: dict[str, Any], path: Sequence[str]) -> None:
        first, *rest = path
        if not rest:
            inside.pop(first, None)
        elif isinstance(deeper := inside.get(first), dict):
            self._take(deeper, rest)
            if not deeper:
                del inside[first]

    def misfit(self, metadata: Metadata) -> str | None:
        """Why metadata cannot stand beside the field, or None."""
        inside: Any = metadata
        for depth, part in enumerate(self.path):
            if part not in inside:
                return None
            inside = inside[part]
            name = ".".join(self.path[: depth + 1])
            if depth + 1 == len(self.path):
                return f"metadata key {name!r} is the field that tells tenants apart here; choose another for either"
            if not isinstance(inside, Mapping):
                return f"metadata key {name!r} must be a mapping: the field that tells tenants apart here lies within"
            if not inside:
                return f"metadata key {name!r} is an empty mapping, which here would not come back"
        return None


def json_key(field: str) -> str:
    """A top-level key as Qdrant's JSON path: unquoted, a dot or bracket in it would be a path. Raises InvalidFilter."""
    if _PLAIN_KEY.fullmatch(field):
        return field
    if '"' in field:
        raise InvalidFilter("Qdrant cannot filter on a key with a double quote", path=field)
    return f'"{field}"'


def tenant_field(tenancy: Tenancy) -> TenantField | None:
    """The payload field that carries the tenant's name; None where a collection has one tenant only."""
    if tenancy.kind is TenancyKind.NAMESPACE:
        raise ConfigError("tenancy 'namespace' is Pinecone's; Qdrant knows payload, collection and shard_key")
    return None if tenancy.kind is TenancyKind.COLLECTION else TenantField(tenancy.path, tenancy.field_type)


def belongs(place: Place, payload: Mapping[str, Any] | None) -> bool:
    """Whether a point that was asked for by id is the tenant's."""
    field = tenant_field(place.tenancy)
    return field is None or any(field.names(one, place.tenant) for one in field.held(payload))


def shared(place: Place, payload: Mapping[str, Any] | None) -> bool:
    """Whether a point of the tenant is another tenant's too."""
    field = tenant_field(place.tenancy)
    return field is not None and not all(field.names(one, place.tenant) for one in field.held(payload))
