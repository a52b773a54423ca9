"""Starts all of it on this machine, with an empty map and a few documents: a Redis, two clusters, two workers.

PYTHONPATH=examples python -m fastapi_search [--port 8000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import embedded_redis
from shardroute.testing.qdrant import QdrantProcess

from . import library
from .encoder import DIMENSION
from .passages import read

DOCUMENTS = Path(__file__).parent / "documents"
CONFIGURATION = """\
[control]
url = "{redis}"

[clusters.old]
kind = "qdrant"
url = "{old}"

[clusters.new]
kind = "qdrant"
url = "{new}"

[topologies.v1]
dimension = {dimension}
placement = {{ cluster = "old", collection = "passages" }}

[topologies.v2]
shards = 4
dimension = {dimension}
placement = {{ cluster = "new", collection = "passages_{{shard}}" }}

[copy]
rate = 4    # passages a second, so that there is something to see
page = 4

[migration]
from = "v1"
to = "v2"
"""
HINT = """
  {links}

Move a tenant while you search. In another terminal:

  export SHARDROUTE_CONFIG={config}
  {script} migrate acme
  {script} rollback acme

Ctrl-C ends all of it.
"""


def free(port: int) -> bool:
    """Whether nobody listens on it yet. Else `ready` would ask somebody else's application."""
    with socket.socket() as probe:
        # As the server does: connections of a former run may linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def taken(port: int) -> str:
    """What to type instead."""
    other = next(number for number in range(max(port, 1023) + 1, 65536) if free(number))
    folder, python = Path(__file__).parents[1], Path(sys.executable).parent / "python"
    command = f"PYTHONPATH={os.path.relpath(folder)} {os.path.relpath(python)} -m {__package__}"
    return f"port {port} is taken: {command} --port {other}"


@contextmanager
def deaf() -> Iterator[None]:
    """What is started in the block does not hear Ctrl-C: it is ended when nobody needs it any more."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@asynccontextmanager
async def servers() -> AsyncIterator[Path]:
    """A Redis, two clusters, and where the configuration is. All of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="shardroute-search-") as folder:
        path = Path(folder) / "shardroute.toml"
        async with AsyncExitStack() as stack:
            with deaf():
                redis = await stack.enter_async_context(embedded_redis())
                old, new = [await stack.enter_async_context(QdrantProcess()) for _ in range(2)]
            path.write_text(
                CONFIGURATION.format(redis=redis.url, old=old.url, new=new.url, dimension=DIMENSION)
            )
            yield path


async def fill(config: Config) -> None:
    """The map, the old cluster's collection, and what the tenants begin with."""
    async with Admin.open(config) as admin:
        await admin.init()
    async with Router(config) as router:
        for name in library.TENANTS:
            await router.stores["old"].prepare(config.route.old.place(name))
            for file in sorted((DOCUMENTS / name).iterdir()):
                await library.add(router.tenant(name), read(file.name, file.read_bytes()))


@asynccontextmanager
async def application(config: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """uvicorn with two workers, ended in order: they finish their requests and leave no session behind."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "fastapi_search.application:app"),
        *("--workers", "2", "--port", str(port), "--log-level", "warning"),
        *("--timeout-graceful-shutdown", "5"),
        env={**os.environ, "SHARDROUTE_CONFIG": str(config)},
        start_new_session=True,  # deaf to Ctrl-C as well; signals of its own reach its workers
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def ready(port: int) -> None:
    """Returns when a worker has a lease and its clusters answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).is_success:
                    return
            await asyncio.sleep(0.1)


def hint(config: Path, port: int) -> str:
    """What to open, and what to try."""
    links = "\n  ".join(f"http://{name}.localhost:{port}/" for name in library.TENANTS)
    script = Path(sys.executable).parent / "shardroute"
    return HINT.format(links=links, config=config, script=os.path.relpath(script))


async def main(port: int) -> int:
    """Until a signal, or the end of the application; its exit code, or 0."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with servers() as config:
        await fill(Config.load(config, {}))
        async with application(config, port) as process:
            ended, begun, enough = (
                asyncio.create_task(process.wait()),
                asyncio.create_task(ready(port)),
                asyncio.create_task(told.wait()),
            )
            await asyncio.wait((ended, begun, enough), return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                print(hint(config, port), flush=True)
            await asyncio.wait((ended, enough), return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            enough.cancel()
            return process.returncode or 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="fastapi_search", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="default %(default)s")
    given = parser.parse_args()
    if not free(given.port):
        print(taken(given.port), file=sys.stderr)
        sys.exit(2)
    sys.exit(asyncio.run(main(given.port)))
