"""A router process under traffic: `python -m tests.routing.writing_process CONFIG TENANT` until stdin closes.

Then it prints what it wrote, what was acknowledged and when (the machine's monotonic clock), as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

from shardroute import Router
from tests.support.patience import until
from tests.support.traffic import Traffic

ENOUGH = 20  # acknowledged writes


async def main(path: str, tenant: str) -> None:
    async with Router.from_config(path) as router:
        traffic = Traffic([router.tenant(tenant)], writers=4, process=7)
        async with traffic.flowing() as ledger:
            await until(lambda: ledger.acknowledged > ENOUGH)
            print("writing", flush=True)  # noqa: T201 - what the test waits for
            await asyncio.to_thread(sys.stdin.read)
    print(  # noqa: T201 - the answer to the test
        json.dumps(
            {
                "writes": {
                    name: [asdict(write) for write in writes] for name, writes in ledger.writes.items()
                },
                "failures": [repr(failure) for failure in ledger.failures],
                "wrong_reads": ledger.wrong_reads,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
