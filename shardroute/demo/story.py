"""The demo from beginning to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from ..errors import ShardrouteError
from ..router import Router
from . import corpus
from .applications import applications
from .audit import Verdict, audit, on_new
from .evidence import Evidence
from .fleet import move_all, watched
from .lag import lags_of
from .loading import load, make_collection
from .machine import load_in_words, timed
from .plan import Plan
from .progress import Progress
from .report import Report, summed_up
from .screen import show_outcome, shown
from .world import World, world


async def run_demo(
    report: Path = Path("demo-report.json"), json_output: bool = False, plan: Plan | None = None
) -> int:
    """Moves every tenant under traffic and checks every write; writes `report`; the exit code, 0 if all held.

    `json_output`: the report goes to stdout too, and everything else to stderr.
    """
    console = Console(stderr=json_output, highlight=False)
    plan = plan or Plan()
    progress = Progress(plan.source, plan.target)
    try:
        async with _ended_by_sigterm(), shown(console, progress):
            outcome = await play(plan, progress)
    except ShardrouteError as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True)
        return 1
    outcome.save(report)
    show_outcome(console, outcome, report)
    if json_output:
        Console(highlight=False).print_json(outcome.as_json())
    return 0 if outcome.ok else 1


async def play(plan: Plan, progress: Progress) -> Report:
    """The run itself."""
    progress.now(f"this takes about {plan.seconds:.0f} s, on a slow machine somewhat more")
    progress.now(
        f"reading the standard library's docstrings; starting a Valkey and two clusters, {progress.pair}"
    )
    reads = partial(corpus.standard_library, plan.tenants, most=plan.most)
    reading = asyncio.create_task(asyncio.to_thread(timed, reads))
    async with world(plan) as there:
        everything, progress.slowness = await reading
        plan = plan.fitted(progress.slowness)
        held = corpus.smallest(everything, plan.tenants)
        if len(held) < len(everything):
            progress.now(_fewer(progress, len(held), len(everything)))
        await _prepare(there, held, plan, progress)
        evidence = await _fill(there, held, plan, progress)
        async with watched(there, progress):
            evidence.take(await _under_traffic(there, held, plan, progress))
        return summed_up(progress, await _check(there, held, plan, evidence, progress))


def _fewer(progress: Progress, held: int, all_: int) -> str:
    return (
        f"this machine is {progress.slowness:.0f} times slower than a quiet one ({load_in_words()}): "
        f"{held} tenants instead of {all_}, with less traffic"
    )


async def _prepare(there: World, held: corpus.Corpus, plan: Plan, progress: Progress) -> None:
    progress.tenants = tuple(held)
    progress.records = {tenant: len(documents) for tenant, documents in held.items()}
    corpus.save(held, there.folder.corpus)
    plan.save(there.folder.plan)
    await make_collection(there.config)
    await there.admin("init")


async def _fill(there: World, held: corpus.Corpus, plan: Plan, progress: Progress) -> Evidence:
    progress.now(
        f"loading {sum(progress.records.values()):,} docstrings of {len(held)} modules, a tenant each"
    )
    async with Router(there.config) as router:
        evidence = await load(router, held, plan.workers)
        await _caught_up(router, progress)
        return evidence


async def _under_traffic(there: World, held: corpus.Corpus, plan: Plan, progress: Progress) -> Evidence:
    progress.now(f"starting {plan.workers} application processes")
    async with applications(there, plan, progress.traffic) as running:
        progress.now("traffic on the old cluster")
        await asyncio.sleep(plan.before)
        await move_all(there, held, plan, progress)
        progress.now("traffic on the new cluster")
        await asyncio.sleep(plan.after)
        progress.now("stopping the applications")
    return running.evidence()


async def _check(
    there: World, held: corpus.Corpus, plan: Plan, evidence: Evidence, progress: Progress
) -> Verdict:
    """With the old cluster gone, if nobody should need it any more: what is read then is on the new one."""
    async with Router(there.config) as router:
        await _caught_up(router, progress)
        if all(on_new(router.tenant(tenant)) for tenant in held):
            await there.old.stop()
            progress.now("the old cluster is switched off; checking every write on the new one")
        else:
            progress.now("not all tenants have moved; checking every write where they are")
        return await audit(router, held, plan.workers, evidence)


async def _caught_up(router: Router, progress: Progress) -> None:
    """After this, reads show everything: nobody writes, and no cluster lags for longer."""
    lag = max(lags_of(router).values())
    if lag:
        progress.now(f"waiting {lag:g} s, until reads have caught up")
        await asyncio.sleep(lag)


@asynccontextmanager
async def _ended_by_sigterm() -> AsyncIterator[None]:
    """So that nothing is left running: asyncio sees to SIGINT in the same way."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    with suppress(NotImplementedError):  # Windows
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)
