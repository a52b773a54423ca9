"""A web server as a process with children of its own, from its readiness to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from shardroute.local_ports import lasting_port
from tests.support.patience import PATIENCE

_START = PATIENCE  # several Pythons may be starting at once
_END = PATIENCE
_HEALTH = PATIENCE / 4
"""Seconds in which a worker of uvicorn has to answer: its 5 are few on a busy machine.

One that ends just as it is asked is waited for so long before it is replaced: well below what the test waits for that.
"""
_LOOK = 0.05  # seconds between two looks at something outside of this process
_ROOT = Path(__file__).parents[2]
_UNCLEAN = re.compile(
    r"Traceback|Warning|was never (awaited|retrieved)|Task was destroyed|Unclosed|Exception ignored|SIGKILL"
)
"""What a server says that has left something behind."""


def uvicorn(application: str, *, workers: int = 2) -> list[str]:
    """The command of a server; `{port}` stands for its port."""
    return [
        *(sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", "{port}"),
        *("--workers", str(workers), "--no-access-log"),
        *("--timeout-worker-healthcheck", str(int(_HEALTH))),
        *("--timeout-graceful-shutdown", str(int(_END / 2))),
    ]


def gunicorn(application: str, *, workers: int = 2, worker: str = "sync", threads: int = 1) -> list[str]:
    """The same for gunicorn; `worker` is the class of its workers."""
    return [
        *(sys.executable, "-m", "gunicorn", application, "--bind", "127.0.0.1:{port}"),
        *("--workers", str(workers), "--worker-class", worker, "--threads", str(threads)),
        *("--graceful-timeout", str(int(_END / 2))),
        "--no-control-socket",  # it is in the home folder, and a thread: Python 3.13 warns of forks
    ]


class Served:
    """A running server. `url` is where; `output` what it and its children have said so far."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self._process = process
        self._log = log
        self.url = f"http://127.0.0.1:{port}"

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        command: Sequence[str],
        folder: Path,
        *,
        ready: str = "/ready",
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Served]:
        """Answers at `ready` when the block begins. At its end the server is told to end, and must do so cleanly.

        If the block raises, whatever still runs is killed, and the server's last words are in the error's notes.
        """
        port, log = lasting_port(), folder / "server.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(word.format(port=port) for word in command),
                cwd=folder,
                env={**os.environ, **_SEEN, "PYTHONPATH": _paths(), **(environment or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a group of its own, in which nobody may be left
            )
        served = cls(process, port, log)
        try:
            await served._until_ready(ready)
            yield served
            await served.ends_cleanly()
        except BaseException as error:
            error.add_note(f"the server's last words:\n{served.output[-4000:]}")
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """To the server's first process: SIGHUP lets it replace its workers."""
        self._process.send_signal(number)

    def terminate_worker(self, pid: int) -> None:
        """SIGTERM to one of its children, as a supervisor or an operator would send it."""
        assert os.getpgid(pid) == self._process.pid, f"{pid} is none of this server's"
        os.kill(pid, signal.SIGTERM)

    async def says(self, words: str, times: int = 1) -> None:
        """Returns when the output holds `words` so often. Raises TimeoutError."""
        async with asyncio.timeout(_START):
            while self.output.count(words) < times:
                self._assert_running()
                await asyncio.sleep(_LOOK)

    async def ends_cleanly(self) -> None:
        """SIGTERM; then an end in time, no child left, and no word of anything left behind."""
        self._process.terminate()
        async with asyncio.timeout(_END):
            code = await self._process.wait()
            while _group_lives(self._process.pid):  # noqa: ASYNC110 - those are no children of this process
                await asyncio.sleep(_LOOK)
        assert code in (0, -signal.SIGTERM), f"the server ended with {code}"
        complaint = _UNCLEAN.search(self.output)
        assert complaint is None, f"the server says {complaint[0]!r}"

    async def _until_ready(self, path: str) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client, asyncio.timeout(_START):
            while not await _answers(client, path):
                self._assert_running()
                await asyncio.sleep(_LOOK)

    def _assert_running(self) -> None:
        assert self._process.returncode is None, f"the server has ended with {self._process.returncode}"


_SEEN = {
    "PYTHONUNBUFFERED": "1",
    # uvicorn's first process does not close the socket that it listened on. Those of connections have transports.
    "PYTHONWARNINGS": "default,ignore:unclosed <socket.socket:ResourceWarning",
}
"""So that a server says what it has left behind."""


def _paths() -> str:
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_ROOT), *([given] if given else [])])


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).is_success
    except httpx.TransportError:
        return False


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
