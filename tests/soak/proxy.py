"""A TCP proxy between two parties, which cuts, delays, holds, halves and mutes.

`docs/protocol.md` (Unanswered requests) lets a request take effect for `router.linger` seconds at most after its
client has gone. A fair proxy keeps to that: what it holds of a client that closed the connection, was killed or was
stopped is let go `late` seconds afterwards. Of a client that waits, it holds for as long as it likes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_LOOK = 0.005  # seconds between looks while something is held

_CARRIED_OUT = (
    1.0  # seconds for the last request of a client that has gone: a server gives it up with its connection
)

Chunk = bytes | None
"""None: the end."""


@dataclass
class Trouble:
    """What goes wrong at the moment. Nothing, by default."""

    cut: bool = False
    """Connections are closed, and refused."""
    delay: float = 0.0
    """Seconds that each piece of a request takes longer."""
    hold: bool = False
    """Requests wait."""
    hold_answers: bool = False
    halve: bool = False
    """Half of the next piece of a request goes through; the rest waits."""
    mute: bool = False
    """Requests go through, and their answers are lost."""


class Proxy:
    """`target` is a port of this machine, which may change: connections from then on go there.

    `late`: seconds that a request is held after its client has gone; None: for as long as there is trouble.
    `stopped`: whether a process of the client's is stopped now.
    """

    def __init__(self, target: int, *, late: float | None, stopped: Callable[[], bool]) -> None:
        self.target = target
        self.trouble = Trouble()
        self.late = late
        self.stopped = stopped
        self.port = 0
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self).client, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.sever()
        await asyncio.gather(*(one.task for one in self._connections if one.task), return_exceptions=True)

    def sever(self) -> None:
        """Closes all connections there are, at once and in both directions; what is held is lost."""
        for connection in list(self._connections):
            connection.abort()

    def holding(self, client: _End) -> bool:
        """Whether what this client sent has to wait still."""
        if not (self.trouble.hold or self.trouble.halve):
            return False
        if client.gone is None and self.stopped():
            client.gone = time.monotonic()
        return self.late is None or client.gone is None or time.monotonic() < client.gone + self.late

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)


class _End(asyncio.Protocol):
    """One end of a connection: what it sends waits in `sent`. `gone`: since when nobody waits for an answer there."""

    def __init__(self, made: Callable[[], None]) -> None:
        self.sent: asyncio.Queue[Chunk] = asyncio.Queue()
        self.gone: float | None = None
        self.transport: asyncio.Transport | None = None
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._made()

    def data_received(self, data: bytes) -> None:
        self.sent.put_nowait(data)

    def eof_received(self) -> bool:
        self._end()
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self.gone is None:
            self.gone = time.monotonic()
        self.sent.put_nowait(None)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


@dataclass(eq=False)
class _Connection:
    proxy: Proxy
    client: _End = field(init=False)
    server: _End = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.client = _End(self._begin)
        self.server = _End(lambda: None)

    def _begin(self) -> None:
        self.proxy.opened(self)
        self.task = asyncio.create_task(self._carry())

    def abort(self) -> None:
        self.client.abort()
        self.server.abort()
        if self.task is not None:
            self.task.cancel()

    async def _carry(self) -> None:
        try:
            if self.proxy.trouble.cut:
                return
            loop = asyncio.get_running_loop()
            with suppress(OSError):
                await loop.create_connection(lambda: self.server, "127.0.0.1", self.proxy.target)
                answers = asyncio.create_task(self._answers())
                try:
                    await self._requests()
                    await asyncio.wait([answers], timeout=_CARRIED_OUT)
                finally:
                    answers.cancel()
        finally:
            self.client.abort()
            self.server.abort()
            self.proxy.closed(self)

    async def _requests(self) -> None:
        while (data := await self.client.sent.get()) is not None:
            await asyncio.sleep(self.proxy.trouble.delay)
            await self._wait(self.proxy.trouble.hold)
            half = len(data) // 2 if self.proxy.trouble.halve else 0
            self._send(self.server, data[:half])
            await self._wait(bool(half))
            self._send(self.server, data[half:])

    async def _wait(self, held: bool) -> None:
        while held and self.proxy.holding(self.client):  # noqa: ASYNC110 - who is stopped is polled
            await asyncio.sleep(_LOOK)

    async def _answers(self) -> None:
        while (data := await self.server.sent.get()) is not None:
            while self.proxy.trouble.hold_answers:  # noqa: ASYNC110 - it is set from outside
                await asyncio.sleep(_LOOK)
            if not self.proxy.trouble.mute:
                self._send(self.client, data)
        self.client.abort()

    @staticmethod
    def _send(end: _End, data: bytes) -> None:
        if data and end.transport is not None and not end.transport.is_closing():
            end.transport.write(data)
