"""What every part of one tenant's migration needs, held together while the tenant's lock is held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from aiolimiter import AsyncLimiter

from ..config import Config
from ..control import ControlPlane, Window
from ..errors import ClusterUnavailable
from ..phases import EFFECTS
from ..routing import Sides, Target
from ..shardmap import Standing
from .barrier import acknowledged
from .observer import Observer
from .patience import Patience

_CATCH_UP = 30.0  # seconds that a cluster whose reads lag may need beyond its lag
_CATCH_UP_LAGS = 5


@dataclass(frozen=True, slots=True)
class Work:
    """One tenant, one lock. `fence`: the lock's token, which every script checks."""

    tenant: str
    fence: int
    sides: Sides
    plane: ControlPlane
    config: Config
    observer: Observer
    patience: Patience
    limiter: AsyncLimiter | None

    @property
    def shard(self) -> int:
        return self.sides.shard

    async def standing(self) -> Standing:
        """Where the tenant stands now, by Redis."""
        shard_map, _ = await self.plane.maps.load()
        return self.config.route.standing(shard_map, self.tenant)

    def pair(self, standing: Standing) -> tuple[Target, Target]:
        """Primary and the other side, in this standing."""
        primary = EFFECTS[standing.phase].primary
        return self.sides[primary], self.sides[primary.other]

    def step(self, name: str) -> None:
        self.observer.step(self.tenant, name)

    async def barrier(self, standing: Standing) -> None:
        """Returns when every live session knows of this standing. Raises BarrierTimeout."""
        await acknowledged(
            self.plane,
            self.tenant,
            standing,
            tenant=self.tenant,
            timeout=self.config.migration.barrier,
            tell=partial(self.observer.waits, self.tenant),
        )

    async def open_window(self) -> int:
        return (await self.open_windows(1))[0]

    async def open_windows(self, count: int) -> range:
        windows = await self.plane.journal.open_windows(self.tenant, self.fence, count)
        self.step("window opened")
        return windows

    async def fresh(self, *targets: Target, patience: float | None = None) -> bool:
        """Returns when reads of these sides see all that was acknowledged before the call; False: not in time.

        A window is opened first, so that what is read in it is never older than the window (rule 7).
        `patience` in seconds; without it, as long as a cluster may need at worst. Raises ClusterUnavailable.
        """
        slow = [target for target in targets if target.store.lag]
        if not slow:
            return True
        longest = max(_CATCH_UP_LAGS * target.store.lag for target in slow) + _CATCH_UP
        try:
            async with asyncio.timeout(longest if patience is None else patience):
                answers = await asyncio.gather(*map(self._fresh, slow), return_exceptions=True)
        except TimeoutError as error:
            if patience is not None:
                return False
            names = " and ".join(repr(target.store.name) for target in slow)
            raise ClusterUnavailable(
                slow[0].store.name,
                f"reads of cluster {names} did not catch up with writes in {longest:g} s",
                may_land=False,
            ) from error
        for failure in filter(None, answers):
            raise failure
        self.step("caught up")
        return True

    async def _fresh(self, target: Target) -> None:
        await self.patience.ask(lambda: target.store.fresh(target.place))

    async def look(self, window: int, ids: list[str]) -> set[str]:
        """Closes a window in which nothing was written; which ids were touched meanwhile, or are debt."""
        return set(await self.plane.journal.close_window(self.tenant, self.fence, window, Window.LOOK, ids))
