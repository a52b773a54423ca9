"""One application process: a router, and a writer and a reader for every tenant, until SIGTERM.

``python -m shardroute.demo.application --folder DIR --worker N`` reads what the demo put into the folder, tells
what it does in lines of JSON on stdout, and leaves its evidence in the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..router import Router
from ..testing.serving import until_told_to_stop
from . import corpus
from .evidence import Evidence
from .folder import Folder
from .keys import keys_of
from .lag import lags_of
from .pace import Pace
from .plan import Plan
from .traffic import Latencies, Reader, Watched, Writer

_REPORT = 0.5  # seconds between lines


@dataclass(frozen=True, slots=True)
class Application:
    """What the process's tasks share."""

    worker: int
    plan: Plan
    corpus: corpus.Corpus
    router: Router
    evidence: Evidence
    latencies: Latencies
    stop: asyncio.Event
    pace: Pace = field(default_factory=Pace)

    async def run(self) -> None:
        """Traffic until `stop`; requests under way are finished."""
        lags = lags_of(self.router)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report())
            for tenant in self.corpus:
                watched = Watched(
                    self.router.tenant(tenant),
                    self.corpus[tenant],
                    self.evidence,
                    self.latencies,
                    lags,
                    self.pace,
                )
                writer, reader = self._writer(watched), self._reader(watched)
                tasks.create_task(self._again(writer.write, writer.pause))
                tasks.create_task(self._again(reader.read, reader.pause))

    def _writer(self, watched: Watched) -> Writer:
        keys = keys_of(self.worker, self.plan.workers, watched.documents)
        return Writer(watched, keys, self.worker, self.plan)

    def _reader(self, watched: Watched) -> Reader:
        workers = self.plan.workers
        keys = [keys_of(worker, workers, watched.documents) for worker in range(workers)]
        everybodys = [*keys[0].updated, *keys[0].contended, *(each for key in keys for each in key.own)]
        foreign = [held[0].id for tenant, held in self.corpus.items() if tenant != watched.name]
        return Reader(watched, everybodys, foreign, self.worker, self.plan)

    async def _again(self, step: Callable[[], Awaitable[None]], pause: Callable[[], float]) -> None:
        while not await self._stopped_within(pause()):
            await step()

    async def _report(self) -> None:
        say({"ready": self.worker})
        while not await self._stopped_within(_REPORT):
            say({"counts": asdict(self.evidence.counts), "read_ms": self.latencies.take()})

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return False
        return True


def say(line: dict[str, Any]) -> None:
    """One line for the demo."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def serve(folder: Folder, worker: int) -> None:
    """From start to SIGTERM."""
    evidence, latencies = Evidence(), Latencies()
    async with (
        until_told_to_stop(watch_stdin=True) as stop,
        Router.from_config(folder.config) as router,
    ):
        held = corpus.load(folder.corpus)
        await Application(worker, Plan.load(folder.plan), held, router, evidence, latencies, stop).run()
    evidence.save(folder.evidence(worker))
    say({"counts": asdict(evidence.counts), "read_ms": latencies.take()})


def main() -> None:
    """What the demo starts."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.demo.application", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--worker", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(serve(Folder(given.folder), given.worker))


if __name__ == "__main__":
    main()
