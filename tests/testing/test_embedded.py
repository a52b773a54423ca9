"""The embedded Redis lives no longer than who started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

STARTS_ONE = """
import asyncio
from shardroute.embedded import embedded_redis

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
    async with asyncio.timeout(20):
        while await answers(port):  # noqa: ASYNC110 - another process ends
            await asyncio.sleep(0.02)


async def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
