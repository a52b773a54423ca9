"""The commands and their arguments. What they do is in `verbs` and `looking`."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from .. import __version__
from ..migration import Options
from . import comparing, looking, verbs
from .caller import NAME, Caller, called_by
from .exits import Exit
from .options import (
    COMMON,
    AcceptLoss,
    Common,
    Ids,
    Parallel,
    Repair,
    Tenant,
    Tenants,
    Trust,
    Yes,
    every,
    flag,
)
from .running import perform


def _app(name: str) -> App:
    return App(
        name=name,
        help="Moves tenants between vector database clusters under live traffic, one at a time, losing nothing.",
        version=__version__,
        result_action="return_value",
        help_epilogue="Exit codes: 0 done, 1 failed, 2 usage, 3 verification found differences, 4 somebody else "
        "holds the tenant, 130 interrupted.",
    )


app = _app(NAME)


def main(arguments: Sequence[str] | None = None, caller: Caller | None = None) -> None:
    """The script: parses the arguments (those of the process), runs one command, exits with its code.

    A `caller` that embeds it has a name of its own for it, and may bring the configuration.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode
    with called_by(replace(caller or Caller(), arguments=given)) as calling:
        named = _app(calling.command)
        named.update(app)
        sys.exit(named(given) or Exit.DONE)


@app.command
def init(*, common: Common = COMMON) -> int:
    """Make the map of a new deployment."""
    return perform(common, looking.init, needs_map=False, clusters=False)


