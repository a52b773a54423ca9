"""Ports on this machine for servers that are started again on the port that they had."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_FROM = 32_768
"""Linux's default; elsewhere the range begins higher (RFC 6335: 49152)."""

_FIRST = 10_240
_TRIES = 100


def lasting_port() -> int:
    """A free port that no connection gets while its server is down.

    The system gives the ports of its own range to connections: one of them may have the port of a server that was
    killed a moment ago, which can then not be started again. Raises OSError if there is none.
    """
    for _ in range(_TRIES):
        port = random.SystemRandom().randrange(_FIRST, _ephemeral_from())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port from {_FIRST} to {_ephemeral_from() - 1} on 127.0.0.1")


def _ephemeral_from() -> int:
    try:
        first = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = _EPHEMERAL_FROM
    return first if first > _FIRST else 1 << 16
