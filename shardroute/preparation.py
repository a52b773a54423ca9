"""Collections that tenants need and that are not there yet: which, made like which, and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import ConfigError, InvalidInput
from .migration import mismatches
from .phases import EFFECTS, Side
from .ports import Store
from .routing import Sides
from .schema import End, Verdict, alike, compare
from .shardmap import Migration, ShardMap
from .topology import Place, TenancyKind, Topology

Wanted = Sequence[tuple[Place, End | None]]
"""Places, and what is at the other end of each: a new collection is made like it."""


def starting(route: Migration, shard_map: ShardMap) -> list[Topology]:
    """Where tenants are that have no record in the map: both, while `finish` is under way."""
    phases = {shard_map.default(shard).phase for shard in range(route.old.shards)}
    sides = {EFFECTS[phase].primary for phase in phases}
    return [topology for side, topology in zip(Side, (route.old, route.new), strict=True) if side in sides]


def starts(
    route: Migration, stores: Mapping[str, Store], shard_map: ShardMap, tenants: Sequence[str]
) -> list[Place]:
    """Where tenants start, or where these are. Raises InvalidInput where each tenant has something of its own."""
    if not tenants:
        return [place for topology in starting(route, shard_map) for place in _shared(topology)]
    routes = [Sides(name, route, stores).route(route.standing(shard_map, name)) for name in tenants]
    return [target.place for one in routes for target in one.targets]


async def new_like_old(route: Migration, stores: Mapping[str, Store], tenants: Sequence[str]) -> Wanted:
    """Places of the new topology, all or these tenants', each with one of the old. Raises InvalidInput."""
    old, new = route.old, route.new
    if tenants:
        pairs = [(new.place(name), await _end(stores, old.place(name))) for name in tenants]
        if absent := [end.place.collection for _, end in pairs if end.found is None]:
            raise InvalidInput(
                f"cluster {old.placement.cluster!r} has no collection {absent[0]!r} to be made like"
            )
        return pairs
    ends = [end for end in [await _end(stores, place) for place in _shared(old)] if end.found is not None]
    if not ends:
        raise InvalidInput(f"topologies.{old.name} has no collection yet that another could be made like")
    if odd := [end.place.collection for end in ends if not alike(end, ends[0])]:
        raise InvalidInput(
            f"collections {ends[0].place.collection!r} and {odd[0]!r} of topologies.{old.name} are not made alike: "
            "name tenants of each"
        )
    return [(place, ends[0]) for place in _shared(new)]


async def prepared(stores: Mapping[str, Store], wanted: Wanted) -> dict[tuple[str, str], bool]:
    """Makes what is not there; by cluster and collection, whether it was made. Raises ConfigError, ClusterRejected."""
    made: dict[tuple[str, str], bool] = {}
    for place, like in wanted:
        there = await _end(stores, place)
        wrong = [] if there.found is None else mismatches(place, there.found)
        if like is not None:
            wrong += [one.text for one in compare(like, there) if one.verdict is Verdict.REFUSED]
        if wrong:
            raise ConfigError("; ".join(wrong))
        await stores[place.cluster].prepare(place, like)
        where = place.cluster, place.collection
        made[where] = made.get(where, False) or there.found is None
    return made


async def _end(stores: Mapping[str, Store], place: Place) -> End:
    store = stores[place.cluster]
    return End(place, store.system, await store.describe(place), store.can_hold_named_vectors)


def _shared(topology: Topology) -> list[Place]:
    kind = topology.placement.tenancy.kind
    if kind in (TenancyKind.COLLECTION, TenancyKind.SHARD_KEY):
        what = kind.replace("_", " ")
        raise InvalidInput(
            f"topologies.{topology.name}: each tenant has a {what} of its own; name the tenants"
        )
    return topology.shared_places()
