"""Everything that can be found out before a tenant moves. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from ..control import PROTOCOL, ControlPlane
from ..errors import ClusterRejected, ShardrouteError
from ..routing import Target
from ..schema import Description, End, Verdict, compare, unfit
from ..topology import Place
from .observer import Stage
from .work import Work

_NAMED = 10  # records that are named in a list of problems
_SHARED = "another tenant has it too (its tenant field is a list): give each tenant a record of its own"


@dataclass(slots=True)
class Plan:
    """What stands against a move, and what the move does that one may want to know."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def examined(work: Work, source: Target, target: Target, *, purge_target: bool, empty: bool) -> Plan:
    """The plan of moving the tenant from `source` to `target` now."""
    found = [
        *await session_problems(work.plane),
        *await _unreachable(work, source),
        *await _unreachable(work, target),
    ]
    if found:
        return Plan(found)
    old, new = await end(work, source), await end(work, target)
    differences = compare(old, new)
    notes = [f"{one.verdict}: {one.text}" for one in differences if one.verdict is not Verdict.REFUSED]
    found += [problem for side in (old, new) for problem in _mismatch(side)]
    found += _disagreement(source, target)
    found += [one.text for one in differences if one.verdict is Verdict.REFUSED]
    found += [problem for side in (source, target) for problem in await _mute(work, side)]
    found += [problem for side in (source, target) for problem in await _unwritable(work, side)]
    return Plan(
        found or await _by_records(work, source, target, purge_target=purge_target, empty=empty), notes
    )


async def _by_records(
    work: Work, source: Target, target: Target, *, purge_target: bool, empty: bool
) -> list[str]:
    """What the records say, once the collections fit."""
    found: list[str] = []
    if not empty:
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


async def end(work: Work, target: Target) -> End:
    """One side of the tenant, as it is now."""
    place, store = target.place, target.store
    found = await work.patience.read(store.name, lambda: store.describe(place))
    return End(place, store.system, found, store.can_hold_named_vectors, target.encoder is not None)


def _mismatch(side: End) -> list[str]:
    """One that is not there yet is made when the tenant moves."""
    return [] if side.found is None else mismatches(side.place, side.found)


def mismatches(place: Place, found: Description) -> list[str]:
    """A collection against the configuration."""
    if found.schema is not None:
        return unfit(place, found.schema)
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
            reason = _SHARED if record.id in page.shared else target.store.misfit(target.place, record)
            if reason is not None:
                count += 1
                found += [f"record {record.id!r} does not fit: {reason}"][: count <= _NAMED]
        work.observer.advance(work.tenant, Stage.PREFLIGHT, len(page.records))
        if (cursor := page.cursor) is None:
            break
    return [*found, *([f"… and {count - _NAMED} more records"] if count > _NAMED else [])]
