"""`examples/fastapi_search`, started as a reader of its README starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shardroute.local_ports import lasting_port
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Search:
    """The running application. `hint`: what it printed for its reader."""

    port: int
    hint: str

    def url(self, tenant: str) -> str:
        return f"http://{tenant}.localhost:{self.port}"

    def client(self, tenant: str) -> httpx.Client:
        """As a browser that knows what *.localhost is."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Host": f"{tenant}.localhost:{self.port}"},
            timeout=PATIENCE,
            trust_env=False,
        )

    def script(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`shardroute` with the configuration that the hint names."""
        [config] = re.findall(r"SHARDROUTE_CONFIG=(\S+)", self.hint)
        return subprocess.run(
            [sys.executable, "-m", "shardroute.cli", *arguments],
            env={**os.environ, "SHARDROUTE_CONFIG": config},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@contextmanager
def running(module: str = "fastapi_search") -> Iterator[Search]:
    """Started, and ended by Ctrl-C, which all of its processes get. It must end in order, and silently."""
    port = lasting_port()
    process = _started(module, port)
    with process:
        try:
            yield Search(port, _hint(process))
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=PATIENCE)
            assert (process.returncode, rest) == (0, "")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def started_on_a_taken_port(module: str) -> tuple[int, str, int]:
    """Its exit code, all that it said, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = int(somebody.getsockname()[1])
        with _started(module, port) as process:
            said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said, port


def _started(module: str, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "examples")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _hint(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            process.stdout.readline()  # the empty line after it
            return "".join(lines)
    raise AssertionError(f"it ended with {process.wait()}:\n{''.join(lines)}")


def is_nowhere(search: Search, path: str) -> None:
    """The address has a page that says so, in the application's own looks."""
    with search.client("acme") as acme:
        answer = acme.get(path)
    assert answer.status_code == 404
    assert "<h1>No such page.</h1>" in answer.text
    assert "Acme Kettles" in answer.text
