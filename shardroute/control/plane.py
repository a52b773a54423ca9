"""The control plane: everything in Redis, opened and closed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from ..config import Config, ControlConfig
from ..errors import ConfigError
from ..shardmap import ShardMap
from .connection import Connections
from .journal import Journal
from .keys import Keys
from .locks import Locks
from .mapstore import MapStore
from .scripts import Scripts
from .sessions import Sessions
from .stats import Stats
from .usage import Memory, used


@dataclass(frozen=True, slots=True)
class ControlPlane:
    maps: MapStore
    sessions: Sessions
    journal: Journal
    locks: Locks
    stats: Stats
    scripts: Scripts
    connections: Connections
    keys: Keys

    @classmethod
    def open(cls, config: ControlConfig, *, patience: float = 0.0) -> Self:
        """Connects when it is first used. Raises ConfigError for an unusable namespace.

        `patience`: for how many seconds every request to a Redis that is away is asked again.
        """
        connections, keys = Connections.open(config), Keys(config.namespace)
        scripts = Scripts(
            connections.commands,
            keys,
            timeout=config.timeout,
            patience=patience,
            reconnect=connections.renew,
        )
        return cls(
            maps=MapStore(connections, scripts),
            sessions=Sessions(scripts),
            journal=Journal(connections, scripts),
            locks=Locks(connections, scripts),
            stats=Stats(connections, scripts, budget=config.statistics_bytes),
            scripts=scripts,
            connections=connections,
            keys=keys,
        )

    async def map_for(self, config: Config) -> ShardMap:
        """The map, if it was made for this configuration. Raises MapLost, ConfigError."""
        shard_map, made_for = await self.maps.load()
        if made_for != config.digest():
            raise ConfigError(
                f"the map of namespace {self.keys.namespace!r} was made for other topologies: "
                f"{'; '.join(config.disagreements(made_for))}. Mend the configuration, or choose a control.namespace"
            )
        return shard_map

    async def time(self) -> float:
        """Redis's clock, in seconds."""
        milliseconds: Any = await self.scripts.run("time")
        return int(milliseconds) / 1000

    async def lease_time(self) -> float:
        """The time by which leases and holds count, in seconds: Redis's clock less its steps (`rules.lease_time`)."""
        milliseconds: Any = await self.scripts.run("lease_time")
        return int(milliseconds) / 1000

    async def memory(self, moving: Sequence[str]) -> Memory:
        """What we use of Redis, and what it has. `moving`: the tenants that may have a journal."""
        return await used(self.scripts, self.stats, moving)

    async def setting(self, name: str) -> str | None:
        """A setting of the Redis server. Raises ControlPlaneUnavailable where it does not tell (managed services)."""
        redis = self.connections.commands
        answer: Any = await self.scripts.ask(lambda: redis.config_get(name), optional=True)
        return str(answer[name]) if name in answer else None

    async def aclose(self) -> None:
        await self.connections.aclose()
