"""How much of Redis the statistics of all tenants together may take: a fixed number of bytes, kept by the scripts.

A Redis without memory left refuses writes, and then nothing moves and nobody writes for long. So what anybody's queries
make us keep has a bound. The largest makes room: a tenant with many or large queries loses its own oldest ones, and one
that has little keeps it, whatever the others do. Refusing what is new instead would leave room to whoever came first.
"""

from __future__ import annotations

import logging
from typing import Any

from ..timing import clock
from .scripts import Argument, Scripts

log = logging.getLogger(__name__)

_ROUNDS = 8  # times that room is made for one batch, before it is dropped
_AT_LEAST = 64  # of the budget goes at once, as one part of so many, so that room is not made for every batch
_SHARE_OF_SERVER = 4  # one part in four of what the server may use
_ASKED_EVERY = 60.0  # seconds


class Budget:
    """Of one process; all processes of a namespace share what is counted in Redis."""

    def __init__(self, scripts: Scripts, budget: int) -> None:
        """`budget` in bytes. It is never more than a quarter of the server's `maxmemory`, where that is known."""
        self._scripts = scripts
        self._configured = budget
        self._effective = budget
        self._ask_again = float("-inf")

    async def bytes(self) -> int:
        """What may be used of this server."""
        if clock() >= self._ask_again:
            self._ask_again = clock() + _ASKED_EVERY
            whole = (await memory(self._scripts))["maxmemory"]
            self._effective = min(self._configured, whole // _SHARE_OF_SERVER) if whole else self._configured
        return self._effective

    async def spend(
        self, script: str, tenant: str, first: tuple[Argument, ...], *arguments: Argument
    ) -> None:
        """Runs a script that keeps something, `first` before the budget in its arguments.

        Raises ControlPlaneUnavailable. Where there is no room, it is made; what is too large for that is dropped.
        """
        budget = await self.bytes()
        for _ in range(_ROUNDS):
            code, *largest = await self._scripts.run(script, tenant, *first, budget, *arguments)
            if code != "FULL":
                break
            kind, whose = self._scripts.keys.kind_and_tenant(largest[0])
            await self._scripts.run("evict", whose, kind, max(int(largest[1]), budget // _AT_LEAST))
        if code != "OK":
            log.debug("statistics of tenant %s are dropped: there is no room for them", tenant)


async def memory(scripts: Scripts) -> dict[str, int]:
    """`used_memory` and `maxmemory` of the server that has the map, in bytes; 0 where it does not tell."""
    answer: Any = await scripts.run("memory")
    return {"used_memory": int(answer[0]), "maxmemory": int(answer[1])}
