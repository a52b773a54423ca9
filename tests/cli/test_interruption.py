"""Ctrl-C in the middle of a copy: a clean end that says where tenants stand, and a second run that goes on."""

from __future__ import annotations

import asyncio
import json
import signal

from shardroute.control import ControlPlane
from tests.cli.conftest import Deployment
from tests.support.patience import patience


async def test_ctrl_c_ends_it_with_130_and_another_run_completes(deployment: Deployment) -> None:
    await _filled(deployment)
    code, out, err = await _interrupted(
        deployment, signal.SIGINT, "acme", "globex", "--parallel", "1", "--json"
    )
    assert code == 130
    assert json.loads(out) == {
        "results": [],
        "errors": [],
        "unfinished": [{"tenant": "acme", "phase": "DUAL_OLD"}, {"tenant": "globex", "phase": None}],
    }
    assert "Traceback" not in err
    assert "1 tenant not begun" in err
    assert "  shardroute migrate acme globex --parallel 1 --json\n" in err

    again = await deployment.run("migrate", "--all", "--json", environment={"SHARDROUTE_COPY__RATE": "0"})
    assert again.code == 0, again.err
    assert [row["compared"] for row in again.json["results"]] == [400, 10]
    assert "acme: copy 0 of 400" not in again.err  # it goes on where it was
    assert "note: acme waits for 3 s: its last run was cut off" in again.err


async def test_so_does_sigterm(deployment: Deployment) -> None:
    await _filled(deployment)
    code, _, err = await _interrupted(deployment, signal.SIGTERM, "acme")
    assert code == 130
    assert "─●──── DUAL_OLD" in err


async def _filled(deployment: Deployment) -> None:
    deployment.write(rate=100)
    await deployment.init()
    await deployment.fill("acme", 400)
    await deployment.fill("globex", 10)


async def _first_page(deployment: Deployment) -> None:
    """Returns when a part of the copy would not have to be done again."""
    plane = ControlPlane.open(deployment.config.control)
    try:
        async with patience():
            while not (await plane.journal.checkpoint("acme")).copied:  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(0.05)
    finally:
        await plane.aclose()


async def _interrupted(
    deployment: Deployment, number: signal.Signals, *arguments: str
) -> tuple[int | None, str, str]:
    """In the middle of the first copy, which takes seconds."""
    process = await deployment.start("migrate", *arguments)
    assert process.stderr is not None
    while b"copy 0 of 400" not in await process.stderr.readline():
        pass
    await _first_page(deployment)
    process.send_signal(number)
    async with patience():
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
