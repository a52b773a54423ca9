"""A WebSocket of a client, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Message


class Socket:
    """Connects, says `says`, and keeps what it hears: a kind of message, a text, or a kind with its code."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        says: Sequence[str] = (),
        extensions: Sequence[str] = (),
    ) -> None:
        self.messages: list[Any] = []
        self._app = app
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "subprotocols": [],
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "extensions": {name: {} for name in extensions},
        }
        self._said: list[Message] = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": words} for words in says),
        ]

    async def run(self) -> None:
        """Until the application has nothing more to do."""
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        return self._said.pop(0)

    async def _send(self, message: Message) -> None:
        told = message.get("code", message.get("status"))
        self.messages.append(message.get("text") or ((message["type"], told) if told else message["type"]))
