"""One verb on one tenant, in a process that may be killed or stopped at any moment."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from shardroute.admin import Admin
from shardroute.config import Config
from shardroute.control import ControlPlane
from shardroute.errors import MoveRefused, ShardrouteError, VerbRefused
from shardroute.migration import Options, Silent

from .aimed import Aim, take_aim
from .record import Log
from .settings import LOCK


class Told(Silent):
    """Notes every step, when it has been done."""

    def __init__(self, log: Log, verb: str) -> None:
        self._log = log
        self._verb = verb

    def step(self, tenant: str, step: str) -> None:
        self._log.note(at=time.monotonic_ns(), tenant=tenant, verb=self._verb, step=step)


async def main(path: str, log: str, verb: str, tenant: str, verify: bool, aim: dict[str, Any] | None) -> int:
    """0 if the verb has come to its end, or has nothing to do; else it should be done again."""
    told = Log(Path(log))
    take_aim([Aim(**aim)] if aim else [], told)
    observer = Told(told, verb)
    observer.step(tenant, "begins")
    try:
        async with (
            asyncio.timeout(60),
            Admin.open(Config.load(path), observer=observer, patience=3.0) as admin,
        ):
            await _do(admin, path, verb, tenant, verify=verify)
    except (ShardrouteError, TimeoutError) as error:
        observer.step(tenant, f"failed: {error!r}"[:300])
        nothing_to_do = isinstance(error, VerbRefused) or (
            verb == "canary" and isinstance(error, MoveRefused)
        )
        return int(not nothing_to_do)
    observer.step(tenant, "done")
    return 0


async def _do(admin: Admin, path: str, verb: str, tenant: str, *, verify: bool) -> None:
    match verb:
        case "purge":
            await admin.purge(tenant)
        case "verify":
            await admin.verify(tenant, repair=verify)
        case "repair":
            await admin.repair(tenant)
        case "canary":
            await _canary(Config.load(path), tenant)
        case _:
            await admin.move(verb, tenant, Options(purge_target=True, verify=verify))


async def _canary(config: Config, tenant: str) -> None:
    """Half of the tenant's reads are answered by the other side, as a migration with a canary has it for a while."""
    plane = ControlPlane.open(config.control, patience=3.0)
    try:
        async with plane.locks.hold(tenant, "canary", life=LOCK) as lock:
            await plane.maps.set_canary(tenant, config.route.old.shard(tenant), 50, fence=lock.fence)
    finally:
        await plane.aclose()
