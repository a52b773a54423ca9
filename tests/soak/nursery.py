"""Processes that are started in no time, stopped, and killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Child:
    """A process. `over`: when it had ended, by the machine's clock. `leaving`: it was asked to end."""

    pid: int
    role: str = ""
    arguments: tuple[object, ...] = ()
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None
    leaving: bool = False
    over: float | None = None

    def signal(self, number: int) -> None:
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stopped(self) -> bool:
        """Whether it is stopped now (SIGSTOP), by whomever."""
        if self.ended.is_set():
            return False
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
        except OSError:
            return False

    async def end(self, patience: float) -> None:
        """Its own end, or ours."""
        try:
            async with asyncio.timeout(patience):
                await self.ended.wait()
        except TimeoutError:
            self.signal(signal.SIGCONT)
            self.kill()
            await self.ended.wait()


class Nursery:
    """The children of `tests.soak.forks`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.children: list[Child] = []
        self._process = process
        self._asked: deque[tuple[str, tuple[object, ...], asyncio.Future[Child]]] = deque()

    @classmethod
    @asynccontextmanager
    async def opened(cls, noise: Path) -> AsyncIterator[Nursery]:
        """`noise`: the file for whatever they log."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "tests.soak.forks")
        with noise.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=stderr)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        nursery = cls(process)
        hearing = asyncio.create_task(nursery._hear())
        try:
            yield nursery
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await hearing

    async def start(self, role: str, *arguments: object) -> Child:
        """A child is started even if its starter is cancelled: `children` has it."""
        assert self._process.stdin is not None
        child: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._asked.append((role, arguments, child))
        self._process.stdin.write(json.dumps([role, *arguments]).encode() + b"\n")
        return await asyncio.shield(child)

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            what, pid, *status = line.decode().split()
            if what == "started":
                self._started(int(pid))
            else:
                self._ended(int(pid), int(status[0]))

    def _started(self, pid: int) -> None:
        role, arguments, answer = self._asked.popleft()
        child = Child(pid, role, arguments)
        self.children.append(child)
        answer.set_result(child)

    def _ended(self, pid: int, status: int) -> None:
        [child] = [one for one in self.children if one.pid == pid and not one.ended.is_set()]
        child.status, child.over = status, time.monotonic()
        child.ended.set()
