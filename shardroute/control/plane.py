"""The control plane: everything in Redis, opened and closed together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..config import ControlConfig
from .connection import Connections
from .journal import Journal
from .keys import Keys
from .locks import Locks
from .mapstore import MapStore
from .scripts import Scripts
from .sessions import Sessions, server_time


@dataclass(frozen=True, slots=True)
class ControlPlane:
    maps: MapStore
    sessions: Sessions
    journal: Journal
    locks: Locks
    connections: Connections
    keys: Keys

    @classmethod
    def open(cls, config: ControlConfig) -> Self:
        """Connects when it is first used. Raises ConfigError for an unusable namespace."""
        connections, keys = Connections.open(config), Keys(config.namespace)
        scripts = Scripts(connections.commands, keys)
        return cls(
            maps=MapStore(connections, scripts),
            sessions=Sessions(connections, scripts),
            journal=Journal(connections, scripts),
            locks=Locks(connections, scripts),
            connections=connections,
            keys=keys,
        )

    async def time(self) -> float:
        """Redis's clock, in seconds."""
        return await server_time(self.connections, self.keys.meta)

    async def aclose(self) -> None:
        await self.connections.aclose()
