"""Everything that can be found out before a tenant moves. Changes nothing."""

from __future__ import annotations

from uuid import uuid4

from ..control import PROTOCOL, ControlPlane
from ..errors import ClusterRejected, ShardrouteError
from ..ports import Description
from ..routing import Target
from ..topology import Place
from .observer import Stage
from .work import Work

_NAMED = 10  # records that are named in a list of problems


async def problems(
    work: Work, source: Target, target: Target, *, purge_target: bool, empty: bool
) -> list[str]:
    """Why the tenant cannot be moved from `source` to `target` yet; an empty list if it can."""
    found = [
        *await session_problems(work.plane),
        *await _unreachable(work, source),
        *await _unreachable(work, target),
    ]
    if found:
        return found
    found += await _mismatch(work, source)
    found += await _mismatch(work, target)
    found += _disagreement(source, target)
    found += [problem for side in (source, target) for problem in await _mute(work, side)]
    found += [problem for side in (source, target) for problem in await _unwritable(work, side)]
    if not found and not empty:
        found += await _nothing_to_move(work, source)
    if not found and not purge_target:
        found += await _leftovers(work, target)
    return found or await _misfits(work, source, target)


async def session_problems(plane: ControlPlane) -> list[str]:
    """Sessions that speak another protocol number must not meet."""
    return [
        f"session {session.id} speaks protocol {session.info.protocol}, this is {PROTOCOL}: deploy one version first"
        for session in await plane.sessions.all()
        if session.alive and session.info is not None and session.info.protocol != PROTOCOL
    ]


async def _unreachable(work: Work, target: Target) -> list[str]:
    try:
        await work.patience.read(target.store.name, target.store.ping)
    except ShardrouteError as error:
        return [str(error)]
    return []


async def _mismatch(work: Work, target: Target) -> list[str]:
    """One that is not there yet is made when the tenant moves."""
    place, store = target.place, target.store
    found = await work.patience.read(store.name, lambda: store.describe(place))
    return [] if found is None else mismatches(place, found)


def mismatches(place: Place, found: Description) -> list[str]:
    """A collection against the configuration."""
    name, wrong = f"collection {place.collection!r} of cluster {place.cluster!r}", []
    if found.dimension not in (None, place.dimension):
        wrong.append(f"{name} has {found.dimension} dimensions, the configuration says {place.dimension}")
    if found.metric not in (None, place.metric):
        wrong.append(f"{name} has the metric {found.metric}, the configuration says {place.metric}")
    return wrong


def _disagreement(source: Target, target: Target) -> list[str]:
    """A vector that is carried over has to fit. Where each side makes its own, none is."""
    if target.encoder is not None:
        return []
    old, new = source.place, target.place
    if old.dimension != new.dimension:
        return [f"{old.dimension} dimensions on cluster {old.cluster!r}, {new.dimension} on {new.cluster!r}"]
    if old.metric != new.metric:
        return [f"metric {old.metric} on cluster {old.cluster!r}, {new.metric} on {new.cluster!r}"]
    return []


async def _mute(work: Work, target: Target) -> list[str]:
    """The encoder of a side that makes its own vectors, tried on a text of ours."""
    encoder = target.encoder
    if encoder is None:
        return []
    try:
        await work.patience.ask(lambda: encoder.vectors(["shardroute"]))
    except ShardrouteError as error:
        return [str(error)]
    return []


async def _unwritable(work: Work, target: Target) -> list[str]:
    """A key without the right to write, tried on a write that changes nothing: of a record that nobody has."""
    store, place = target.store, target.place
    if await work.patience.read(store.name, lambda: store.describe(place)) is None:
        return []
    try:
        await work.patience.read(store.name, lambda: store.delete(place, [str(uuid4())]))
    except ClusterRejected as error:
        return [f"cluster {store.name!r} takes no writes in collection {place.collection!r}: {error}"]
    return []


async def _is_empty(work: Work, target: Target) -> bool:
    store, place = target.store, target.place
    if await work.patience.read(store.name, lambda: store.describe(place)) is None:
        return True
    page = await work.patience.read(store.name, lambda: store.scan(place, limit=1, vectors=False))
    return not page.records and page.cursor is None


async def _is_empty_by_now(work: Work, target: Target) -> bool:
    """The same, once reads that lag have caught up."""
    store, place = target.store, target.place
    if store.lag and await work.patience.read(store.name, lambda: store.describe(place)) is not None:
        await work.fresh(target)
    return await _is_empty(work, target)


async def _nothing_to_move(work: Work, source: Target) -> list[str]:
    """Most likely a misspelt name, which would get a record in the map for nothing."""
    if not (await _is_empty(work, source) and await _is_empty_by_now(work, source)):
        return []
    store, place = source.store, source.place
    there = await work.patience.read(store.name, lambda: store.describe(place)) is not None
    if not there:
        return [
            f"cluster {store.name!r} has no collection {place.collection!r}, where its records would be: "
            "`shardroute prepare` makes it; `--empty` moves the tenant without"
        ]
    return [
        f"cluster {store.name!r} has no record of it; if the name is right, `--empty` moves it all the same"
    ]


async def _leftovers(work: Work, target: Target) -> list[str]:
    """Rule 12. A move that was given up a moment ago may have left what is not to be seen yet."""
    if await _is_empty_by_now(work, target):
        return []
    count = await work.patience.read(target.store.name, lambda: target.store.count(target.place))
    return [
        f"cluster {target.store.name!r} holds {count} records of the tenant already; "
        "if they are leftovers, `purge` deletes them, or `migrate --purge-target`"
    ]


async def _misfits(work: Work, source: Target, target: Target) -> list[str]:
    """Every record, against what the target can hold."""
    store, place = source.store, source.place
    total = await work.patience.read(store.name, lambda: store.estimate(place))
    work.observer.stage(work.tenant, Stage.PREFLIGHT, total)
    found: list[str] = []
    cursor, count = None, 0
    while True:
        page = await work.patience.read(
            store.name,
            lambda: store.scan(place, cursor=cursor, limit=store.limits.scan_records, vectors=False),
        )
        for record in page.records:
            reason = target.store.misfit(target.place, record)
            if reason is not None:
                count += 1
                found += [f"record {record.id!r} does not fit: {reason}"][: count <= _NAMED]
        work.observer.advance(work.tenant, Stage.PREFLIGHT, len(page.records))
        if (cursor := page.cursor) is None:
            break
    return [*found, *([f"… and {count - _NAMED} more records"] if count > _NAMED else [])]
