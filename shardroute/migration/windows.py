"""Windows for the pages of a copy: one each, opened ahead where the source's reads lag behind writes (rule 7)."""

from __future__ import annotations

import asyncio
from collections import deque

from ..routing import Target
from .work import Work

_AHEAD = 4  # pages whose windows are opened in one request
_AHEAD_OF_LAG = 32  # pages that share one wait


class Windows:
    """Every window that `next` gives out was open before what the source's reads show by now."""

    def __init__(self, work: Work, source: Target) -> None:
        self._work = work
        self._source = source
        self._batch = _AHEAD_OF_LAG if source.store.lag else _AHEAD
        self._ready: deque[int] = deque()
        self._coming: asyncio.Task[None] | None = None

    async def next(self) -> int:
        """Raises ClusterUnavailable when the source's reads do not catch up, LockLost."""
        if not self._ready:
            await self._prepared()
        window = self._ready.popleft()
        if len(self._ready) < self._batch // 2 and self._coming is None:
            self._coming = asyncio.create_task(self._prepare())
        return window

    async def _prepared(self) -> None:
        await (self._prepare() if self._coming is None else self._coming)

    async def _prepare(self) -> None:
        windows = await self._work.open_windows(self._batch)
        await self._work.fresh(self._source)
        self._ready.extend(windows)
        self._coming = None

    async def close_unused(self) -> None:
        """Those that no page was read in; while one is open, touches are kept."""
        await self.aclose()
        while self._ready:
            await self._work.look(self._ready.popleft(), [])

    async def aclose(self) -> None:
        """Opens no more. What is open after a failure is seen to by whoever holds the lock next."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)
            self._coming = None