@app.command
def prepare(
    *tenants: Tenants,
    like: Annotated[
        Literal["old"] | None, Parameter(help="Make the new topology's collections, like the old one's.")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Make the collections that are not there yet: those that tenants start in, or what these tenants need."""
    return perform(common, looking.prepare(tenants, like_old=like == "old"))


@app.command
def status(*tenants: Tenants, common: Common = COMMON) -> int:
    """Show where tenants stand: those named, or all."""
    return perform(common, looking.status(tenants), clusters=not tenants)


@app.command
def plan(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that have not begun to move.")] = False,
    purge_target: Annotated[bool, flag("Plan for `migrate --purge-target`.")] = False,
    parallel: Parallel = 2,
    common: Common = COMMON,
) -> int:
    """Find out what stands against moving tenants. Changes nothing."""
    return perform(
        common, verbs.plan(tenants, everyone=everyone, purge_target=purge_target, parallel=parallel)
    )


@app.command
def migrate(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that have not crossed yet.")] = False,
    purge_target: Annotated[bool, flag("First delete what the new cluster holds of them.")] = False,
    no_verify: Annotated[bool, flag("Cross without comparing.")] = False,
    empty: Annotated[bool, flag("Move tenants that have no records as well.")] = False,
    no_gates: Annotated[bool, flag("Cross whatever [gates] says.")] = False,
    no_watch: Annotated[bool, flag("Do not look on afterwards, whatever [watch] says.")] = False,
    canary: Annotated[
        bool, flag("Let the new cluster answer 5, 25, 50, then all reads first, by [gates].")
    ] = False,
    accept_loss: AcceptLoss = 0,
    trust: Trust = None,
    yes: Yes = False,
    parallel: Parallel = 2,
    common: Common = COMMON,
) -> int:
    """Copy tenants, compare every record, and take them across to the new cluster.

    Interrupted, it goes on where it was when it is run again. With [gates], what the application's queries found is
    judged first; with [watch] afterwards, and a tenant that fares badly is taken back.
    """
    options = Options(
        purge_target=purge_target, verify=not no_verify, empty=empty or everyone, gates=not no_gates,
        watch=not no_watch, canary=canary, accept_loss=accept_loss, trust=trust,
    )  # fmt: skip
    return perform(
        common, verbs.migrate(tenants, everyone=everyone, options=options, yes=yes, parallel=parallel)
    )


@app.command
def verify(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that are on two clusters.")] = False,
    repair: Repair = False,
    accept_loss: AcceptLoss = 0,
    trust: Trust = None,
    parallel: Parallel = 2,
    common: Common = COMMON,
) -> int:
    """Compare every record of both sides. Differences end in exit code 3."""
    return perform(
        common,
        verbs.verify(
            tenants, everyone=everyone, repair=repair, accept_loss=accept_loss, trust=trust, parallel=parallel
        ),
    )


@app.command
def compare(
    tenant: Tenant,
    *,
    seconds: Annotated[
        float | None, Parameter(metavar="S", validator=Number(gt=0), help="Only the last so many.")
    ] = None,
    html: Annotated[Path | None, Parameter(metavar="FILE", help="Write a page of it.")] = None,
    replay: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            allow_leading_hyphen=True,
            help="Ask both clusters recorded queries; `-`: of Redis.",
        ),
    ] = None,
    record: Annotated[
        Path | None, Parameter(metavar="FILE", help="Write the recorded queries that Redis holds.")
    ] = None,
    clear: Annotated[bool, flag("Afterwards, forget counts, examples and recorded queries.")] = False,
    common: Common = COMMON,
) -> int:
    """Show how a tenant's two clusters answer the same queries. Gates that do not hold end in exit code 1."""
    wishes = comparing.Wishes(seconds=seconds, html=html, record=record, replay=replay, clear=clear)
    return perform(common, comparing.compare(tenant, wishes), clusters=replay is not None)


@app.command
def rollback(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that have crossed and are not completed.")] = False,
    verify: Annotated[bool, flag("Compare every record before crossing back, in step or not.")] = False,
    purge_target: Annotated[bool, flag("From NEW: first delete what the old cluster still holds.")] = False,
    accept_loss: AcceptLoss = 0,
    trust: Trust = None,
    yes: Yes = False,
    parallel: Parallel = 2,
    common: Common = COMMON,
) -> int:
    """Take tenants back to the old cluster. Both sides stay in step.

    From DUAL_NEW it takes a moment; from NEW every record is copied back and compared.
    """
    options = Options(purge_target=purge_target, verify_synced=verify, accept_loss=accept_loss, trust=trust)
    return perform(
        common, verbs.rollback(tenants, everyone=everyone, options=options, yes=yes, parallel=parallel)
    )


@app.command
def abort(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that are being moved and have not crossed.")] = False,
    common: Common = COMMON,
) -> int:
    """Stop moving tenants that have not crossed: the old cluster alone again."""
    return perform(common, verbs.move("abort", tenants, everyone=everyone, columns=verbs.MOVED, parallel=2))


@app.command
def complete(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that have crossed.")] = False,
    common: Common = COMMON,
) -> int:
    """End the move of tenants that have crossed: the new cluster alone."""
    return perform(
        common, verbs.move("complete", tenants, everyone=everyone, columns=verbs.MOVED, parallel=2)
    )


@app.command
def finish(
    *,
    leave_unnamed: Annotated[
        bool, flag("Leave records of the old cluster behind that no tenant has.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """When every tenant is completed: start new tenants on the new cluster, and forget the moved ones."""
    return perform(common, looking.finish(leave_unnamed=leave_unnamed))


@app.command
def purge(
    *tenants: Tenants,
    everyone: Annotated[bool, every("All that are completed: their old data.")] = False,
    yes: Yes = False,
    accept_loss: AcceptLoss = 0,
    common: Common = COMMON,
) -> int:
    """Delete tenants' data on the cluster that they are not on."""
    return perform(common, verbs.purge(tenants, everyone=everyone, yes=yes, accept_loss=accept_loss))


@app.command
def doctor(
    *,
    repair: Annotated[bool, flag("End overdue holds and pay debt of tenants that nobody works on.")] = False,
    evict: Annotated[
        tuple[str, ...],
        Parameter(metavar="SESSION", negative=(), help="End a session that is known to be dead."),
    ] = (),
    common: Common = COMMON,
) -> int:
    """Show sessions, half-done tenants and what ails Redis or a cluster."""
    return perform(common, looking.doctor(repair=repair, evict=evict))


@app.command
def touch(tenant: Tenant, *ids: Ids, common: Common = COMMON) -> int:
    """Note that something outside wrote records, so that they are copied again."""
    return perform(common, verbs.touch(tenant, ids), clusters=False)


Kind = Literal["qdrant", "pinecone-vectors", "pinecone-documents"]


@app.command
def demo(
    *,
    source: Annotated[Kind, Parameter(name="--from", help="Kind of the cluster that tenants leave.")] = "qdrant",
    target: Annotated[Kind, Parameter(name="--to", help="Kind of the cluster that they go to.")] = "qdrant",
    report: Annotated[Path, Parameter(metavar="PATH", help="Where the report goes.")] = Path("demo-report.json"),
    tenants: Annotated[int | None, Parameter(metavar="N", validator=Number(gte=1), help="How many tenants.")] = None,
    seconds: Annotated[
        float | None, Parameter(metavar="S", validator=Number(gt=0), help="Of traffic before the moves, and after.")
    ] = None,
    json: Annotated[bool, flag("The report on stdout as well.")] = False,
) -> int:  # fmt: skip
    """Move tenants between two servers on this machine, under traffic, and check every write at the end."""
    from ..demo import Plan, run_demo

    chosen: dict[str, Any] = {
        "source": source, "target": target, "tenants": tenants, "before": seconds, "after": seconds
    }  # fmt: skip
    plan = Plan(**{key: value for key, value in chosen.items() if value is not None})
    try:
        return asyncio.run(run_demo(report, json, plan))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED
