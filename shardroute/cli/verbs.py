"""Verbs that work on tenants: several at a time, results as rows, errors noted one by one."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from ..admin import Admin
from ..errors import InvalidInput, ShardrouteError
from ..gates import Gates
from ..migration import Options, Outcome, Verification, each
from ..phases import EFFECTS, LINE, Phase, Side
from ..topology import check_tenant
from .asking import confirm_purge, confirm_purge_target
from .exits import Exit
from .output import Column, Row, number, phase_column, text
from .running import Command, Run
from .words import plural

Verb = Callable[[str], Awaitable[Row]]
_NOTES = 20  # that are shown

MOVED: tuple[Column, ...] = (text("tenant"), phase_column(), number("seconds", form=".1f"))
COPIED: tuple[Column, ...] = (
    *MOVED[:2],
    number("copied"),
    number("compared"),
    number("repaired"),
    Column("hold ms", lambda row: "+".join(f"{1000 * hold:.0f}" for hold in row["hold_seconds"]), right=True),
    MOVED[2],
)
VERIFIED: tuple[Column, ...] = (
    text("tenant"),
    number("compared"),
    Column("differing", lambda row: _alarming(row["differing"]), right=True),
    number("repaired"),
    number("unsettled"),
    Column("searches", lambda row: _searches(row["searches"]), right=True),
    number("seconds", form=".1f"),
)
PURGED: tuple[Column, ...] = (text("tenant"), number("deleted"), number("seconds", form=".1f"))
TOUCHED: tuple[Column, ...] = (text("tenant"), number("noted"))
PLANNED: tuple[Column, ...] = (
    text("tenant"),
    Column("plan", lambda row: _plan(row["problems"]), fold=True),
)

_NOT_MOVED_YET = tuple(phase for phase in LINE if phase.rank < Phase.DUAL_NEW.rank)
_ON_TWO_CLUSTERS = tuple(phase for phase in LINE if not EFFECTS[phase].settled)

ALL: Mapping[str, Sequence[Phase]] = {
    "plan": (Phase.OLD,),
    "migrate": _NOT_MOVED_YET,
    "verify": _ON_TWO_CLUSTERS,
    "rollback": (Phase.HOLD_NEW, Phase.DUAL_NEW),
    "abort": (Phase.DUAL_OLD, Phase.HOLD_OLD),
    "complete": (Phase.DUAL_NEW,),
    "purge": (Phase.NEW,),
}
"""In which phases tenants are that a verb with --all takes."""


# -- the commands --------------------------------------------------------------------------------------------------


def migrate(tenants: Sequence[str], *, everyone: bool, options: Options, yes: bool, parallel: int) -> Command:
    """All of them, or all that have not crossed yet."""

    async def command(run: Run, admin: Admin) -> None:
        chosen = await _chosen(admin, "migrate", tenants, everyone=everyone)
        if options.purge_target and not yes:
            await confirm_purge_target(run, admin, chosen)
        if admin.config.gates.closed and not options.gates:
            run.screen.note("--no-gates: what [gates] says is not asked")
        await _several(run, chosen, _mover(admin, "migrate", options), COPIED, parallel)
        for row in run.document["results"]:
            _tell_watch(run, row, admin.config.watch)

    return command


def rollback(
    tenants: Sequence[str], *, everyone: bool, options: Options, yes: bool, parallel: int
) -> Command:
    """All of them, or all that have crossed and are not completed."""

    async def command(run: Run, admin: Admin) -> None:
        chosen = await _chosen(admin, "rollback", tenants, everyone=everyone)
        if options.purge_target and not yes:
            await confirm_purge_target(run, admin, chosen)
        await _several(run, chosen, _mover(admin, "rollback", options), COPIED, parallel)

    return command


def move(
    verb: str, tenants: Sequence[str], *, everyone: bool, columns: Sequence[Column], parallel: int
) -> Command:
    """`abort` or `complete`."""

    async def command(run: Run, admin: Admin) -> None:
        chosen = await _chosen(admin, verb, tenants, everyone=everyone)
        await _several(run, chosen, _mover(admin, verb, Options()), columns, parallel)

    return command


def verify(
    tenants: Sequence[str],
    *,
    everyone: bool,
    repair: bool,
    accept_loss: int,
    trust: Side | None,
    parallel: int,
) -> Command:
    """Differences that were not repaired end in exit code 3."""

    async def command(run: Run, admin: Admin) -> None:
        async def one(tenant: str) -> Row:
            began = time.monotonic()
            found = await admin.verify(tenant, repair=repair, accept_loss=accept_loss, trust=trust)
            return _verified(tenant, found, repair=repair, seconds=time.monotonic() - began)

        chosen = await _chosen(admin, "verify", tenants, everyone=everyone)
        await _several(run, chosen, one, VERIFIED, parallel)
        for row in run.document["results"]:
            _tell_differences(run, row)
            _tell_refused_searches(run, row)

    return command


def purge(tenants: Sequence[str], *, everyone: bool, yes: bool, accept_loss: int) -> Command:
    """Asks first, saying what goes."""

    async def command(run: Run, admin: Admin) -> None:
        chosen = await _chosen(admin, "purge", tenants, everyone=everyone)
        if not yes:
            await confirm_purge(run, admin, chosen)

        async def one(tenant: str) -> Row:
            began = time.monotonic()
            deleted = await admin.purge(tenant, accept_loss=accept_loss)
            return {"tenant": tenant, "deleted": deleted, "seconds": _seconds(time.monotonic() - began)}

        await _several(run, chosen, one, PURGED, 2)

    return command


def plan(tenants: Sequence[str], *, everyone: bool, purge_target: bool, parallel: int) -> Command:
    """Problems end in exit code 1."""

    async def command(run: Run, admin: Admin) -> None:
        async def one(tenant: str) -> Row:
            plan = await admin.plan(tenant, purge_target=purge_target)
            return {
                "tenant": tenant,
                "ready": not plan.problems,
                "problems": plan.problems,
                "notes": plan.notes,
            }

        chosen = await _chosen(admin, "plan", tenants, everyone=everyone)
        await _several(run, chosen, one, PLANNED, parallel)
        _note_once(run)
        if not all(row["ready"] for row in run.document["results"]):
            run.exits.append(Exit.FAILED)

    return command


def touch(tenant: str, ids: Sequence[str]) -> Command:
    """Ids of records that something outside wrote."""

    async def command(run: Run, admin: Admin) -> None:
        wanted = _read_ids() if ids == ("-",) else _checked_ids(ids)

        async def one(name: str) -> Row:
            return {"tenant": name, "noted": await admin.touch(name, wanted)}

        await _several(run, [check_tenant(tenant)], one, TOUCHED, 1)
        if wanted and any(not row["noted"] for row in run.document["results"]):
            run.screen.note(f"{tenant} is on one cluster only: nothing has to be copied again")

    return command


# -- several tenants -----------------------------------------------------------------------------------------------


async def _several(
    run: Run, tenants: list[str], verb: Verb, columns: Sequence[Column], parallel: int
) -> None:
    """Some at a time; what is done is shown even if the rest is interrupted."""
    run.tenants = tenants

    async def one(tenant: str) -> Row:
        run.begun.append(tenant)
        run.watch.begins(tenant)
        return await verb(tenant)

    try:
        with run.watch.watching(tenants):
            async for tenant, answer in each(tenants, one, parallel=parallel):
                _ended(run, tenant, answer)
    finally:
        places = {tenant: place for place, tenant in enumerate(tenants)}
        run.document["results"].sort(key=lambda row: places[row["tenant"]])
        run.screen.table(columns, run.document["results"])
    if len(tenants) > 1 or not tenants:
        _summarize(run)


def _ended(run: Run, tenant: str, answer: Row | ShardrouteError) -> None:
    run.ended.add(tenant)
    run.watch.done(tenant)
    if isinstance(answer, ShardrouteError):
        run.fail(answer, tenant)
    else:
        run.document["results"].append(answer)


def _summarize(run: Run) -> None:
    failed = len(run.document["errors"])
    words = f"{plural(len(run.tenants), 'tenant')}: {len(run.document['results'])} done"
    run.screen.aside(f"{words}, {failed} failed" if failed else words)


async def _chosen(admin: Admin, verb: str, tenants: Sequence[str], *, everyone: bool) -> list[str]:
    """The tenants, each once. Raises InvalidTenant; InvalidInput if there are none."""
    if everyone and tenants:
        raise InvalidInput("either tenants by name or --all, not both")
    if everyone:
        return await admin.tenants(ALL[verb])
    if not tenants:
        raise InvalidInput("which tenants? Name one or more, or say --all")
    return [check_tenant(tenant) for tenant in dict.fromkeys(tenants)]


def _mover(admin: Admin, verb: str, options: Options) -> Verb:
    async def one(tenant: str) -> Row:
        return _moved(await admin.move(verb, tenant, options))

    return one


# -- rows ----------------------------------------------------------------------------------------------------------


def _seconds(value: float) -> float:
    return round(value, 4)


def _moved(outcome: Outcome) -> Row:
    times: dict[str, Any] = {
        "hold_seconds": [_seconds(hold) for hold in outcome.hold_seconds],
        "seconds": _seconds(outcome.seconds),
    }
    if outcome.rollback_seconds is not None:
        times["rollback_seconds"] = _seconds(outcome.rollback_seconds)
    return {**asdict(outcome), **times}


def _verified(tenant: str, found: Verification, *, repair: bool, seconds: float) -> dict[str, Any]:
    differing = len(found.differing)
    return {
        "tenant": tenant,
        "compared": found.compared,
        "differing": 0 if repair else differing,
        "repaired": differing if repair else 0,
        "unsettled": found.unsettled,
        "examples": found.examples(),
        "vectors": {
            name: {side.value: count for side, count in held.items()} for name, held in found.vectors.items()
        },
        "searches": None if found.searches is None else asdict(found.searches),
        "seconds": _seconds(seconds),
    }


def _tell_watch(run: Run, row: Row, watch: Gates) -> None:
    tenant, samples = row["tenant"], watch.samples
    if row["rolled_back"]:
        run.exits.append(Exit.FAILED)
        run.screen.note(
            f"tenant {tenant!r} crossed and was taken back to its old cluster, which served again "
            f"{row['rollback_seconds']:.2f} s after the watch saw it: {'; '.join(row['broken'])}"
        )
    elif row["watched"] is not None and row["watched"] < samples:
        run.screen.note(
            f"tenant {tenant!r} stays on its new cluster, on trust: its watch ended after {row['watched']:,} "
            f"comparisons, and [watch] judges from {samples:,}"
        )


def _tell_differences(run: Run, row: Row) -> None:
    if not row["differing"]:
        return
    run.exits.append(Exit.DIFFERENT)
    listing = "".join(f"\n  - {example}" for example in row["examples"])
    run.screen.note(
        f"tenant {row['tenant']!r}: {plural(row['differing'], 'record')} differ; `--repair` copies them again:{listing}"
    )


def _searches(found: Mapping[str, Any] | None) -> str:
    """How far the two sides' neighbours agree, of how many records."""
    if found is None or found["recall"] is None:
        return ""
    return f"{found['recall']:.1%} of {found['asked']}"


def _tell_refused_searches(run: Run, row: Row) -> None:
    for side, said in (row["searches"] or {"refused": {}})["refused"].items():
        run.screen.note(f"tenant {row['tenant']!r}: the {side} side refuses searches: {said}")


def _alarming(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "")


def _note_once(run: Run) -> None:
    """What the moves do that one may want to know: most of it is the same for all tenants."""
    notes = Counter(note for row in run.document["results"] for note in row["notes"])
    for note, tenants in notes.most_common(_NOTES):
        run.screen.note(f"{note} ({plural(tenants, 'tenant')})")
    if len(notes) > _NOTES:
        run.screen.note(f"and {len(notes) - _NOTES} more: see `--json`")


def _plan(problems: Sequence[str]) -> Text:
    return Text("\n".join(problems), style="red") if problems else Text("ready", style="green")


# -- ids -----------------------------------------------------------------------------------------------------------


def _checked_ids(ids: Sequence[str]) -> list[str]:
    if not ids:
        raise InvalidInput("which ids? Name some, or `-` to read them from stdin, one a line")
    for record_id in ids:
        if record_id.startswith("-"):
            raise InvalidInput(
                f"{record_id} is no option; ids that begin with a hyphen go through stdin, with `-`"
            )
    return list(ids)


def _read_ids() -> list[str]:
    return [line for line in sys.stdin.read().splitlines() if line]
