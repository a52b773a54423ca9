"""A Python module run as a process of its own, that ends with this one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_GRACE = 2.0  # seconds between SIGTERM and SIGKILL, for what still runs when nobody waits for it any more
_LONGEST_LINE = 16 * 1024 * 1024


class Child:
    """A running process: lines on stdout are its answers, stderr goes to a log file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def lines(self) -> AsyncIterator[bytes]:
        """What it says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            yield line

    async def ended(self) -> int:
        """Its exit code, when it has ended."""
        return await self._process.wait()

    def terminate(self) -> None:
        """SIGTERM, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def stop(self) -> None:
        """SIGTERM; SIGKILL if that does not help."""
        self.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()

    @property
    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").strip().splitlines()[-12:])


@asynccontextmanager
async def child(module: str, arguments: Sequence[str], log: Path) -> AsyncIterator[Child]:
    """`python -m module arguments…`, stopped at the end if it still runs."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=_LONGEST_LINE,
        )
    running = Child(process, log)
    try:
        yield running
    finally:
        await running.stop()
