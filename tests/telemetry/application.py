"""An application that exports as docs/tracing.md has it: a write before a move, a write and two queries after it.

``python -m tests.telemetry.application REDIS NAMESPACE``. Every query has a shadow; the clusters agree on the first.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from shardroute import telemetry as names
from shardroute.migration import Options
from shardroute.phases import Phase
from tests.support.patience import patience, until
from tests.support.world import World, record

GUIDE = Path(__file__).parents[2] / "docs" / "tracing.md"
VECTOR = [1.0, 2.0, 3.0, 4.0]


def setup() -> str:
    """The lines that the guide tells an application to have, for traces and for metrics."""
    section = GUIDE.read_text().split("\n## ")[1]
    return "".join(re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))


class Comparisons(SpanProcessor):
    """Counts them, as nobody waits for a shadow otherwise."""

    ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        self.ended += span.name == names.COMPARE

    async def reach(self, number: int) -> None:
        async with patience():
            while self.ended < number:  # noqa: ASYNC110 - it is another thread's matter in an application
                await asyncio.sleep(0.01)


async def main(redis: str, namespace: str) -> None:
    provider, comparisons = trace.get_tracer_provider(), Comparisons()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(comparisons)
    shadow = {"share": 1.0, "floor": 0.0, "budget": 1.0}
    async with World.made(redis, namespace, shadow=shadow) as world, world.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([record("a")])
        async with world.admin() as admin:
            await admin.move("migrate", "acme", Options(empty=True))
        await until(lambda: acme.phase is Phase.DUAL_NEW)
        await acme.upsert([record("b")])
        await acme.query(VECTOR)
        await comparisons.reach(1)
        await world.old.inner.delete(world.config.route.old.place("acme"), ["b"])  # past the router
        await acme.query(VECTOR)
        await comparisons.reach(2)


if __name__ == "__main__":
    exec(setup())
    asyncio.run(main(*sys.argv[1:]))
