"""A Redis that answers what it is told to: in front of a real one, which gets everything that is not answered here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_GREETINGS = {b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING", b"CLUSTER", b"COMMAND"}
"""What the client sends on its own when it connects."""


@dataclass
class AnsweringRedis:
    """`answer`: the error, code first, that all commands but greetings get; "" lets them through.

    `struck`: how many got it. `connections`: how many there have been.
    """

    url: str
    port: int = 0
    answer: str = ""
    struck: int = 0
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def sever(self) -> None:
        """Ends every connection; new ones go to where `url` is then."""
        for writer in self.writers:
            writer.close()

    @property
    def own_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        parts = urlsplit(self.url)
        behind, ahead = await asyncio.open_connection(parts.hostname, parts.port)
        answers = asyncio.create_task(_pump(behind, writer))
        try:
            while command := await _command(reader):
                raw, name = command
                if self.answer and name not in _GREETINGS:
                    self.struck += 1
                    writer.write(f"-{self.answer}\r\n".encode())
                else:
                    ahead.write(raw)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            await _closed(ahead)


@asynccontextmanager
async def answering(url: str) -> AsyncIterator[AnsweringRedis]:
    """In front of the Redis at `url`."""
    made = AnsweringRedis(url)
    serving: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made.serve(reader, writer)
        await _closed(writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.writers.append(writer)
        serving.append((asyncio.create_task(serve(reader, writer)), writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
        for _, writer in serving:
            await _closed(writer)
        await asyncio.gather(
            *(task for task, _ in serving)
        )  # not cancelled: one that connects would leak a socket


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _command(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """One command as it was sent, and its name; None at the end."""
    raw = await reader.readline()
    if not raw:
        return None
    words = []
    for _ in range(int(raw[1:])):
        length = await reader.readline()
        word = await reader.readexactly(int(length[1:]) + 2)
        raw += length + word
        words.append(word[:-2])
    return raw, words[0].upper()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
