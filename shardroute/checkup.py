"""What `doctor` finds beyond sessions and half-done tenants: Redis's memory, and records that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from dataclasses import replace

from .config import Config
from .control import Memory
from .errors import ShardrouteError
from .phases import EFFECTS, Phase, Side
from .ports import Store
from .shardmap import Migration, ShardMap
from .topology import DEFAULT_NAMESPACE, Place, TenancyKind, Topology

_FULL = 0.8  # of maxmemory: what is above is told as a problem
_NEAR = 0.9  # of the budget for statistics
_PATIENCE = 10.0  # seconds for listing the tenants of both clusters
_STEPS = 5
"""Moves that bring a tenant from OLD to NEW. A record at NEW of a smaller epoch never made them: it was declared."""

_NO_OWNER = (
    "it is the default one, of requests that name none. Say whose it is: "
    'placement = {{ …, default_namespace = "TENANT" }} in topologies.{topology}'
)
_SHADOWED = "tenant {tenant!r} has the default namespace instead (default_namespace). Choose another name for that one"
_NOT_LOOKED = "records that nobody reads were not looked for"
_UNNAMED = "records that are no tenant's were not looked for"
_NAME_THEM = "They are never moved. See docs/operations.md, 'Records of no tenant'"
_HOW = "Do not purge it: docs/operations.md, 'Records that nobody reads', says how to bring it over"


def memory_problems(found: Memory) -> list[str]:
    """A Redis that is full refuses writes, and with them ours."""
    if not found.most or found.used < _FULL * found.most:
        return []
    return [
        f"Redis uses {megabytes(found.used)} of its maxmemory, {megabytes(found.most)}: once that is full, no tenant "
        "can be moved and, when leases have run out, nothing be written"
    ]


def memory_notes(found: Memory) -> list[str]:
    return [
        f"{one.kind} take {megabytes(one.bytes)} of {megabytes(one.limit)}: the tenants that have most lose their "
        "oldest (control.statistics_bytes)"
        for one in found.ours
        if one.limit and one.bytes is not None and one.bytes >= _NEAR * one.limit
    ]


def megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"


def lag_notes(config: Config, stores: Mapping[str, Store]) -> list[str]:
    """Clusters whose reads may lag for longer than a hold lasts."""
    hold = config.migration.max_hold
    clusters = (topology.placement.cluster for topology in (config.route.old, config.route.new))
    return [
        f"reads of cluster {name!r} may lag by {stores[name].lag:g} s (clusters.{name}.lag), and migration.max_hold is "
        f"{hold:g} s: a cut-over that finds debt is given up and tried again, and `finish` is refused. Measure the "
        "lag and set it, then max_hold above it: docs/pinecone-documents.md, 'How far reads lag'"
        for name in dict.fromkeys(clusters)
        if 0 < stores[name].lag >= hold
    ]


async def unrouted(topology: Topology, stores: Mapping[str, Store]) -> tuple[list[str], list[str]]:
    """Namespaces that hold records and that no tenant can have: problems and notes. Asks for ten seconds at most.

    The default one, where the placement does not say whose it is; and the one that its tenant would have by the
    pattern. Both may hold what an application reads through its vendor's client, and would find no more.
    """
    if topology.placement.tenancy.kind is not TenancyKind.NAMESPACE:
        return [], []
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _unrouted(topology, stores[topology.placement.cluster]), []
    except TimeoutError:
        return [], [f"{_NOT_LOOKED}: the cluster did not list its namespaces in {_PATIENCE:g} s"]
    except ShardrouteError as error:
        return [], [f"{_NOT_LOOKED}: {error}"]


async def _unrouted(topology: Topology, store: Store) -> list[str]:
    placement = topology.placement
    owner, found = placement.default_namespace, []
    for place in topology.shared_places():
        own = bool(owner) and topology.place(owner).collection == place.collection
        suspected = {} if own else {DEFAULT_NAMESPACE: _NO_OWNER.format(topology=topology.name)}
        if owner:
            suspected[placement.named(owner)] = _SHADOWED.format(tenant=owner)
        for namespace, hint in suspected.items():
            if await _holds_any(store, replace(place, namespace=namespace)):
                found.append(
                    f"cluster {store.name!r}: namespace {namespace!r} of {place.collection!r} has records that nobody "
                    f"routes: {hint}"
                )
    return found


async def _holds_any(store: Store, place: Place) -> bool:
    if await store.describe(place) is None:
        return False
    return bool((await store.scan(place, limit=1, vectors=False)).records)


async def unread(
    route: Migration, shard_map: ShardMap, stores: Mapping[str, Store]
) -> tuple[list[str], list[str]]:
    """Tenants at NEW of whom only the old cluster has data: problems and notes. Asks for ten seconds at most."""
    at_new = {name for name, standing in shard_map.tenants.items() if _alone_on_new(standing.phase)}
    if not at_new:
        return [], []
    try:
        async with asyncio.timeout(_PATIENCE):
            old = await _with_data(route.old, stores, at_new)
            new = await _with_data(route.new, stores, at_new) if old else frozenset[str]()
    except TimeoutError:
        return [], [f"{_NOT_LOOKED}: the clusters did not list their tenants in {_PATIENCE:g} s"]
    except ShardrouteError as error:
        return [], [f"{_NOT_LOOKED}: {error}"]
    cluster, problems, notes = route.old.placement.cluster, [], []
    for name in sorted(old):
        if shard_map.tenants[name].epoch < _STEPS:
            problems.append(
                f"tenant {name} was declared new, and has records on cluster {cluster!r} that nobody reads. {_HOW}"
            )
        elif name not in new:
            notes.append(
                f"tenant {name} is at NEW and has records on cluster {cluster!r} only. Did it delete all that it had? "
                f"If not: {_HOW}"
            )
    return problems, notes


async def unnamed(topology: Topology, stores: Mapping[str, Store]) -> list[str]:
    """Records on a topology's cluster that no tenant has: one line for each value that is no tenant's name."""
    placement = topology.placement
    store = stores[placement.cluster]
    return [
        f"cluster {placement.cluster!r}, collection {one.collection!r}: {one.records} records are no tenant's: where "
        f"the tenant's name belongs, they have {one.value} (tenancy {placement.tenancy.kind}:{placement.tenancy.field})"
        async for one in store.unnamed(placement, topology.collections())
    ]


async def unnamed_problems(route: Migration, stores: Mapping[str, Store]) -> tuple[list[str], list[str]]:
    """Of both sides: problems, and notes of what could not be looked at in ten seconds."""
    problems: list[str] = []
    try:
        async with asyncio.timeout(_PATIENCE):
            for topology in (route.old, route.new):
                problems += [f"{line}. {_NAME_THEM}" for line in await unnamed(topology, stores)]
    except TimeoutError:
        return problems, [f"{_UNNAMED}: the clusters did not list them in {_PATIENCE:g} s"]
    except ShardrouteError as error:
        return problems, [f"{_UNNAMED}: {error}"]
    return problems, []


async def _with_data(topology: Topology, stores: Mapping[str, Store], wanted: Set[str]) -> frozenset[str]:
    store = stores[topology.placement.cluster]
    return frozenset(
        [name async for name in store.tenants(topology.placement, topology.collections()) if name in wanted]
    )


def _alone_on_new(phase: Phase) -> bool:
    return EFFECTS[phase].alone is Side.NEW
