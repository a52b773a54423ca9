"""The project under real servers, under load, while its tenants move and a worker is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.web.deployed import Deployment, sessions, workers
from tests.web.load import Load
from tests.web.served import Served, gunicorn, uvicorn

from .managing import environment, managed

TENANTS = ("acme", "umbrella")

WSGI = gunicorn("tests.django.wsgi:application")
PRELOADED = [*WSGI, "--preload"]
THREADED = gunicorn("tests.django.wsgi:application", worker="gthread", threads=8)
ASGI = uvicorn("tests.django.asgi:application")
MIXED = gunicorn("tests.django.asgi:application", worker="uvicorn_worker.UvicornWorker")


@asynccontextmanager
async def served(command: Sequence[str], deployed: Deployment) -> AsyncIterator[Served]:
    async with Served.started(command, deployed.folder, environment=environment(deployed)) as server:
        yield server


async def moved(deployed: Deployment, *verbs: str) -> None:
    """By the project's own command, one verb after the other, all tenants at once."""
    for verb in verbs:
        answer = await managed(deployed, "shardroute", verb, *TENANTS, "--json", "-q")
        assert answer.code == 0, answer.err


async def awake(server: Served, deployed: Deployment, *, but: Collection[int] = ()) -> list[int]:
    """The workers, as soon as each has a router; none of them is in `but`."""
    async with knocking(server.url):
        return await workers(deployed, 2, but=but)


@asynccontextmanager
async def knocking(url: str) -> AsyncIterator[None]:
    """Requests by new connections while the block runs."""
    task = asyncio.create_task(_knock(url))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _knock(url: str) -> None:
    """A router is opened by a worker's first request, and the load may keep its connections to other workers."""
    while True:
        async with httpx.AsyncClient(trust_env=False) as client:
            with contextlib.suppress(httpx.TransportError):
                await client.get(f"{url}/docs/nothing", headers={"X-Tenant": TENANTS[0]})
        await asyncio.sleep(0.05)  # leaves time for the load


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "views"),
    [(WSGI, ""), (THREADED, "/async"), (ASGI, "/async"), (MIXED, "")],
    ids=["sync workers", "threads, async views", "uvicorn, async views", "uvicorn workers, sync views"],
)
async def test_tenants_move_there_and_back_under_load_while_a_worker_is_replaced(
    deployed: Deployment, command: Sequence[str], views: str
) -> None:
    async with served(command, deployed) as server:
        load = Load(f"{server.url}{views}", TENANTS)
        async with load.flowing():
            first = await awake(server, deployed)
            await moved(deployed, "migrate")
            server.terminate_worker(first[0])
            await awake(server, deployed, but=first[:1])
            await moved(deployed, "rollback")
            await load.answers(50)
    assert await sessions(deployed) == []
    seen = await load.judged(deployed.config)
    assert (seen.problems, seen.overdue) == ([], 0), str(seen)


@pytest.mark.parametrize("command", [WSGI, PRELOADED, ASGI, MIXED], ids=["WSGI", "preloaded", "ASGI", "both"])
async def test_a_server_that_ends_leaves_no_session(deployed: Deployment, command: Sequence[str]) -> None:
    async with served(command, deployed) as server:
        load = Load(server.url, TENANTS, pause=0.05)
        async with load.flowing():
            await awake(server, deployed)
    assert await sessions(deployed) == []


async def test_workers_that_are_replaced_together_leave_no_session(deployed: Deployment) -> None:
    async with served(WSGI, deployed) as server:
        load = Load(server.url, TENANTS, pause=0.05)
        async with load.flowing():
            first = await awake(server, deployed)
            server.signal(signal.SIGHUP)
            await awake(server, deployed, but=first)
    assert await sessions(deployed) == []
    assert load.seen.problems == []
