"""The process under test: what it leaves behind is noticed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import served
from .served import Served

SERVER = """
import http.server, signal, subprocess, sys

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

def end(*_):
    {end}
    sys.exit({code})

signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


async def ended(folder: Path, end: str = "pass", code: int = 0) -> None:
    """A server that does `end` when it is told to end."""
    file = folder / "server.py"
    file.write_text(SERVER.format(end=end, code=code))
    async with Served.started([sys.executable, str(file), "{port}"], folder):
        pass


async def test_a_server_that_ends_as_it_should(tmp_path: Path) -> None:
    await ended(tmp_path)


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        ("pass", 3, "ended with 3"),
        ("print('Task was destroyed but it is pending!')", 0, "Task was destroyed"),
        ("print('RuntimeWarning: coroutine x was never awaited')", 0, "Warning"),
    ],
)
async def test_a_server_that_does_not(tmp_path: Path, end: str, code: int, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await ended(tmp_path, end, code)


async def test_a_server_that_leaves_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_END", 1.0)
    with pytest.raises(TimeoutError) as caught:
        await ended(tmp_path, "subprocess.Popen(['sleep', '1000'])")
    assert "last words" in caught.value.__notes__[0]
