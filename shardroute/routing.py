"""From a standing to the clusters that serve a request: pure look-ups, kept per tenant until the map changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import telemetry as names
from .encoding import Encoder, encoding_of
from .phases import EFFECTS, Side
from .ports import Limits, Store, limits_at
from .shardmap import Migration, Standing
from .stores.encoded import EncodedStore
from .topology import Place


@dataclass(frozen=True, slots=True)
class Target:
    """One side of a tenant: the store, and where in it the tenant is."""

    side: Side
    store: Store
    place: Place
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Span attributes that are the same for every request."""
    encoder: Encoder | None = None
    """What makes this side's vectors, where it makes its own."""

    @property
    def limits(self) -> Limits:
        """What fits into one request there, as far as the store knows by now."""
        return limits_at(self.store, self.place)

    @classmethod
    def of(cls, side: Side, store: Store, place: Place, encoder: Encoder | None = None) -> Target:
        host, port = store.address
        attributes = {
            names.DB_SYSTEM: store.system,
            names.DB_COLLECTION: place.collection,
            names.DB_NAMESPACE: place.tenant,
            names.CLUSTER: store.name,
            names.PATH: side.value,
            **({names.SERVER_ADDRESS: host} if host else {}),
            **({names.SERVER_PORT: port} if port else {}),
        }
        served = store if encoder is None else EncodedStore(store, encoder)
        return cls(side, served, place, attributes, encoder)


@dataclass(frozen=True, slots=True)
class Route:
    """How requests of a tenant are served under one standing."""

    tenant: str
    shard: int
    standing: Standing
    primary: Target
    secondary: Target | None
    held: bool
    in_flight: tuple[str, int]
    attributes: Mapping[str, Any]
    measured: dict[tuple[str, str, Side], Mapping[str, Any]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Metric attributes by operation, role and side, made when they are first needed."""
    limits: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """What fits into one request on every side, by the field of `ports.Limits`, looked up when it is first needed."""

    def largest(self, limit: str) -> int:
        """The least of what its stores take at once."""
        found = self.limits.get(limit)
        if found is None:
            found = min(int(getattr(target.store.limits, limit)) for target in self.targets)
            self.limits[limit] = found
        return found

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.primary,) if self.secondary is None else (self.primary, self.secondary)


class Sides:
    """A tenant's two targets, made once. `encoding`: how its vectors are made; None where callers bring them."""

    __slots__ = ("_targets", "encoding", "shard", "tenant")

    def __init__(self, tenant: str, migration: Migration, stores: Mapping[str, Store]) -> None:
        self.tenant = tenant
        self.shard = migration.old.shard(tenant)
        self.encoding = encoding_of(migration)
        own = self.encoding if self.encoding is not None and self.encoding.shared is None else None
        encoders = {} if own is None else {Side.OLD: own.old, Side.NEW: own.new}
        places = {Side.OLD: migration.old.place(tenant), Side.NEW: migration.new.place(tenant)}
        self._targets = {
            side: Target.of(side, stores[place.cluster], place, encoders.get(side))
            for side, place in places.items()
        }

    def __getitem__(self, side: Side) -> Target:
        return self._targets[side]

    def route(self, standing: Standing) -> Route:
        """What the phase's effect means for this tenant."""
        effect = EFFECTS[standing.phase]
        return Route(
            tenant=self.tenant,
            shard=self.shard,
            standing=standing,
            primary=self[effect.primary],
            secondary=None if effect.secondary is None else self[effect.secondary],
            held=effect.held,
            in_flight=(self.tenant, standing.epoch),
            attributes={
                names.TENANT: self.tenant,
                names.SHARD: self.shard,
                names.PHASE: standing.phase.value,
                names.EPOCH: standing.epoch,
            },
        )
