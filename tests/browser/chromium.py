"""A Chromium without a window, spoken to over a pipe in the DevTools protocol.

No port is opened and no library is needed. The protocol tells of every request that a page tries, also of those that
a policy or a missing network stops.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

VARIABLE = "SHARDROUTE_TEST_BROWSER"
"""Names the browser, as a command or a path; then its absence is a failure."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",  # it opens nothing but what the tests wrote, and containers have none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",  # which is this machine, by definition
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and writes to 4.
_PIPED = 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2'


def found_browser() -> str:
    """Its path. Skips the test that asks if there is none, or fails it if one was named."""
    named = os.environ.get(VARIABLE)
    path = next(filter(None, map(shutil.which, [named] if named else _NAMES)), None)
    if path is None and named:
        pytest.fail(f"{VARIABLE} is {named}, and there is no such program")
    if path is None:
        pytest.skip(reason=f"no Chromium on this machine; {VARIABLE} names one elsewhere")
    return path


class Chromium:
    """One page of a running browser."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._number = 0
        self._session: str | None = None
        self._unread = b""
        self._events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, place: Path | str, *, width: int = 1200, dark: bool = False) -> None:
        """Shows a file, or an address, and waits until all of it is there. `width`: of the screen, in pixels."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        for url in ("about:blank", place if isinstance(place, str) else place.as_uri()):
            # The page before is left first: until it is gone, what it asks for would seem to be asked for by this one.
            self._events.clear()
            self._call("Page.navigate", url=url)
            self._until_loaded()

    def follow(self, expression: str) -> None:
        """Does what leads to another page, such as a click, and waits until all of that is there."""
        self._events.clear()
        self.value(expression)
        self._until_loaded()

    def _until_loaded(self) -> None:
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._message())

    @property
    def requests(self) -> list[str]:
        """The addresses of all that the page asked for, itself among them."""
        asked = (event for event in self._events if event["method"] == "Network.requestWillBeSent")
        return [str(event["params"]["request"]["url"]) for event in asked]

    @property
    def complaints(self) -> list[str]:
        """What the browser's console says: errors, and what a policy refused."""
        told = (event for event in self._events if event["method"] == "Log.entryAdded")
        return [str(event["params"]["entry"]["text"]) for event in told]

    def value(self, expression: str) -> Any:
        """Of an expression in JavaScript, in the page. A promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, path: Path) -> Path:
        """Of the whole page, as PNG."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while (message := self._message()).get("id") != self._number:
            self._events.append(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return dict(message["result"])

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            read = os.read(self._answers.fileno(), 1 << 20)
            assert read, "the browser is gone"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def running(folder: Path) -> Iterator[Chromium]:
    """A browser with a profile in `folder`, ended with all its processes."""
    command = ["sh", "-c", _PIPED, "sh", found_browser(), *_FLAGS, f"--user-data-dir={folder}"]
    with (
        (folder / "browser.log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Chromium(process.stdin, process.stdout)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
