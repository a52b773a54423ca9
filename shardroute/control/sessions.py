"""Sessions of routers in Redis: leases and the barrier."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..rules import EVERY_TENANT, Acknowledgement
from ..timing import clock
from .scripts import Scripts, pairs

MOST_WITHHELD = 1000
"""Tenants that one acknowledgement names. Beyond, it speaks for the oldest version of all, and every barrier waits."""

PROTOCOL = 2
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
    """A session as Redis sees it. `remaining`: seconds of lease, negative when it has run out.

    `withheld`: tenants for which `acknowledged` does not speak yet, each with the last version for which it does.
    """

    id: str
    acknowledged: int
    remaining: float
    info: SessionInfo | None
    withheld: Mapping[str, int] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.remaining > 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answer to a renewal: whether the lease had run out before it, and the map's version and stamp.

    `clock`: what Redis's own clock said, in seconds; None where nobody looked.
    """

    lapsed: bool
    version: int
    stamp: str = ""
    clock: float | None = None


def new_session_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Sessions:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def heartbeat(
        self,
        session: str,
        *,
        lease: float,
        acknowledged: Acknowledgement,
        incarnation: str,
        info: SessionInfo,
        step: float = 1.0,
    ) -> Heartbeat:
        """Renews for `lease` seconds and acknowledges a version. Raises MapLost on another incarnation.

        `step`: seconds for which a step of Redis's clock may count at most (`rules.lease_time`).
        """
        number = int(clock() * 1e6)
        told, withheld = json.dumps(asdict(info)), _withheld(acknowledged)
        version = acknowledged.version if withheld is not None else acknowledged.of(EVERY_TENANT)
        _, lapsed, newest, stamp, now = await self._scripts.run(
            "heartbeat", "", session, int(lease * 1000), version, incarnation, told, number, withheld or "",
            max(1, int(step * 1000)),
        )  # fmt: skip
        return Heartbeat(lapsed=bool(lapsed), version=int(newest), stamp=str(stamp), clock=int(now) / 1000)

    async def leave(self, session: str, *, stays: float = 0.0) -> bool:
        """Ends a session, one's own or (evict) one that is known to be dead; whether there was one.

        `stays`: for how many seconds it is still waited for, because what it sent may still land (rule 4).
        """
        _, removed = await self._scripts.run("leave", "", session, int(stays * 1000))
        return bool(removed)

    async def lagging(self, version: int, tenant: str = EVERY_TENANT) -> list[str]:
        """Live sessions that have not acknowledged `version` for a tenant; none: the barrier is passed (rule 2)."""
        return [str(session) for session in await self._scripts.run("barrier", "", version, tenant)]

    async def all(self) -> list[SessionState]:
        """Every session that Redis remembers, the dead ones of the last ten minutes included."""
        leases, acknowledged, information, now, withheld = await self._scripts.run("sessions")
        versions, infos, without = pairs(acknowledged), pairs(information), pairs(withheld)
        return [
            SessionState(
                id=session,
                acknowledged=int(versions.get(session, 0)),
                remaining=(float(expiry) - float(now)) / 1000,
                info=_info(infos.get(session)),
                withheld=json.loads(without.get(session, "{}")),
            )
            for session, expiry in pairs(leases).items()
        ]


def _withheld(acknowledged: Acknowledgement) -> str | None:
    """As JSON; "" where there is nothing to withhold, None for too many tenants to name."""
    if len(acknowledged.withheld) > MOST_WITHHELD:
        return None
    return json.dumps(dict(acknowledged.withheld)) if acknowledged.withheld else ""


def _info(raw: str | None) -> SessionInfo | None:
    return SessionInfo(**json.loads(raw)) if raw else None
