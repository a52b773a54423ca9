"""`compare`: what routers saw, pages and files of it, replays; and `migrate` where gates and watch are set."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shardroute.config import Config
from shardroute.control import ControlPlane
from shardroute.phases import Side
from shardroute.router import Router
from shardroute.statistics import Events, Shares, Tally
from tests.cli.conftest import Deployment
from tests.support.patience import patience, until

pytestmark = pytest.mark.slow

TENANT = "acme"
SEEING = {
    "SHARDROUTE_SHADOW__SHARE": "1",
    "SHARDROUTE_SHADOW__BUDGET": "1",
    "SHARDROUTE_SHADOW__FLOOR": "0.5",
    "SHARDROUTE_SHADOW__FLUSH": "0.05",
    "SHARDROUTE_RECORDING__SHARE": "1",
}
LIMITS = {"SAMPLES": "10", "RECALL": "0.9", "SOAK": "0.5"}


def limits(section: str, **changed: str) -> dict[str, str]:
    """[gates] or [watch] by the environment."""
    return {f"SHARDROUTE_{section}__{key}": value for key, value in {**LIMITS, **changed}.items()}


async def on_two_clusters(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill(TENANT, 100)
    async with deployment.admin() as admin:
        await admin.move("migrate", TENANT)


async def ask(deployment: Deployment, number: int) -> None:
    """So many queries through a router that compares and records all of them."""
    choose = random.Random(1)
    async with Router(Config.load(deployment.path, SEEING)) as router:
        acme = router.tenant(TENANT)
        for _ in range(number):
            await acme.query([choose.gauss() for _ in range(4)], top_k=5, filter={"number": {"$gte": 3}})
        await _counted(deployment, number)


async def _counted(deployment: Deployment, number: int) -> None:
    """Returns when so many queries have arrived in Redis, and two thirds of their comparisons: some may be shed."""
    plane = ControlPlane.open(deployment.config.control)

    async def most() -> bool:
        tallies = [window.tally for window in await plane.stats.windows(TENANT)]
        compared = sum(tally.latency(Side.NEW).count for tally in tallies)
        return compared >= number * 2 / 3 and len(await plane.stats.recorded(TENANT)) >= number

    try:
        await until(most, every=0.05)
    finally:
        await plane.aclose()


@asynccontextmanager
async def reporting(deployment: Deployment, tally: Tally) -> AsyncIterator[None]:
    """As if routers saw this again and again."""
    plane = ControlPlane.open(deployment.config.control)

    async def forever() -> None:
        while True:
            await plane.stats.add(TENANT, tally, window=10, retention=60)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await plane.aclose()


def bad(comparisons: int = 20) -> Tally:
    """Comparisons in which half of the neighbours were others."""
    seen = Tally({f"{Shares.RECALL}/50": comparisons, f"sum/{Shares.RECALL}": comparisons * 500_000})
    seen.event(Events.COMPARED, comparisons)
    return seen


# -- looking ---------------------------------------------------------------------------------------------------------


async def test_it_shows_how_both_clusters_answer(deployment: Deployment) -> None:
    await on_two_clusters(deployment)
    await ask(deployment, 30)
    shown, told = await asyncio.gather(
        deployment.run("compare", TENANT), deployment.run("compare", TENANT, "--json")
    )
    assert (shown.code, told.code) == (0, 0), shown.err
    assert [line for line in shown.out.splitlines() if len(line) > 80] == []
    assert "rank-biased overlap" in shown.out
    assert "noise floor" in shown.out
    paths = {row["path"]: row for row in told.json["paths"]}
    assert (paths["old"]["cluster"], paths["new"]["cluster"]) == ("old", "new")
    assert paths["old"]["answered"] >= 20
    assert paths["new"]["p95"] > 0
    [recall] = [row for row in told.json["agreement"] if row["measure"] == "recall"]
    assert recall["mean"] == 1.0
    assert told.json["counts"]["breach"] == 0


async def test_gates_that_do_not_hold_end_in_exit_code_1(deployment: Deployment) -> None:
    await on_two_clusters(deployment)
    async with reporting(deployment, bad()):
        await asyncio.sleep(0.2)
        found = await deployment.run("compare", TENANT, environment=limits("GATES"))
    assert found.code == 1
    assert "does not hold: recall is 0.5, the gate says at least 0.9" in found.out


async def test_a_tenant_that_nobody_compared_has_nothing_to_show(deployment: Deployment) -> None:
    await deployment.init()
    found = await deployment.run("compare", TENANT)
    assert (found.code, "nothing has been compared" in found.out) == (0, True)


async def test_clear_forgets_it_all(deployment: Deployment) -> None:
    await on_two_clusters(deployment)
    await ask(deployment, 5)
    assert (await deployment.run("compare", TENANT, "--clear", "--json")).json["windows"]
    assert (await deployment.run("compare", TENANT, "--json")).json["windows"] == []


async def test_a_page_is_written_whole_and_over_nothing_but_a_file(
    deployment: Deployment, tmp_path: Path
) -> None:
    await on_two_clusters(deployment)
    await ask(deployment, 5)
    page = tmp_path / "page.html"
    page.write_text("what was there before")
    (written, refused) = await asyncio.gather(
        deployment.run("compare", TENANT, "--html", str(page)),
        deployment.run("compare", TENANT, "--html", str(tmp_path)),
    )
    assert written.code == 0, written.err
    assert TENANT in page.read_text()
    assert (refused.code, "is not a file" in refused.err) == (2, True)
    assert set(os.listdir(tmp_path)) == {"shardroute.toml", "page.html"}  # and nothing half-written


# -- replays ---------------------------------------------------------------------------------------------------------


async def test_recorded_queries_are_written_and_asked_again(deployment: Deployment, tmp_path: Path) -> None:
    await on_two_clusters(deployment)
    await ask(deployment, 8)
    file = tmp_path / "queries.jsonl"
    recorded = await deployment.run("compare", TENANT, "--record", str(file))
    assert "wrote 8 recorded queries" in recorded.err
    assert [json.loads(line)["top_k"] for line in file.read_text().splitlines()] == [5] * 8

    async with deployment.side(Side.NEW, TENANT) as (store, place):
        await store.delete(place, [f"doc-{number}" for number in range(0, 100, 2)])
    for source in (str(file), "-"):
        replayed = await deployment.run("compare", TENANT, "--replay", source, "--json")
        assert replayed.code == 0, replayed.err
        shares = {row["measure"]: row for row in replayed.json["agreement"]}
        assert shares["recall"]["count"] == 8
        assert 0 < shares["recall"]["mean"] < 1
        assert shares["floor"]["mean"] == 1.0
        assert replayed.json["examples"][0]["badness"] >= replayed.json["examples"][-1]["badness"]


async def test_a_file_of_another_dimension_is_refused_by_its_line(
    deployment: Deployment, tmp_path: Path
) -> None:
    await on_two_clusters(deployment)
    file = tmp_path / "queries.jsonl"
    file.write_text('{"vector": [1, 2, 3, 4]}\n\n{"vector": [1, 2, 3]}\n')
    refused = await deployment.run("compare", TENANT, "--replay", str(file))
    assert refused.code == 2
    assert "queries.jsonl: line 3: query: vector has 3 dimensions, the collection has 4" in refused.err


async def test_a_tenant_on_one_cluster_cannot_be_replayed(deployment: Deployment, tmp_path: Path) -> None:
    await deployment.init()
    file = tmp_path / "queries.jsonl"
    file.write_text('{"vector": [1, 2, 3, 4]}\n')
    refused = await deployment.run("compare", TENANT, "--replay", str(file))
    assert (refused.code, "`migrate` copies it" in refused.err) == (2, True)


# -- migrate ---------------------------------------------------------------------------------------------------------


async def test_a_gate_stops_migrate_and_no_gates_goes_on(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill(TENANT, 20)
    async with reporting(deployment, bad()):
        stopped = await deployment.run("migrate", TENANT, "--json", environment=limits("GATES"))
    assert stopped.code == 1
    [error] = stopped.json["errors"]
    assert error["error"] == "GateFailed"
    assert "recall is 0.5, the gate says at least 0.9" in error["message"]
    status = await deployment.run("status", TENANT, "--json")
    assert status.json["tenants"][0]["phase"] == "DUAL_OLD"

    crossed = await deployment.run("migrate", TENANT, "--no-gates", environment=limits("GATES"))
    assert (crossed.code, "--no-gates: what [gates] says is not asked" in crossed.err) == (0, True)


async def test_a_watch_takes_the_tenant_back_and_says_so_in_a_sentence(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill(TENANT, 20)
    async with reporting(deployment, bad()):
        answer = await deployment.run("migrate", TENANT, "--json", environment=limits("WATCH", SOAK="60"))
    assert answer.code == 1
    [row] = answer.json["results"]
    assert (row["phase"], row["rolled_back"]) == ("DUAL_OLD", True)
    assert row["broken"] == ["recall is 0.5, the gate says at least 0.9"]
    assert row["rollback_seconds"] > 0
    assert "tenant 'acme' crossed and was taken back to its old cluster" in answer.err


async def test_ctrl_c_in_a_watch_leaves_the_tenant_across(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill(TENANT, 20)
    process = await deployment.start("migrate", TENANT, environment=limits("WATCH", SOAK="600"))
    assert process.stderr is not None
    while b"watch 0 of 10" not in (line := await process.stderr.readline()):
        assert line, "it ended before it watched"
    process.send_signal(signal.SIGINT)
    async with patience():
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"tenant 'acme' has crossed and stays on its new cluster; nobody watches it now" in err
    status = await deployment.run("status", TENANT, "--json")
    assert status.json["tenants"][0]["phase"] == "DUAL_NEW"
