"""Runs verbs in processes of their own and kills each, for real, right after a given step.

`python -m tests.migration.killer CONFIG` reads lines ``VERB TENANT STEP`` and answers each with the child's end
(``killed`` or ``done``). The children are forked, so that a kill costs milliseconds and not an import.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from shardroute.admin import Admin
from shardroute.config import Config
from shardroute.migration import Options, Silent

ALL_STEPS = Options(verify_synced=True)
"""A way back compares nothing by default; here it goes through those steps as well."""


class KilledAt(Silent):
    """SIGKILL to this process after so many steps: no handler runs, nothing is cleaned up."""

    def __init__(self, step: int) -> None:
        self._left = step

    def step(self, tenant: str, step: str) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


async def run(config: Config, verb: str, tenant: str, step: int) -> None:
    async with Admin.open(config, observer=KilledAt(step)) as admin:
        await admin.move(verb, tenant, ALL_STEPS)


def in_a_child(config: Config, verb: str, tenant: str, step: int) -> str:
    child = os.fork()
    if not child:
        code = 1
        try:
            asyncio.run(run(config, verb, tenant, step))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else f"done {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    config = Config.load(Path(sys.argv[1]))
    for line in sys.stdin:
        verb, tenant, step = line.split()
        print(in_a_child(config, verb, tenant, int(step)), flush=True)  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    main()
