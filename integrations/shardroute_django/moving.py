"""A verb that the admin's page began: a task of this process, and what became of it in the admin's history.

If the process ends first, the tenant is where its last step left it, and the verb may be run again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from shardroute.admin import Admin
from shardroute.errors import ShardrouteError

from .process import Host

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
"""Keeps what became of it. It may block: it is called in a thread of its own."""


async def begin(host: Host, verb: str, tenant: str, tell: Tell) -> None:
    """Returns at once. Two at a time on one tenant are kept apart by its lock."""
    host.background.own(_moved(host, verb, tenant, tell), name=f"{verb} of {tenant}")


async def _moved(host: Host, verb: str, tenant: str, tell: Tell) -> None:
    try:
        words = await _carried_out(host, verb, tenant)
    except ShardrouteError as error:
        words = f"failed: {error}"
    except Exception as error:
        log.exception("%s of %s", verb, tenant)
        words = f"failed: {type(error).__name__}; the server's log has more"
    await asyncio.to_thread(tell, f"{verb} {words}")


async def _carried_out(host: Host, verb: str, tenant: str) -> str:
    router = await host.router()
    async with Admin.open(host.settings.config, stores=router.stores) as admin:
        if verb == "purge":
            return f"done: {await admin.purge(tenant):,} records deleted"
        outcome = await admin.move(verb, tenant)
    held = "".join(f", writes held for {1000 * hold:.0f} ms" for hold in outcome.hold_seconds)
    back = f", and taken back: {'; '.join(outcome.broken)}" if outcome.rolled_back else ""
    counts = (("copied", outcome.copied), ("compared", outcome.compared), ("repaired", outcome.repaired))
    done = "".join(f", {number:,} {what}" for what, number in counts if number)
    return f"done: {outcome.phase}{done}{held}{back}"
