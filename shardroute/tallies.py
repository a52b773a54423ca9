"""What a router has counted and not yet sent: a tally and the worst examples of each tenant.

Counting is a dictionary's work and never waits. A task of its own sends; while Redis is away it keeps what it has, of
so many tenants and so many names as there are, and tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .comparisons import Example
from .config import ShadowConfig
from .control import ControlPlane
from .errors import ControlPlaneUnavailable
from .statistics import Tally

log = logging.getLogger(__name__)

_TENANTS = 2_000
"""Of so many something is kept; what is counted of more is dropped until these have been sent."""

_EXAMPLES = 20
"""Of one tenant between two sendings."""

_GOODBYE = 1.0
"""Seconds that closing gives the last counts."""


class Tallies:
    """The counts of one process."""

    def __init__(self, plane: ControlPlane, config: ShadowConfig) -> None:
        self._plane = plane
        self._config = config
        self._tallies: dict[str, Tally] = {}
        self._examples: dict[str, list[Example]] = {}
        self._closing = asyncio.Event()

    def of(self, tenant: str) -> Tally:
        """Where the tenant's events are counted now; not to be kept."""
        tally = self._tallies.get(tenant)
        if tally is None:
            tally = Tally()
            if len(self._tallies) < _TENANTS:
                self._tallies[tenant] = tally
        return tally

    def note(self, tenant: str, example: Example) -> None:
        """Keeps it, if it is one of the worst."""
        if tenant in self._tallies:
            kept = self._examples.setdefault(tenant, [])
            kept.append(example)
            if len(kept) > 2 * _EXAMPLES:
                self._examples[tenant] = _worst(kept)

    # -- sending ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Sends every `shadow.flush` seconds while the block runs, and once more at its end."""
        task = asyncio.create_task(self._forever(), name="shardroute tallies")
        try:
            yield
        finally:
            self._closing.set()
            await asyncio.wait([task], timeout=_GOODBYE)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _forever(self) -> None:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(self._config.flush):
                    await self._closing.wait()
            except TimeoutError:
                pass
            await self.send()

    async def send(self) -> None:
        """Everything counted so far. What Redis does not take is kept; what it refuses is dropped."""
        tallies, self._tallies = self._tallies, {}
        examples, self._examples = self._examples, {}
        try:
            for tenant in list(tallies):
                await self._send(tenant, tallies[tenant], examples.get(tenant, []))
                del tallies[tenant]
        except ControlPlaneUnavailable as error:
            log.debug("counts wait: %s", error)
            self._take_back(tallies, examples)

    async def _send(self, tenant: str, tally: Tally, examples: list[Example]) -> None:
        stats, config = self._plane.stats, self._config
        try:
            await stats.add(tenant, tally, window=config.window, retention=config.retention)
            tally.counts.clear()  # taken, whatever becomes of the examples
            await stats.add_examples(tenant, _worst(examples), most=_EXAMPLES, retention=config.retention)
        except ControlPlaneUnavailable:
            raise
        except Exception as error:
            log.warning("counts of tenant %s are dropped: %s", tenant, error)

    def _take_back(self, tallies: dict[str, Tally], examples: dict[str, list[Example]]) -> None:
        for tenant, tally in tallies.items():
            self.of(tenant).add(tally)
            for example in examples.get(tenant, []):
                self.note(tenant, example)


def _worst(examples: list[Example]) -> list[Example]:
    """As many as are kept; of equals the newest."""
    return sorted(examples, key=lambda example: (example.badness, example.at), reverse=True)[:_EXAMPLES]
