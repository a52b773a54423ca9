"""Connections of qdrant-client to a cluster: which are kept, how they end, and what happens around a request."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from .last_byte import keep_back
from .prompt_acks import CAN_BE_PROMPT, prompt

_CONNECTIONS = 100

_LOCAL = ("localhost", "127.0.0.1", "::1")


def kept(url: str) -> httpx.Limits:
    """Connections are kept, to hosts of all kinds: not where they would stall (`prompt_acks`), as qdrant-client has it.

    Qdrant closes idle ones after five seconds: who keeps them as long meets the close half-way.
    """
    stalls = urlsplit(url).hostname in _LOCAL and not CAN_BE_PROMPT
    return httpx.Limits(
        max_connections=_CONNECTIONS,
        max_keepalive_connections=0 if stalls else _CONNECTIONS,
        keepalive_expiry=2.0,
    )


def cut_off_for_good(options: Mapping[str, Any]) -> dict[str, Any]:
    """Connections whose close discards what the system has not sent yet, and resets the other end.

    Otherwise the system goes on sending for minutes what a cancelled request had handed to it, and a network that comes
    back delivers it late: after its lease (rule 4). A client with a transport of the caller's, or one that the
    environment sends through a proxy, keeps its own; there the proxy decides, which is what `router.linger` is about.
    """
    if "transport" in options or getproxies():
        return {}
    known = {name: options[name] for name in ("verify", "cert", "http2", "limits") if name in options}
    reset = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    keep = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return {"transport": prompt(httpx.AsyncHTTPTransport(socket_options=[reset, keep], **known))}


async def apart_from_its_stream(
    request: httpx.Request, call_next: Callable[[httpx.Request], Awaitable[httpx.Response]]
) -> httpx.Response:
    """httpx's response and its stream hold each other, and both bodies, until cyclic garbage is looked for.

    Between two such looks, pages of a copy would be hundreds of megabytes.
    """
    response = await call_next(request)
    response.stream = httpx.ByteStream(response.content)
    return response


async def last_byte_kept_back(
    request: httpx.Request, call_next: Callable[[httpx.Request], Awaitable[httpx.Response]]
) -> httpx.Response:
    await keep_back(request)
    return await call_next(request)


def address(options: dict[str, Any]) -> tuple[str, int | None]:
    parts = urlsplit(options["url"] or f"//{options['host'] or 'localhost'}")
    port = options["grpc_port"] if options["prefer_grpc"] else parts.port or options["port"]
    return parts.hostname or "", port
