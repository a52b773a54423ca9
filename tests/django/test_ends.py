"""Processes that fork, reload or are interrupted: each has a session of its own, and takes it along."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from shardroute.local_ports import lasting_port
from tests.support.patience import patience
from tests.web.deployed import Deployment, sessions, workers

from .managing import environment
from .test_served import knocking

_FORKS = (
    "ignore:This process:DeprecationWarning"  # with a thread beside it: what happens then is what is tested
)


async def test_a_child_has_a_router_and_a_session_of_its_own(deployed: Deployment) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error::ResourceWarning", "-W", _FORKS, "-m", "tests.django.forking"),
        env=environment(deployed),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    (_, childs), (_, before, after) = (line.split() for line in out.decode().splitlines())
    assert before == after != childs
    assert await sessions(deployed) == []


async def test_a_reload_and_an_interruption_of_runserver_leave_no_session(deployed: Deployment) -> None:
    port, watched = lasting_port(), deployed.folder / "watched_settings.py"
    watched.write_text("from tests.django.settings import *\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.django.manage", "runserver", str(port), "--skip-checks"),
        env={
            **environment(deployed),
            "DJANGO_SETTINGS_MODULE": watched.stem,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(deployed.folder)]),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with knocking(f"http://127.0.0.1:{port}"):
            first = await workers(deployed, 1)
            watched.touch()
            await workers(deployed, 1, but=first)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        async with patience():
            assert await process.wait() == 0
        assert await sessions(deployed) == []
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
