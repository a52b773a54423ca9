"""Where a tenant's records live: topologies, placements and places. Pure.

A topology is a number of shards and a placement for them. A migration goes from one topology to
another. A `Place` is the answer for one tenant: which cluster, which collection, kept apart how.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from .errors import ConfigError, InvalidTenant
from .hashing import shard_of
from .records import Metric

DEFAULT_NAMESPACE = "__default__"
"""Pinecone's name for the namespace of requests that name none."""

_TENANT = re.compile(r"[A-Za-z0-9%][A-Za-z0-9._@+~:%-]{0,127}")
_AS_THEY_ARE = "._@+~:-"  # within a name; percent-encoded, a value may have anything else
_FIRST = re.compile(r"[A-Za-z0-9]")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_AMBIGUOUS = re.compile(r"\{shard\}[\d{]|[\d}]\{shard\}")
_ANYBODY = "0"  # a tenant, where it does not matter which; a number, as some fields hold nothing else
_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+~-]{0,254}")
_ENCODER = re.compile(r"\A[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_tenant(tenant: object) -> str:
    """The tenant's name, if it is safe in Redis keys, collection names and spans. Raises InvalidTenant."""
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise InvalidTenant(
            f"tenant {tenant!r} is not a valid name: 1 to 128 of the characters A-Z a-z 0-9 . _ @ + ~ : - % , "
            "the first a letter, a digit or %; for other characters, see tenant_of in docs/configuration.md"
        )
    return tenant


class TenantOf(StrEnum):
    """Which tenant is meant by what a cluster has: by a value of a field, or by a namespace.

    Each value is one tenant's at most, and a tenant has one value.
    """

    VALUE = "value"  # the tenant that is called so
    PERCENT = "percent"  # the tenant whose name is the value, percent-encoded: `auth0%7C5f7` is `auth0|5f7`

    def tenant(self, value: str) -> str | None:
        """The tenant's name, or None of a value that is no tenant's."""
        try:
            name = percent_encoded(value) if self is TenantOf.PERCENT else value
        except UnicodeEncodeError:  # half of a surrogate pair is no text
            return None
        return name if _TENANT.fullmatch(name) else None

    def value_of(self, tenant: str) -> str:
        """Gives the value that stands for the tenant. Raises InvalidTenant of another spelling of that value."""
        if self is TenantOf.VALUE:
            return tenant
        value = unquote(tenant)
        if percent_encoded(value) != tenant:
            raise InvalidTenant(
                f"tenant {tenant!r} is percent-encoded in another way than {percent_encoded(value)!r} (tenant_of)"
            )
        return value


def percent_encoded(value: str) -> str:
    """The name of the tenant whose value it is, with `tenant_of = "percent"`: `Acme Inc.` gives `Acme%20Inc.`.

    RFC 3986, of UTF-8. What names may have stays, but for `%`, and at the start anything but a letter or a digit.
    Raises UnicodeEncodeError.
    """
    first, rest = value[:1], value[1:]
    if not _FIRST.fullmatch(first):
        first = "".join(f"%{byte:02X}" for byte in first.encode())
    return first + quote(rest, safe=_AS_THEY_ARE, errors="strict")


class TenancyKind(StrEnum):
    """How tenants of one cluster are kept apart."""

    PAYLOAD = "payload"  # a field of every record, filtered on in every request
    COLLECTION = "collection"  # a collection of its own for each tenant
    SHARD_KEY = "shard_key"  # a custom shard key of one collection (Qdrant), and the field as well
    NAMESPACE = "namespace"  # a namespace of one index (Pinecone)


class FieldType(StrEnum):
    """What the field holds that carries the tenant's name."""

    TEXT = "text"
    INTEGER = "integer"  # the tenant '42' is the number 42


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A kind, and for `payload:FIELD` and `shard_key:FIELD` the field that carries the tenant's name.

    A field within another one is written with dots, ``metadata.tenant_id``; a key that has a dot itself in quotes,
    ``"tenant.id"``. One that holds whole numbers ends in ``:integer``.
    """

    kind: TenancyKind
    field: str = "tenant"

    @classmethod
    def parse(cls, text: str) -> Tenancy:
        """``payload:tenant``, ``payload:org:integer``, ``collection``, ``shard_key:org``, … Raises ConfigError."""
        kind, _, field = text.partition(":")
        if kind not in set(TenancyKind):
            raise ConfigError(f"tenancy {text!r}: {kind!r} is not one of {', '.join(TenancyKind)}")
        made = cls(TenancyKind(kind), field or "tenant")
        if not all(made.path):
            raise ConfigError(
                f"tenancy {text!r}: {made.name!r} is no field, nor fields with dots between them"
            )
        if made.kind is TenancyKind.SHARD_KEY and made.field_type is not FieldType.TEXT:
            raise ConfigError(f"tenancy {text!r}: shard keys are text here, and so is the field")
        return made

    @property
    def name(self) -> str:
        """The field without its type."""
        return self.field.removesuffix(f":{FieldType.INTEGER}")

    @property
    def path(self) -> tuple[str, ...]:
        """The keys from the payload down to the field."""
        if len(self.name) > 2 and self.name[0] == self.name[-1] == '"':
            return (self.name[1:-1],)
        return tuple(self.name.split("."))

    @property
    def field_type(self) -> FieldType:
        return FieldType.TEXT if self.name == self.field else FieldType.INTEGER

    def check(self, tenant: str) -> None:
        """Raises InvalidTenant if the field cannot name the tenant."""
        if self.field_type is FieldType.INTEGER and not _WHOLE.fullmatch(tenant):
            raise InvalidTenant(
                f"tenant {tenant!r} is no whole number, and the field {self.name!r} holds nothing else (tenancy)"
            )


class IdScheme(StrEnum):
    """Whether ids are mapped to what the store can hold, or are the store's own already."""

    MAPPED = "mapped"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Placement:
    """How the shards of a topology lie on a cluster; ``{shard}`` and ``{tenant}`` are filled in.

    `tenant_of`: whose a value of the tenant field is, or what stands for `{tenant}` in a name.
    `create_options`: of collections that are made, instead of what the other side has (Qdrant).
    `namespace`: what a tenant's namespace is called, with tenancy `namespace`. `default_namespace`: the tenant whose
    namespace is the default one instead; empty where that is nobody's.
    """

    cluster: str
    collection: str = "{tenant}"
    tenancy: Tenancy = Tenancy(TenancyKind.PAYLOAD)
    ids: IdScheme = IdScheme.MAPPED
    vector_name: str = ""
    sparse_name: str = ""
    namespace: str = "{tenant}"
    default_namespace: str = ""
    tenant_of: TenantOf = TenantOf.VALUE
    create_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def namespace_of(self, tenant: str) -> str:
        """Gives the name of the tenant's namespace. Raises InvalidTenant of one that is not ASCII, or another's."""
        if tenant == self.default_namespace:
            return DEFAULT_NAMESPACE
        name = self.named(tenant)
        if self.tenancy.kind is TenancyKind.NAMESPACE and not name.isascii():
            raise InvalidTenant(
                f"tenant {tenant!r} gives the namespace {name!r}, and Pinecone's are ASCII: leave tenant_of out of "
                "that placement, and namespaces are called as tenants are"
            )
        if name == DEFAULT_NAMESPACE and self.default_namespace:
            raise InvalidTenant(
                f"tenant {tenant!r} gives the namespace {name!r}, which belongs to tenant {self.default_namespace!r} "
                "(default_namespace)"
            )
        return name

    def named(self, tenant: str) -> str:
        """The namespace that the pattern gives to the tenant."""
        return self.namespace.replace("{tenant}", self.tenant_of.value_of(tenant))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tenant's records are. What a store needs to know about a request, and all it gets.

    `tenant`: as the cluster has it, in a field or a name (`Placement.tenant_of`).
    """

    cluster: str
    collection: str
    tenant: str
    tenancy: Tenancy
    ids: IdScheme
    vector_name: str
    sparse_name: str
    dimension: int
    metric: Metric
    namespace: str = ""
    create_options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Topology:
    """`shards` shards, placed alike, holding vectors of one dimension and metric.

    `encoder`: the function that makes the vectors, ``module:function``, of the metadata field `source_field`;
    empty where the caller brings vectors. It gets `encoder_batch` texts at most, is called `encoder_concurrency`
    times at once at most in one process, and may take `encoder_timeout` seconds for a call.
    """

    name: str
    shards: int
    placement: Placement
    dimension: int
    metric: Metric = Metric.COSINE
    encoder: str = ""
    source_field: str = ""
    encoder_batch: int = 64
    encoder_concurrency: int = 4
    encoder_timeout: float = 30.0

    def __post_init__(self) -> None:
        self._check_encoder()
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
        if self.placement.namespace.count("{tenant}") != 1 or "{shard}" in self.placement.namespace:
            raise ConfigError(
                f"topologies.{self.name}: namespace {self.placement.namespace!r} must name {{tenant}}, once, "
                "and no other placeholder; where one tenant has the default namespace, say "
                'default_namespace = "TENANT" instead'
            )
        self._check_default_namespace()
        per_tenant = "{tenant}" in self.placement.collection
        if per_tenant is not (self.placement.tenancy.kind is TenancyKind.COLLECTION):
            raise ConfigError(
                f"topologies.{self.name}: collection {self.placement.collection!r} and tenancy "
                f"{self.placement.tenancy.kind}: '{{tenant}}' goes into the collection's name with "
                "tenancy 'collection', and only then"
            )

    def _check_default_namespace(self) -> None:
        tenant, kind = self.placement.default_namespace, self.placement.tenancy.kind
        if not tenant:
            return
        path = f"topologies.{self.name}: default_namespace is {tenant!r}"
        if kind is not TenancyKind.NAMESPACE:
            raise ConfigError(f"{path}, and tenancy {kind.value!r} has no namespaces")
        try:
            check_tenant(tenant)
        except InvalidTenant as error:
            raise ConfigError(f"{path}; it is the tenant that has the default namespace: {error}") from None

    def _check_encoder(self) -> None:
        path = f"topologies.{self.name}"
        if self.encoder and not _ENCODER.fullmatch(self.encoder):
            raise ConfigError(f"{path}.encoder is {self.encoder!r}; expected 'module:function'")
        if bool(self.encoder) is not bool(self.source_field):
            missing, given = ("source_field", "encoder") if self.encoder else ("encoder", "source_field")
            raise ConfigError(f"{path}.{missing} is missing: {given} needs it")
        for key in ("encoder_batch", "encoder_concurrency", "encoder_timeout"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"{path}.{key} is {getattr(self, key)}; it must be above 0")

    @property
    def encoding(self) -> tuple[str, str] | None:
        """What a record's vector is made by, and of which field; None where the caller brings it."""
        return (self.encoder, self.source_field) if self.encoder else None

    def shard(self, tenant: str) -> int:
        return shard_of(tenant, self.shards)

    def collections(self) -> tuple[str, ...]:
        """The collections of all shards; with tenancy `collection`, their names are not known here."""
        if self.placement.tenancy.kind is TenancyKind.COLLECTION:
            return ()
        names = (self.placement.collection.replace("{shard}", str(shard)) for shard in range(self.shards))
        return tuple(dict.fromkeys(names))

    def shared_places(self) -> list[Place]:
        """A place in each of these collections."""
        return [replace(self.place(_ANYBODY), collection=name) for name in self.collections()]

    def place(self, tenant: str) -> Place:
        """Where this topology keeps the tenant. Raises InvalidTenant if no collection or field can be named so."""
        placement = self.placement
        value = placement.tenant_of.value_of(tenant)
        placement.tenancy.check(value)
        collection = placement.collection.replace("{shard}", str(self.shard(tenant))).replace(
            "{tenant}", value
        )
        if not _COLLECTION.fullmatch(collection):
            raise InvalidTenant(
                f"tenant {tenant!r} gives the collection name {collection!r}, which is not allowed"
            )
        return Place(
            cluster=placement.cluster,
            collection=collection,
            tenant=value,
            tenancy=placement.tenancy,
            ids=placement.ids,
            vector_name=placement.vector_name,
            sparse_name=placement.sparse_name,
            dimension=self.dimension,
            metric=self.metric,
            namespace=placement.namespace_of(tenant),
            create_options=placement.create_options,
        )


def check_encoders(old: Topology, new: Topology) -> None:
    """Raises ConfigError if a record that goes from one to the other could not get its vector there."""
    if bool(old.encoder) is not bool(new.encoder):
        without, having = (old, new) if new.encoder else (new, old)
        raise ConfigError(
            f"topologies.{without.name}.encoder is missing, and topologies.{having.name} has one: dual writes, debt "
            "and a rollback bring records both ways, so both sides must make their own vectors"
        )
    if old.encoder and old.encoder == new.encoder and old.dimension != new.dimension:
        raise ConfigError(
            f"topologies.{new.name}.dimension is {new.dimension}, and topologies.{old.name} has {old.dimension} "
            f"with the same encoder, {old.encoder!r}: an encoder gives vectors of one dimension"
        )
