"""Commands that work on the deployment as a whole: `init`, `status` and `doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from ..admin import Admin, Diagnosis, TenantStatus
from ..checkup import megabytes
from ..control import SessionState
from ..errors import InvalidInput, ShardrouteError, Unavailable
from ..phases import EFFECTS, LINE, Phase
from ..topology import check_tenant
from .caller import as_typed
from .exits import Exit
from .output import Column, Row, number, phase_column, phase_summary, text
from .running import Command, Run

_STATUS: tuple[Column, ...] = (
    text("tenant"),
    phase_column(),
    number("epoch"),
    Column("synced", lambda row: "yes" if row["synced"] else ""),
    Column("debt", lambda row: _dual(row, "debt"), right=True),
    Column("in flight", lambda row: _dual(row, "in_flight"), right=True),
)
_HOLDER = text("holder")
_SESSIONS: tuple[Column, ...] = (
    text("id", "session"),
    Column("alive", lambda row: Text("yes", "green") if row["alive"] else Text("no", "dim")),
    Column("lag", lambda row: Text(f"{row['lag']:,}", "yellow" if row["lag"] and row["alive"] else ""), right=True),
    Column("lease left", lambda row: f"{max(row['lease_left'], 0):.0f} s", right=True),
    text("host"),
    text("pid", fold=False),
)  # fmt: skip
_MEMORY: tuple[Column, ...] = (
    text("kind", "in Redis"),
    number("keys"),
    Column("size", lambda row: _size(row["bytes"]), right=True),
    Column("at most", lambda row: _size(row["limit"]), right=True),
)


async def init(run: Run, admin: Admin) -> None:
    """Says whether the map was made or was there."""
    created, namespace = await admin.init(), admin.config.control.namespace
    run.document = {"created": created, "namespace": namespace, "errors": []}
    there = f"a map of namespace {namespace!r} was there already; it is left as it is"
    run.screen.line(f"made the map of namespace {namespace!r}" if created else there)


def prepare(tenants: Sequence[str], *, like_old: bool) -> Command:
    """Names every collection, and says whether it was made."""

    async def command(run: Run, admin: Admin) -> None:
        found = await admin.prepare([check_tenant(tenant) for tenant in tenants], like_old=like_old)
        for (cluster, collection), made in sorted(found.items()):
            run.document["results"].append({"cluster": cluster, "collection": collection, "made": made})
            run.screen.line(
                f"collection {collection!r} of cluster {cluster!r} {'is made' if made else 'was there'}"
            )

    return command


def finish(*, leave_unnamed: bool) -> Command:
    """Says of each shard how many records the map could drop."""

    async def command(run: Run, admin: Admin) -> None:
        dropped = await admin.finish(leave_unnamed=leave_unnamed)
        run.document = {
            "results": [{"shard": shard, "dropped": number} for shard, number in dropped.items()],
            "errors": [],
        }
        for shard, number_dropped in dropped.items():
            run.screen.line(
                f"shard {shard}: new tenants start on the new cluster; {number_dropped} records dropped"
            )

    return command


# -- status --------------------------------------------------------------------------------------------------------


def status(tenants: Sequence[str]) -> Command:
    """Those named, or all that there are."""

    async def command(run: Run, admin: Admin) -> None:
        run.document = {"version": (await admin.map()).version, "tenants": [], "phases": {}, "errors": []}
        known = await _known(run, admin, tenants)
        found = await admin.status(known) if known else []
        counts = Counter(status.phase for status in found)
        run.document["tenants"] = [_status_row(status) for status in found]
        run.document["phases"] = {phase: counts[phase] for phase in LINE}
        _show_status(run, found)

    return command


async def _known(run: Run, admin: Admin, tenants: Sequence[str]) -> list[str]:
    """With a cluster away, those that have a record in the map are better than nothing."""
    if tenants:
        return [check_tenant(tenant) for tenant in dict.fromkeys(tenants)]
    try:
        return await admin.tenants()
    except Unavailable as error:
        run.fail(error)
        run.screen.note("only tenants that have begun to move are shown: the clusters know the others")
        return sorted((await admin.map()).tenants)


def _status_row(status: TenantStatus) -> dict[str, Any]:
    row = asdict(status)
    row["in_flight"] = row.pop("tokens")
    return row


def _show_status(run: Run, found: list[TenantStatus]) -> None:
    rows, screen = [_status_row(status) for status in found], run.screen
    held = (_HOLDER,) if any(status.holder for status in found) else ()
    screen.table(_STATUS + held, rows)
    if found:
        for line in phase_summary(Counter(status.phase for status in sorted(found, key=_rank))):
            screen.line(line)
    else:
        screen.line(f"no tenants yet; the map is at version {run.document['version']}")


def _rank(status: TenantStatus) -> int:
    return status.phase.rank


def _dual(row: Row, key: str) -> str:
    """Nothing for a tenant on one cluster, which has no debt to be counted."""
    return f"{row[key]:,}" if row[key] or not EFFECTS[Phase(row["phase"])].settled else ""


# -- doctor --------------------------------------------------------------------------------------------------------


def doctor(*, repair: bool, evict: Sequence[str]) -> Command:
    """Evicts and repairs first, then says what is left. Problems end in exit code 1."""

    async def command(run: Run, admin: Admin) -> None:
        run.document = {"evicted": [], "repaired": [], "errors": []}
        for session in evict:
            await _evict(run, admin, session)
        if repair:
            await _repair(run, admin)
        found = await admin.doctor()
        run.document = _diagnosis(found) | run.document
        _show_diagnosis(run, found)
        if found.problems:
            run.exits.append(Exit.FAILED)

    return command


async def _evict(run: Run, admin: Admin, session: str) -> None:
    if await admin.evict(session):
        run.document["evicted"].append(session)
        run.screen.line(f"evicted session {session}")
    else:
        run.fail(InvalidInput(f"there is no session {session!r}"))


async def _repair(run: Run, admin: Admin) -> None:
    for status in (await admin.doctor()).half_done:
        if status.holder is not None:
            run.screen.note(f"tenant {status.tenant} is held by {status.holder}: left alone")
            continue
        try:
            outcome = await admin.repair(status.tenant)
        except ShardrouteError as error:
            run.fail(error, status.tenant)
        else:
            run.document["repaired"].append({"tenant": status.tenant, "phase": outcome.phase})
            run.screen.line(f"repaired tenant {status.tenant}: {outcome.phase}, no debt")


def _diagnosis(found: Diagnosis) -> dict[str, Any]:
    return {
        "version": found.version,
        "incarnation": found.incarnation,
        "sessions": [_session_row(session, found.version) for session in found.sessions],
        "half_done": [_status_row(status) for status in found.half_done],
        "memory": {
            "used": found.memory.used,
            "maxmemory": found.memory.most,
            "ours": [asdict(one) for one in found.memory.ours],
        },
        "problems": found.problems,
        "notes": found.notes,
    }


def _session_row(session: SessionState, version: int) -> dict[str, Any]:
    return {
        "id": session.id,
        "alive": session.alive,
        "lag": max(version - session.acknowledged, 0),
        "lease_left": round(session.remaining, 3),
        "host": session.info.host if session.info else None,
        "pid": session.info.pid if session.info else None,
    }


def _size(number_of_bytes: int | None) -> str:
    return "" if number_of_bytes is None else megabytes(number_of_bytes)


def _show_diagnosis(run: Run, found: Diagnosis) -> None:
    screen, document = run.screen, run.document
    screen.line(f"map version {found.version}, incarnation {found.incarnation}")
    screen.table(_SESSIONS, document["sessions"])
    held = (_HOLDER,) if any(status.holder for status in found.half_done) else ()
    screen.table(_STATUS + held, document["half_done"])
    screen.table(_MEMORY, document["memory"]["ours"])
    for problem in found.problems:
        screen.line(Text.assemble(("problem: ", "bold red"), as_typed(problem)))
    for note in found.notes:
        screen.line(Text.assemble(("note: ", "yellow"), as_typed(note)))
    if not found.problems:
        screen.line(Text("no problems", style="green"))
