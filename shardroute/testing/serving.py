"""Serve an ASGI application in this event loop, or start a server as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shardroute.local_ports import lasting_port
from shardroute.testing.faults import ConnectionDropped

LISTENING = "listening on "
GRACE = 2.0
"""Seconds that requests under way are given at the end."""


class LoopServer:
    """uvicorn in the running event loop. `start` binds first, so `port=0` is free of races."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._address = (host, port)
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=60,  # longer than any client keeps a connection: two that end it at once lose a request
        )
        config.load()
        self._uvicorn = uvicorn.Server(config)
        self._uvicorn.lifespan = config.lifespan_class(config)
        self._socket: socket.socket | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; `url` is known from here on."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol by name: only then asyncio sets TCP_NODELAY, without which an answer takes 40 ms.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        # Startup and shutdown without uvicorn's main loop between them: no task, no signal handlers.
        await self._uvicorn.startup(sockets=[self._socket])

    async def stop(self) -> None:
        """Finish the requests under way, close every connection."""
        # Not uvicorn's own shutdown, which sleeps a tenth of a second: tests start many servers.
        if self._socket is None:
            return
        self._socket = None
        state = self._uvicorn.server_state
        for listener in self._uvicorn.servers:
            listener.close()
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.001)
        for task in list(state.tasks):
            task.cancel()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionDropped:
            self._drop(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass

    def _drop(self, client: tuple[str, int]) -> None:
        for connection in list(self._uvicorn.server_state.connections):
            transport = connection.transport
            if transport.get_extra_info("peername")[:2] == tuple(client):
                transport.abort()


_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Searches are numpy's. With threads on every core, which spin, two servers would slow each other and their clients
down as no two machines do."""


class ChildServer:
    """A server as a child process. It ends with this process: its stdin is a pipe that then closes.

    Use it as an async context manager. It can be killed and started again; the port stays the same.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), *, port: int = 0) -> None:
        self._command = [sys.executable, "-m", module, "--until-stdin-closes", *arguments]
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running().pid

    async def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            RuntimeError: it ended without listening; what it wrote to stderr was passed on.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--port", str(self._port or lasting_port())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**_ONE_THREAD, **os.environ},
        )
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode().strip()
        if not line.startswith(LISTENING):
            await self.stop()
            raise RuntimeError(f"the server did not start: {' '.join(self._command)}")
        self.url = line.removeprefix(LISTENING)
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """End it at once, without any goodbye (SIGKILL)."""
        self._running().kill()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._running().terminate()

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        process = self._running()
        await process.communicate()
        return process.returncode or 0

    async def stop(self) -> None:
        """End it if it still runs, and clear up after it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(5):
                await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()
        self._process = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the process is not running")
        return self._process


@contextlib.asynccontextmanager
async def until_told_to_stop(*, watch_stdin: bool) -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set and, if asked to, the end of stdin."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    previous = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    if watch_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stop), daemon=True).start()
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not sys.stdin.read(): it holds a lock that the interpreter wants at its end.
    while os.read(0, 1024):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(stop.set)
