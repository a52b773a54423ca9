"""What every part of one tenant's migration needs, held together while the tenant's lock is held."""

from __future__ import annotations

from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from ..config import Config
from ..control import ControlPlane, Window
from ..phases import EFFECTS
from ..routing import Sides, Target
from ..shardmap import Standing
from .observer import Observer
from .patience import Patience


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

    async def open_window(self) -> int:
        window = await self.plane.journal.open_window(self.tenant, self.fence)
        self.step("window opened")
        return window

    async def look(self, window: int, ids: list[str]) -> set[str]:
        """Closes a window in which nothing was written; which ids were touched meanwhile, or are debt."""
        return set(await self.plane.journal.close_window(self.tenant, self.fence, window, Window.LOOK, ids))
