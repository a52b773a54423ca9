"""The input in lists of lines, without a blocked loop: files in a thread, pipes and terminals by the loop itself."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from os import fstat
from typing import BinaryIO

_LONGEST = 64 * 1024 * 1024  # bytes of a line that comes through a pipe


class FromFile:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def lines(self, most: int) -> list[bytes]:
        """`most` lines, fewer at the end, and none after it."""
        return await asyncio.to_thread(lambda: list(islice(self._file, most)))


class FromStream:
    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    async def lines(self, most: int) -> list[bytes]:
        """As of a file."""
        found: list[bytes] = []
        while len(found) < most and (line := await self._stream.readline()):
            found.append(line)
        return found


@asynccontextmanager
async def opened(file: BinaryIO) -> AsyncIterator[FromFile | FromStream]:
    """A thread that reads a pipe could not be ended by Ctrl-C; a loop cannot wait for a file."""
    if stat.S_ISREG(fstat(file.fileno()).st_mode):
        yield FromFile(file)
        return
    loop, stream = asyncio.get_running_loop(), asyncio.StreamReader(limit=_LONGEST)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
    try:
        yield FromStream(stream)
    finally:
        transport.close()
