"""Faults on purpose: slow, failing, silent, vanishing and throttling servers.

`Faults` says what goes wrong at the moment; it may be changed at any time while the server runs.
`FaultMiddleware` makes it happen, in front of any ASGI application.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ConnectionDropped(Exception):
    """The connection is to be closed without an answer; the server that holds it does so."""


@dataclasses.dataclass
class Faults:
    """What goes wrong. The defaults are a healthy server; every field can be set at any time.

    Several faults at once strike in this order: latency, hang, down, rate limit, error.
    """

    latency: float = 0.0
    """Seconds that every answer takes longer."""

    jitter: float = 0.0
    """Up to this many seconds more, drawn evenly for each request."""

    error_rate: float = 0.0
    """The share of requests, 0 to 1, answered with `error_status`."""

    error_status: int = 503

    down: bool = False
    """Connections are closed without an answer."""

    hang: bool = False
    """No answer until this is cleared. The request is then carried out even if its sender has given
    up, as it is by a server that was paused."""

    rate_limit: float | None = None
    """Requests a second; what is above is answered 429. 0 refuses all of them."""

    retry_after: int = 1
    """Seconds in the `Retry-After` of a 429."""

    only: Collection[str] | None = None
    """Operations the faults are restricted to, by name (``"upsert"``) or kind (``"read"``, ``"write"``,
    ``"admin"``). None is all of them."""

    after_write: bool = False
    """The fault strikes after the request was carried out: the answer is lost, the write is not."""

    def active(self) -> bool:
        """Whether anything goes wrong at all."""
        return bool(
            self.latency
            or self.jitter
            or self.error_rate
            or self.down
            or self.hang
            or self.rate_limit is not None
        )

    def concerns(self, names: Collection[str]) -> bool:
        """Whether a request with these names (operation and kind) is one of those to strike."""
        return bool(names) and (self.only is None or not set(self.only).isdisjoint(names))

    def clear(self) -> None:
        """Make the server healthy again."""
        self.update({})

    def update(self, settings: Mapping[str, Any]) -> None:
        """Take all settings from a mapping; what is left out returns to its default.

        Raises:
            ValueError: a setting that does not exist, or a value that makes no sense. Nothing is changed.
        """
        try:
            wanted = Faults(**settings)
        except TypeError as error:
            raise ValueError(f"no such fault: {error}") from error
        _check(wanted)
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(wanted, field.name))

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return settings | {"only": None if self.only is None else sorted(self.only)}


def _check(faults: Faults) -> None:
    for name, expected in _KINDS.items():
        value = getattr(faults, name)
        if isinstance(value, bool) is not (expected is bool) or not isinstance(value, expected):
            raise ValueError(f"{name}: {value!r} is not of the right kind")
    if not 0 <= faults.error_rate <= 1:
        raise ValueError("error_rate is a share from 0 to 1")
    if min(faults.latency, faults.jitter, faults.rate_limit or 0, faults.retry_after) < 0:
        raise ValueError("times and rates cannot be negative")


_KINDS: dict[str, Any] = {
    "latency": (int, float),
    "jitter": (int, float),
    "error_rate": (int, float),
    "error_status": int,
    "down": bool,
    "hang": bool,
    "rate_limit": (int, float, type(None)),
    "retry_after": int,
    "only": (list, tuple, set, frozenset, type(None)),
    "after_write": bool,
}


class TokenBucket:
    """Lets `rate` requests a second through, and a second's worth of them at once."""

    def __init__(self) -> None:
        self._tokens: float | None = None
        self._at = 0.0

    def take(self, rate: float, now: float) -> bool:
        """Whether one more request may pass."""
        most = max(rate, 1.0) if rate else 0.0
        held = most if self._tokens is None else min(most, self._tokens + (now - self._at) * rate)
        self._at = now
        passes = held >= 1
        self._tokens = held - 1 if passes else held
        return passes


class FaultMiddleware:
    """Strikes the requests of an ASGI application with the faults that are set.

    Args:
        names: the names of a request, by which `Faults.only` picks; none at all means: never strike.
        error_body: the JSON body of an error in the vendor's form, from a status and a message.
        seed: of the dice, so that a run can be repeated.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        *,
        names: Callable[[Scope], Collection[str]],
        error_body: Callable[[int, str], Any],
        seed: int = 0,
    ) -> None:
        self._app = app
        self._faults = faults
        self._names = names
        self._error_body = error_body
        self._random = random.Random(seed)
        self._bucket = TokenBucket()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let go of every request that is being held."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or fail to."""
        if not self._faults.active() or not self._faults.concerns(self._names(scope)):
            await self._app(scope, receive, send)
            return
        received = _replay(await _whole_body(receive))
        if self._faults.after_write:
            answer: list[Message] = []
            await self._app(scope, received, _collect(answer))
            await _send_all(await self._strike() or answer, send)
        elif error := await self._strike():
            await _send_all(error, send)
        else:
            await self._app(scope, received, send)

    async def _strike(self) -> list[Message] | None:
        """Wait, drop, or return the error to answer with. None: the request got through."""
        faults = self._faults
        await self._pause(faults.latency + faults.jitter * self._random.random())
        while faults.hang and not faults.down:
            await self._pause(0.01)
        if faults.down:
            raise ConnectionDropped
        if faults.rate_limit is not None and not self._bucket.take(faults.rate_limit, time.monotonic()):
            message = "Rate limiting exceeded: rate limit exceeded, retry later"
            return self._error(429, message, (b"retry-after", str(faults.retry_after).encode()))
        if self._random.random() < faults.error_rate:
            return self._error(faults.error_status, "Service internal error: a fault was injected")
        return None

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
        raise ConnectionDropped

    def _error(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> list[Message]:
        body = json.dumps(self._error_body(status, message)).encode()
        head = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ]
        return [
            {"type": "http.response.start", "status": status, "headers": head},
            {"type": "http.response.body", "body": body},
        ]


async def _whole_body(receive: Receive) -> bytes:
    chunks = []
    while (message := await receive())["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
    raise ConnectionDropped


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _collect(messages: list[Message]) -> Send:
    async def send(message: Message) -> None:
        messages.append(message)

    return send


async def _send_all(messages: list[Message], send: Send) -> None:
    for message in messages:
        await send(message)
