"""Where a tenant's records live: topologies, placements and places. Pure.

A topology is a number of shards and a placement for them. A migration goes from one topology to
another. A `Place` is the answer for one tenant: which cluster, which collection, kept apart how.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .errors import ConfigError, InvalidTenant
from .hashing import shard_of
from .records import Metric

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+~:-]{0,127}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_AMBIGUOUS = re.compile(r"\{shard\}[\d{]|[\d}]\{shard\}")
_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+~-]{0,254}")


def check_tenant(tenant: object) -> str:
    """The tenant's name, if it is safe in Redis keys, collection names and spans. Raises InvalidTenant."""
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise InvalidTenant(
            f"tenant {tenant!r} is not a valid name: 1 to 128 of the characters A-Z a-z 0-9 . _ @ + ~ : - , "
            "the first a letter or digit"
        )
    return tenant


class TenancyKind(StrEnum):
    """How tenants of one cluster are kept apart."""

    PAYLOAD = "payload"  # a field of every record, filtered on in every request
    COLLECTION = "collection"  # a collection of its own for each tenant
    SHARD_KEY = "shard_key"  # a custom shard key of one collection (Qdrant), and the field as well
    NAMESPACE = "namespace"  # a namespace of one index (Pinecone)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A kind, and for `payload:FIELD` and `shard_key:FIELD` the field that carries the tenant's name."""

    kind: TenancyKind
    field: str = "tenant"

    @classmethod
    def parse(cls, text: str) -> Tenancy:
        """``payload:tenant``, ``collection``, ``shard_key``, ``namespace``. Raises ConfigError."""
        kind, _, field = text.partition(":")
        if kind not in set(TenancyKind):
            raise ConfigError(f"tenancy {text!r}: {kind!r} is not one of {', '.join(TenancyKind)}")
        return cls(TenancyKind(kind), field or "tenant")


class IdScheme(StrEnum):
    """Whether ids are mapped to what the store can hold, or are the store's own already."""

    MAPPED = "mapped"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Placement:
    """How the shards of a topology lie on a cluster; ``{shard}`` and ``{tenant}`` are filled in."""

    cluster: str
    collection: str = "{tenant}"
    tenancy: Tenancy = Tenancy(TenancyKind.PAYLOAD)
    ids: IdScheme = IdScheme.MAPPED
    vector_name: str = ""
    sparse_name: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tenant's records are. What a store needs to know about a request, and all it gets."""

    cluster: str
    collection: str
    tenant: str
    tenancy: Tenancy
    ids: IdScheme
    vector_name: str
    sparse_name: str
    dimension: int
    metric: Metric


@dataclass(frozen=True, slots=True)
class Topology:
    """`shards` shards, placed alike, holding vectors of one dimension and metric."""

    name: str
    shards: int
    placement: Placement
    dimension: int
    metric: Metric = Metric.COSINE

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ConfigError(f"topologies.{self.name}.shards is {self.shards}; it must be 1 or more")
        if self.dimension < 1:
            raise ConfigError(f"topologies.{self.name}.dimension is {self.dimension}; it must be 1 or more")
        pattern = self.placement.collection
        if unknown := set(_PLACEHOLDER.findall(pattern)) - {"shard", "tenant"}:
            raise ConfigError(
                f"topologies.{self.name}: collection {pattern!r} has the placeholder {{{min(unknown)}}}; "
                "known are {shard} and {tenant}"
            )
        if "{tenant}" in pattern and _AMBIGUOUS.search(pattern):
            raise ConfigError(
                f"topologies.{self.name}: collection {pattern!r} needs a character that is no digit beside "
                "{shard}: without one, two tenants could share a collection"
            )
        per_tenant = "{tenant}" in self.placement.collection
        if per_tenant is not (self.placement.tenancy.kind is TenancyKind.COLLECTION):
            raise ConfigError(
                f"topologies.{self.name}: collection {self.placement.collection!r} and tenancy "
                f"{self.placement.tenancy.kind}: '{{tenant}}' goes into the collection's name with "
                "tenancy 'collection', and only then"
            )

    def shard(self, tenant: str) -> int:
        return shard_of(tenant, self.shards)

    def collections(self) -> tuple[str, ...]:
        """The collections of all shards; with tenancy `collection`, their names are not known here."""
        if self.placement.tenancy.kind is TenancyKind.COLLECTION:
            return ()
        names = (self.placement.collection.replace("{shard}", str(shard)) for shard in range(self.shards))
        return tuple(dict.fromkeys(names))

    def place(self, tenant: str) -> Place:
        """Where this topology keeps the tenant. Raises InvalidTenant if no collection can be named so."""
        placement = self.placement
        collection = placement.collection.replace("{shard}", str(self.shard(tenant))).replace(
            "{tenant}", tenant
        )
        if not _COLLECTION.fullmatch(collection):
            raise InvalidTenant(
                f"tenant {tenant!r} gives the collection name {collection!r}, which is not allowed"
            )
        return Place(
            cluster=placement.cluster,
            collection=collection,
            tenant=tenant,
            tenancy=placement.tenancy,
            ids=placement.ids,
            vector_name=placement.vector_name,
            sparse_name=placement.sparse_name,
            dimension=self.dimension,
            metric=self.metric,
        )
