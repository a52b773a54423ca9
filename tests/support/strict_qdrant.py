"""A layer in front of the Qdrant server of the tests that keeps to limits in a real server's words (1.18).

To be dropped once that server has strict mode, keys and a limit of bytes itself.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import models
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shardroute.testing.qdrant import QdrantServer
from shardroute.testing.serving import LoopServer

_POINTS = re.compile(r"/collections/(?P<name>[^/]+)/points(?P<rest>/\w+)?")


class Refused(Exception):
    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@dataclass
class Bucket:
    """`common/rate_limiting.rs`; a minute takes `minute` seconds here."""

    kind: str
    size: int
    minute: float = 60.0
    tokens: float = field(init=False)
    last: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tokens = float(self.size)

    def take(self, cost: int) -> None:
        if cost > self.size:
            raise Refused(
                429,
                f"Rate limiting exceeded: {self.kind} rate limit exceeded, request larger than rate limiter capacity, "
                "please try to split your request",
            )
        now = time.monotonic()
        self.tokens = min(self.size, self.tokens + (now - self.last) * self.size / self.minute)
        self.last = now
        if self.tokens < cost:
            wait = math.ceil((cost - self.tokens) * self.minute / self.size)
            raise Refused(
                429,
                f"Rate limiting exceeded: {self.kind} rate limit exceeded: Operation requires {cost} tokens but only "
                f"{self.tokens:.1f} were available. Retry after {wait}s",
                wait,
            )
        self.tokens -= cost


@dataclass
class Strict:
    """`strict`: as in `strict_mode_config`. `refused`: what was, by its words. `sizes`: of the bodies that passed."""

    strict: dict[str, Any] = field(default_factory=dict)
    max_request: int = 32 * 1024 * 1024
    read_only: bool = False
    says_settings: bool = True
    minute: float = 60.0
    refused: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limit_rates(self.minute)

    def limit_rates(self, minute: float) -> None:
        """Full buckets for the rates of `strict`."""
        self.buckets = {
            kind: Bucket(kind.capitalize(), self.strict[setting], minute)
            for kind, setting in (("read", "read_rate_limit"), ("write", "write_rate_limit"))
            if setting in self.strict
        }

    def look(self, method: str, path: str, raw: bytes) -> None:
        """Raises Refused."""
        if len(raw) > self.max_request:
            limit = self.max_request
            raise Refused(
                400, f"JSON payload ({len(raw)} bytes) is larger than allowed (limit: {limit} bytes)."
            )
        found = _POINTS.fullmatch(path)
        body = json.loads(raw) if raw else {}
        what = (method, (found["rest"] or "") if found else None)
        reads = {("POST", "/scroll"), ("POST", "/count"), ("POST", "/query"), ("POST", "")}
        if self.read_only and method != "GET" and what not in reads:
            raise Refused(403, "Forbidden: Global manage access is required")
        if found is None:
            return
        match what:
            case ("PUT", ""):
                self._upsert(len(body["points"]))
            case ("POST", "/delete"):
                self._write(body)
            case ("POST", "/batch"):
                operations = [next(iter(operation.values())) for operation in body["operations"]]
                for operation in operations:
                    self._filter(operation.get("filter"))
                for operation in operations:
                    self._take("write", len(operation.get("points") or _ids(operation.get("filter"))) or 1)
            case ("POST", "/scroll"):
                self._at_most("max_query_limit", body.get("limit", 10), "limit")
                self._read(body.get("filter"))
                self.asked.append(("scroll", body.get("limit", 10)))
            case ("POST", "/query"):
                self._at_most("max_query_limit", body.get("limit", 10), "limit")
                self._read(body.get("filter"))
            case ("POST", "/count"):
                if body.get("exact") and self.strict.get("search_allow_exact") is False:
                    raise Refused(400, "Exact search disabled!. Help: Set exact=false.")
                self._read(body.get("filter"))
            case ("POST", ""):
                self._take("read", len(body["ids"]))
                self.asked.append(("retrieve", len(body["ids"])))
        self.sizes.append(len(raw))

    def _upsert(self, count: int) -> None:
        self._at_most("upsert_max_batchsize", count, "upsert limit")
        self._take("write", count)

    def _write(self, body: Any) -> None:
        self._filter(body.get("filter"))
        self._take("write", max(1, len(_ids(body.get("filter")))))

    def _read(self, wanted: Any) -> None:
        self._filter(wanted)
        self._take("read", 1 + len((wanted or {}).get("must") or ()))

    def _filter(self, wanted: Any) -> None:
        size, limit = len(_ids(wanted)), self.strict.get("condition_max_size")
        if limit is not None and size > limit:
            raise Refused(
                400,
                f"Condition size limit reached ({size} > {limit}). Help: Reduce the size of your condition.",
            )

    def _at_most(self, setting: str, value: int, name: str) -> None:
        limit = self.strict.get(setting)
        if limit is not None and value > limit:
            help_ = f'Reduce the "{name}" parameter to or below {limit}.'
            raise Refused(400, f'Limit exceeded {value} > {limit} for "{name}". Help: {help_}')

    def _take(self, kind: str, cost: int) -> None:
        if (bucket := self.buckets.get(kind)) is not None:
            bucket.take(cost)


def _ids(wanted: Any) -> list[Any]:
    return [held for part in (wanted or {}).get("must") or () for held in part.get("has_id") or ()]


class _InFront:
    def __init__(self, app: ASGIApp, strict: Strict) -> None:
        self._app = app
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        try:
            self._strict.look(scope["method"], scope["path"], raw)
        except Refused as refused:
            self._strict.refused.append(str(refused))
            await _answer(send, refused)
            return

        async def replay() -> Message:
            return {"type": "http.request", "body": raw, "more_body": False}

        if scope["method"] == "GET" and re.fullmatch(r"/collections/[^/]+", scope["path"]):
            send = self._with_settings(send)
        await self._app(scope, replay, send)

    def _with_settings(self, send: Send) -> Send:
        held: list[Message] = []

        async def change(message: Message) -> None:
            held.append(message)
            if message["type"] == "http.response.start" or message.get("more_body"):
                return
            body = json.loads(b"".join(part.get("body", b"") for part in held[1:]))
            if body.get("result") and self._strict.says_settings and self._strict.strict:
                body["result"]["config"]["strict_mode_config"] = {"enabled": True, **self._strict.strict}
            raw = json.dumps(body).encode()
            head = [header for header in held[0]["headers"] if header[0] != b"content-length"]
            await send({**held[0], "headers": [*head, (b"content-length", str(len(raw)).encode())]})
            await send({"type": "http.response.body", "body": raw})

        return change


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"status": {"error": str(refused)}, "time": 0.0}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(refused.retry_after).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def strict_server(
    strict: Strict, collections: dict[str, models.VectorParams] | None = None
) -> AsyncIterator[str]:
    """The URL of a server that keeps to `strict`, whose attributes may be changed meanwhile."""
    async with QdrantServer(collections=collections) as server:
        door = LoopServer(_InFront(server._app, strict))
        await door.start()
        try:
            yield door.url
        finally:
            await door.stop()
