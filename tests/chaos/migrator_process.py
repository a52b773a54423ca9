"""One verb on one tenant, in a process that may be killed at any moment."""

from __future__ import annotations

from pathlib import Path

from shardroute.admin import Admin
from shardroute.config import Config
from shardroute.errors import ShardrouteError, VerbRefused
from shardroute.migration import Options

from .journal import Log


async def main(path: str, log: str, verb: str, tenant: str, verify: bool) -> int:
    """Whether it must be done again: 0 if the verb has come to its end, or has nothing to do."""
    told = Log(Path(log))
    try:
        async with Admin.open(Config.load(path), patience=3.0) as admin:
            if verb == "purge":
                await admin.purge(tenant)
            else:
                await admin.move(verb, tenant, Options(purge_target=True, verify=verify))
    except ShardrouteError as error:
        told.note(kind="verb", verb=verb, tenant=tenant, verify=verify, failed=repr(error))
        return int(not isinstance(error, VerbRefused))
    told.note(kind="verb", verb=verb, tenant=tenant, verify=verify)
    return 0
