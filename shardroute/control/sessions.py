"""Sessions of routers in Redis: leases and the barrier."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass

from ..timing import clock
from .scripts import Scripts, pairs

PROTOCOL = 1
"""Number of the protocol that this version speaks; sessions of different numbers never move a tenant."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a session tells of itself."""

    host: str
    pid: int
    protocol: int = PROTOCOL

    @classmethod
    def of_this_process(cls) -> SessionInfo:
        return cls(host=socket.gethostname(), pid=os.getpid())


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as Redis sees it. `remaining`: seconds of lease, negative when it has run out."""

    id: str
    acknowledged: int
    remaining: float
    info: SessionInfo | None

    @property
    def alive(self) -> bool:
        return self.remaining > 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answer to a renewal: whether the lease had run out before it, and the map's version."""

    lapsed: bool
    version: int


def new_session_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Sessions:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def heartbeat(
        self, session: str, *, lease: float, acknowledged: int, incarnation: str, info: SessionInfo
    ) -> Heartbeat:
        """Renews for `lease` seconds and acknowledges a version. Raises MapLost on another incarnation."""
        number = int(clock() * 1e6)
        told = json.dumps(asdict(info))
        _, lapsed, version = await self._scripts.run(
            "heartbeat", "", session, int(lease * 1000), acknowledged, incarnation, told, number
        )
        return Heartbeat(lapsed=bool(lapsed), version=int(version))

    async def leave(self, session: str) -> bool:
        """Ends a session at once, one's own or (evict) one that is known to be dead."""
        _, removed = await self._scripts.run("leave", "", session)
        return bool(removed)

    async def lagging(self, version: int) -> list[str]:
        """Live sessions that have not acknowledged `version`; none: the barrier is passed (rule 2)."""
        return [str(session) for session in await self._scripts.run("barrier", "", version)]

    async def all(self) -> list[SessionState]:
        """Every session that Redis remembers, the dead ones of the last ten minutes included."""
        leases, acknowledged, information, now = await self._scripts.run("sessions")
        versions, infos = pairs(acknowledged), pairs(information)
        return [
            SessionState(
                id=session,
                acknowledged=int(versions.get(session, 0)),
                remaining=(float(expiry) - float(now)) / 1000,
                info=_info(infos.get(session)),
            )
            for session, expiry in pairs(leases).items()
        ]


def _info(raw: str | None) -> SessionInfo | None:
    return SessionInfo(**json.loads(raw)) if raw else None
