"""Real servers with several workers under load, while tenants move and workers are replaced."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shardroute.phases import Phase
from tests.web.deployed import LOCK, Deployment, phase_reached, sessions, workers
from tests.web.load import Load
from tests.web.served import Served, gunicorn, uvicorn

TENANTS = ("acme", "globex")


def one_ends(served: Served, pids: list[int]) -> list[int]:
    """A worker is told to end, and replaced by its server."""
    served.terminate_worker(pids[0])
    return pids[:1]


def all_are_replaced(served: Served, pids: list[int]) -> list[int]:
    """As when a new version is deployed."""
    served.signal(signal.SIGHUP)
    return pids


async def moves(deployed: Deployment, *arguments: str) -> None:
    """The script, to its good end."""
    answer = await deployed.run(*arguments)
    assert answer.code == 0, answer.err


CASES = {
    "uvicorn": ([*uvicorn("tests.fastapi.application:served"), "--factory"], one_ends),
    "gunicorn": (
        gunicorn("tests.fastapi.application:served()", worker="tests.web.worker.Worker"),
        all_are_replaced,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "disturb"), CASES.values(), ids=CASES.keys())
async def test_tenants_move_there_and_back_while_workers_are_replaced_and_no_request_fails(
    deployed: Deployment,
    tmp_path: Path,
    command: Sequence[str],
    disturb: Callable[[Served, list[int]], list[int]],
) -> None:
    deployed.write(rate=100, lock=LOCK)  # slow enough for a worker to go in the middle
    environment = {"SHARDROUTE_CONFIG": str(deployed.path)}
    async with Served.started(command, tmp_path, environment=environment) as served:
        pids = await workers(deployed, 2)
        load = Load(served.url, TENANTS, ids=100, pause=0.05)
        await load.fill(deployed.config)
        async with load.flowing() as seen:
            moved = asyncio.create_task(moves(deployed, "migrate", *TENANTS))
            copying = asyncio.create_task(phase_reached(deployed, TENANTS[0], Phase.DUAL_OLD))
            await asyncio.wait((copying, moved), return_when=asyncio.FIRST_COMPLETED)
            gone = disturb(served, pids)
            await asyncio.gather(copying, moved)
            await workers(deployed, 2, but=gone)
            await moves(deployed, "rollback", TENANTS[0])
            await load.answers(100)
    assert await sessions(deployed) == []
    assert (await load.judged(deployed.config)).problems == []
    assert seen.overdue == 0, seen
    assert seen.acknowledged > 250, seen  # the first 200 are those that it began with
