"""The last byte of a request is kept back until the request's permit was asked (rules 4 and 12).

A request may be far larger than what the system takes of it at once. A process that is stopped in between goes on to
send the rest when it continues, before any timer of its own can end the request. All but the last byte may leave like
that: the permit is asked once everything before that byte has been handed to the system, and if it is refused, the
connection is closed with the request unfinished.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from ..permits import Permit, needed


class _KeptBack(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A body in two parts, or in one that the system takes at once, and the question before the last of them.

    Connections are made and heads are sent before a body is asked for. Either may take a while, and a process may be
    stopped meanwhile: so the question is no earlier.

    Not a generator: whoever reads it may break off, and nobody closes a generator that was left.
    """

    def __init__(self, body: bytes, permit: Permit) -> None:
        self._parts = (body,) if len(body) <= permit.in_one_piece else (body[:-1], body[-1:])
        self._permit = permit
        self._given = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._given = 0
        return self

    async def __anext__(self) -> bytes:
        """httpcore asks for the next part when the system has taken all of the one before."""
        if self._given == len(self._parts):
            raise StopAsyncIteration
        self._given += 1
        if self._given == len(self._parts):
            await self._permit.ask()
        return self._parts[self._given - 1]


async def keep_back(request: httpx.Request) -> None:
    """A hook of httpx, before each request. One without a body asks now."""
    permit = needed()
    if permit is None:
        return
    permit.will_ask()
    if body := await request.aread():
        request.stream = _KeptBack(body, permit)
    else:
        await permit.ask()
