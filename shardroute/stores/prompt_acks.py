"""Kept connections whose answers do not wait for an acknowledgement that the system puts off.

A server that writes an answer in two pieces and lets the system gather small ones (Nagle: no `TCP_NODELAY`) sends the
second when the first is acknowledged. The client's system puts that off for 40 ms, but on connections that are new:
which is why qdrant-client keeps none to a host of its own. Linux can be told not to (`TCP_QUICKACK`), until it changes
its mind: so it is told again after each piece of a request.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore
import httpx

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

CAN_BE_PROMPT = _QUICKACK is not None
"""Whether this system can be told."""


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)
        if self._socket is not None and _QUICKACK is not None:
            with suppress(OSError):  # closed meanwhile: whoever reads finds out
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._backend.connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await self._backend.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def prompt(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
    """The transport, whose connections to come acknowledge at once, where the system can.

    httpx does not pass on what httpcore takes (`network_backend`); there is no public way (0.28).
    """
    pool: Any = getattr(transport, "_pool", None)
    if CAN_BE_PROMPT and isinstance(getattr(pool, "_network_backend", None), httpcore.AsyncNetworkBackend):
        pool._network_backend = _Backend(pool._network_backend)
    return transport
