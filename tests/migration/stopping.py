"""The script, stopped (SIGSTOP) by itself at one request: `python -m tests.migration.stopping MOMENT HEAD FLAG …`.

HEAD is how the request begins, FLAG a file that is there once the process is stopped, the rest are the script's own
arguments. Moments: `before` the head is handed to the system; `half` of the body is with the system and the rest with
the event loop, as when a connection is slow; `last`: just before the last byte, with the permit to send it.
"""

from __future__ import annotations

import asyncio.selector_events
import os
import signal
import sys
from pathlib import Path
from typing import Any

from shardroute.cli import main

_Transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]  # where bytes leave
_write = _Transport.write


class _TakesHalf:
    """A socket that takes half of what it is given, once, and then no more."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def send(self, data: bytes) -> int:
        return int(self._inner.send(data[: len(data) // 2]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Stops:
    def __init__(self, moment: str, head: str, flag: Path) -> None:
        self._left = {"before": 0, "half": 1, "last": 2}[moment]
        self._half = moment == "half"
        self._head = head.encode()
        self._flag = flag
        self._transport: Any = None

    def write(self, transport: Any, data: bytes) -> None:
        if self._transport is None and bytes(data[: len(self._head)]) == self._head:
            self._transport = transport
        if self._transport is not transport or self._left < 0:
            _write(transport, data)
            return
        self._left -= 1
        if self._left >= 0:
            _write(transport, data)
        elif self._half:
            self._write_half(transport, data)
            self._stop()
        else:
            self._stop()
            _write(transport, data)

    def _write_half(self, transport: Any, data: bytes) -> None:
        whole, transport._sock = transport._sock, _TakesHalf(transport._sock)
        try:
            _write(transport, data)
        finally:
            transport._sock = whole

    def _stop(self) -> None:
        self._flag.touch()
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    moment, head, flag, *arguments = sys.argv[1:]
    stops = Stops(moment, head, Path(flag))
    _Transport.write = lambda transport, data: stops.write(transport, data)
    main(arguments)
