"""Tokens of dual writes in flight, and debt: ids whose two sides may differ. Also the migrator's windows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..errors import LockLost, VerbRefused
from ..phases import Side
from ..rules import Journal as JournalCounts
from .connection import Connections
from .scripts import Scripts

SUSPECTS_MOST = 10_000
"""Suspects of one tenant that are kept. A migrator has a few batches under way, so one that wakes leaves far fewer."""


class Begun(StrEnum):
    """Answer to the registration of a token."""

    OK = "OK"
    STALE = "STALE"  # the tenant has moved on: adopt the map first
    LAPSED = "LAPSED"  # the session's lease has run out in Redis
    VOID = "VOID"  # this token was given up already


class Window(StrEnum):
    """What the migrator does between opening and closing a window."""

    COPY = "copy"
    PAY = "pay"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a copy has come: every record before `cursor` is on the other side, `copied` so far."""

    cursor: str | None = None
    copied: int = 0
    epoch: int = 0


class Journal:
    """All of it is per tenant. A shard number says whose default a tenant without a record follows."""

    def __init__(self, connections: Connections, scripts: Scripts) -> None:
        self._connections = connections
        self._scripts = scripts

    # -- routers ---------------------------------------------------------------------------------------------

    async def begin(
        self, tenant: str, shard: int, epoch: int, session: str, token: str, ids: Sequence[str]
    ) -> Begun:
        """Registers a dual write before it touches a store (rules 5 to 7)."""
        answer = await self._scripts.run("begin", tenant, tenant, shard, epoch, session, token, *ids)
        return Begun(answer[0])

    async def settle(self, tenant: str, shard: int, token: str, ids: Sequence[str], *, debt: bool) -> None:
        """Ends a token; with `debt`, its ids are to be brought to the secondary again."""
        await self._scripts.run("settle", tenant, tenant, shard, token, int(debt), *ids)

    # -- anyone ----------------------------------------------------------------------------------------------

    async def mark(self, tenant: str, shard: int, ids: Sequence[str]) -> None:
        """Marks ids as debt. Raises VerbRefused where the tenant is on one cluster only."""
        code, detail = await self._scripts.run("mark", tenant, tenant, shard, *ids)
        if code == "SETTLED":
            raise VerbRefused(
                f"tenant {tenant!r} is in {detail}, on one cluster only: there is nothing to repair"
            )

    async def doubt(self, tenant: str, shard: int, side: Side, ids: Sequence[str]) -> str:
        """Notes what a migrator may have written to `side` after its lock was lost; what that makes of the ids.

        `DEBT`, `SUSPECT` or `UNUSED`. Of a tenant's suspects, `SUSPECTS_MOST` are kept.
        """
        code, _ = await self._scripts.run("doubt", tenant, tenant, shard, side, SUSPECTS_MOST, *ids)
        return str(code)

    async def suspects(self, tenant: str) -> list[tuple[Side, str]]:
        """Records that a migrator without its lock may have written on what was the primary then, and of which side."""
        key, redis = self._scripts.keys.suspects(tenant), self._connections.commands
        noted: Any = await self._scripts.ask(lambda: redis.smembers(key))
        parts = [str(entry).partition(" ") for entry in noted]
        return sorted((Side(side), record_id) for side, _, record_id in parts)

    async def suspected(self) -> list[str]:
        """Tenants that have suspects."""
        key, redis = self._scripts.keys.suspected, self._connections.commands
        names: Any = await self._scripts.ask(lambda: redis.smembers(key))
        return sorted(str(name) for name in names)

    async def reap(self, tenant: str) -> int:
        """Turns tokens of vanished sessions into debt (rule 8); how many."""
        reaped: Any = await self._scripts.run("reap", tenant)
        return int(reaped)

    async def counts(self, tenant: str) -> JournalCounts:
        keys, redis = self._scripts.keys, self._connections.commands
        tokens: Any = await self._scripts.ask(lambda: redis.hlen(keys.tokens(tenant)))
        debt: Any = await self._scripts.ask(lambda: redis.scard(keys.debt(tenant)))
        return JournalCounts(tokens=int(tokens), debt=int(debt))

    async def some_debt(self, tenant: str, limit: int, primary: Side) -> list[str]:
        """Up to `limit` ids of debt, picked at random so that no id starves the others; without suspects."""
        return list(await self._scripts.run("owed", tenant, limit, primary))

    # -- the migrator, under its lock ------------------------------------------------------------------------

    async def open_window(self, tenant: str, fence: int) -> int:
        """Before reading from the primary in order to write to the secondary (rule 7)."""
        return (await self.open_windows(tenant, fence, 1))[0]

    async def open_windows(self, tenant: str, fence: int, count: int) -> range:
        """Several at once, oldest first; each is to be closed."""
        last = int(_held(tenant, await self._scripts.run("open", tenant, fence, count)))
        return range(last - count + 1, last + 1)

    async def close_window(
        self,
        tenant: str,
        fence: int,
        window: int,
        kind: Window,
        ids: Sequence[str],
        checkpoint: Checkpoint | None = None,
    ) -> list[str]:
        """After the write; which of `ids` were touched meanwhile and are (still) debt."""
        note = json.dumps([checkpoint.cursor, checkpoint.copied, checkpoint.epoch]) if checkpoint else ""
        return list(_held(tenant, await self._scripts.run("close", tenant, fence, window, kind, note, *ids)))

    async def acquit(
        self, tenant: str, fence: int, suspects: Sequence[tuple[Side, str]], *, debt: bool
    ) -> None:
        """They are suspects no longer; with `debt`, they are to be brought to the secondary."""
        for start in range(0, len(suspects), 1000):
            flat = [word for suspect in suspects[start : start + 1000] for word in suspect]
            _held(tenant, await self._scripts.run("acquit", tenant, tenant, fence, int(debt), *flat))

    async def checkpoint(self, tenant: str) -> Checkpoint:
        key, redis = self._scripts.keys.copy(tenant), self._connections.commands
        raw: Any = await self._scripts.ask(lambda: redis.hget(key, "checkpoint"))
        return Checkpoint(*json.loads(raw)) if raw else Checkpoint()


def _held(tenant: str, answer: list[Any]) -> Any:
    if answer[0] == "LOCK_LOST":
        raise LockLost(f"tenant {tenant!r}: the lock ran out or was taken over; this migrator stops")
    return answer[1]
