"""`make soak`: runs under fault schedules drawn from seeds, for as long as told, judged by an independent checker.

    python -m tests.soak --minutes 30                    # seeds from 1 on
    python -m tests.soak --seeds 100-140 --jobs 2
    python -m tests.soak --schedule failed/7/schedule.json

A seed that fails leaves its schedule, histories and logs in a folder. Exit code 0: nothing failed; 1: something did.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import active_children, get_context
from pathlib import Path

from tests.linearizability import porcupine

from .one import FINE, Result, in_a_process_of_its_own
from .schedule import Schedule, drawn


class Soak:
    """Many runs. `until`: when no new one begins, by the clock of `time.monotonic`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._began = time.monotonic()
        self._until = self._began + arguments.minutes * 60 if arguments.minutes else float("inf")
        self._kept = Path(arguments.keep)
        self.results: list[Result] = []

    def _schedules(self) -> Iterator[Schedule]:
        given = self._arguments
        if given.schedule:
            yield Schedule.from_json(Path(given.schedule).read_text())
            return
        first, _, last = given.seeds.partition("-")
        seeds = range(int(first), int(last or first) + 1) if given.seeds else itertools.count(1)
        for seed in seeds:
            yield drawn(seed, given.seconds, beyond=given.beyond)

    async def all(self) -> None:
        schedules, jobs = self._schedules(), self._arguments.jobs
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(jobs):
                        group.create_task(self._worker(schedules, pool))
            except asyncio.CancelledError:  # by Ctrl-C. What the runs have started ends with them
                for run in active_children():
                    run.terminate()
                raise

    async def _worker(self, schedules: Iterator[Schedule], pool: ProcessPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        for schedule in schedules:
            if time.monotonic() > self._until:
                return
            with tempfile.TemporaryDirectory(prefix="shardroute-soak-", ignore_cleanup_errors=True) as name:
                folder = Path(name)
                result = await loop.run_in_executor(pool, in_a_process_of_its_own, schedule, folder)
                kept = None if result.verdict == FINE else self._keep(folder, result)
            self.results.append(result)
            self._tell(result, kept)

    def totals(self) -> str:
        names = {
            **{"operations": "operations", "unanswered": "without an answer", "canaries": "read by canaries"},
            **{"failovers": "by failovers", "moves": "moves of tenants", "troubles": "troubles"},
            **{"stops": "aimed stops", "processes": "router processes"},
        }
        sums = {told: sum(getattr(one, name) for one in self.results) for name, told in names.items()}
        parts = [f"{number:,} {told}" for told, number in sums.items()]
        return ", ".join([f"{len(self.results)} schedules", *parts])

    def _keep(self, folder: Path, result: Result) -> Path:
        kept = self._kept / str(result.seed)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in [*folder.glob("*.json*"), folder / "noise.log"]:
            shutil.copy(path, kept)
        (kept / "told.txt").write_text("\n\n".join(result.told) + "\n")
        return kept

    def _tell(self, result: Result, kept: Path | None) -> None:
        if self._arguments.json:
            print(json.dumps(asdict(result)), flush=True)
            return
        print(result.line(), flush=True)
        if kept is not None:
            for one in result.told:
                print("    " + one.replace("\n", "\n    "))
            print(
                f"    kept in {kept}; again: python -m tests.soak --schedule {kept}/schedule.json", flush=True
            )
        print(f"{self._progress()}\r", end="", file=sys.stderr, flush=True)

    def _progress(self) -> str:
        spent = time.monotonic() - self._began
        rate = len(self.results) / spent * 3600
        left = (
            ""
            if self._until == float("inf")
            else f", {max(0, self._until - time.monotonic()) / 60:.0f} min left"
        )
        failed = sum(result.verdict != FINE for result in self.results)
        return f"{len(self.results)} schedules, {failed} failed, {rate:.0f} an hour{left}   "


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=0, help="begin no new run after so many")
    parser.add_argument("--seeds", default="", help="one, or a range as 1-200; without it, from 1 on")
    parser.add_argument("--seconds", type=float, default=30, help="of troubles in each run (default 30)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--schedule", help="a file: run this one again")
    parser.add_argument("--keep", default="soak-failed", help="where failed runs are kept")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each run")
    parser.add_argument(
        "--beyond",
        action="store_true",
        help="processes stop in the middle of sending as well, which docs/protocol.md does not promise to cover",
    )
    given = parser.parse_args()
    if not (given.minutes or given.seeds or given.schedule):
        given.minutes = 10
    return given


def main() -> int:
    given = _parsed()
    soak = Soak(given)
    checker = (
        "our own checker: Go is not here"
        if porcupine.program() is None
        else "porcupine, and our own checker beside it"
    )
    print(f"judged by {checker}", file=sys.stderr)
    try:
        asyncio.run(soak.all())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    failed = [result.seed for result in soak.results if result.verdict != FINE]
    print(soak.totals(), file=sys.stderr)
    print(f"failed: {failed or 'none'}", file=sys.stderr)
    return 1 if failed or not soak.results else 0


if __name__ == "__main__":
    sys.exit(main())
