"""The load itself: batches are read in order, written side by side, and written again where that can help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import stamina

from shardroute import InvalidInput, ShardrouteError, Tenant

from .checkpoint import Checkpoint, Sure
from .lines import BadLine, Batch, Cutter, Mark, Placed
from .source import FromFile, FromStream

_SAVED_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Settings:
    """`patience`: seconds that one batch is tried for. `skip`: go on past lines that are no records."""

    batch: int = 100
    concurrency: int = 8
    patience: float = 300.0
    skip: bool = False


@dataclass
class Outcome:
    """What was done so far. `written`: records; `place`: up to where all of them are surely written."""

    written: int = 0
    repeated: int = 0
    bad: list[BadLine] = field(default_factory=list)
    place: Mark = field(default_factory=Mark)
    finished: bool = False


class Load:
    """One input into one tenant. `told` is called after every batch."""

    def __init__(
        self,
        tenant: Tenant,
        settings: Settings,
        checkpoint: Checkpoint | None,
        told: Callable[[Outcome], None],
    ) -> None:
        self.outcome = Outcome()
        self._tenant = tenant
        self._settings = settings
        self._checkpoint = checkpoint
        self._told = told
        self._refused: BadLine | None = None

    async def run(self, source: FromFile | FromStream, begin: Mark, source_field: str) -> None:
        """Raises BadLine, the first of them, once all that stands before it is written; ValueError if the input has
        changed.

        Whatever ends it, the checkpoint says no more than what is written.
        """
        cutter = Cutter(source_field)
        await _skipped(source, cutter, begin)
        sure = Sure(begin)
        self.outcome.place = begin
        over = asyncio.Event()
        saving = asyncio.create_task(self._save(sure, over))
        try:
            await self._written(source, cutter, sure)
        finally:
            over.set()
            await saving
        self.outcome.finished = True

    async def _written(self, source: FromFile | FromStream, cutter: Cutter, sure: Sure) -> None:
        queue: asyncio.Queue[tuple[int, Batch] | None] = asyncio.Queue(maxsize=self._settings.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._settings.concurrency):
                    group.create_task(self._work(queue, sure))
                await self._read(source, cutter, queue)
                for _ in range(self._settings.concurrency):
                    await queue.put(None)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        if self._refused is not None:
            self.outcome.place = sure.place = self._refused.before  # all batches before it have ended
            raise self._refused

    async def _read(
        self,
        source: FromFile | FromStream,
        cutter: Cutter,
        queue: asyncio.Queue[tuple[int, Batch] | None],
    ) -> None:
        """Puts all batches into the queue, or those before a line that stops the load."""
        number = 0
        while self._refused is None and (lines := await source.lines(self._settings.batch)):
            batch = cutter.cut(lines)
            await queue.put((number, batch))
            if batch.bad and not self._settings.skip:
                return
            number += 1

    async def _work(self, queue: asyncio.Queue[tuple[int, Batch] | None], sure: Sure) -> None:
        while (job := await queue.get()) is not None:
            if self._refused is not None:
                continue  # what is still in the queue comes after it
            number, batch = job
            try:
                self.outcome.bad += await self._ended(batch)
            except BadLine as error:
                self._refuse(error)
            else:
                sure.ended(number, batch.after)
                self.outcome.place = sure.place
            self._told(self.outcome)

    def _refuse(self, line: BadLine) -> None:
        """The first of the input counts: batches end in any order."""
        if self._refused is None or line.number < self._refused.number:
            self._refused = line

    async def _ended(self, batch: Batch) -> list[BadLine]:
        """Writes it, and returns what of it is passed over. Raises BadLine, once what stands before it is written."""
        if self._settings.skip or not batch.bad:
            return [*batch.bad, *await self._write(batch.records)]
        first = batch.bad[0]
        await self._write([one for one in batch.records if one.before.lines < first.before.lines])
        raise first

    async def _write(self, records: Sequence[Placed]) -> list[BadLine]:
        """The lines that no cluster takes. Raises the first of them, if they are not to be skipped."""
        try:
            await self._upsert(records)
        except InvalidInput as error:
            if len(records) == 1:
                bad = BadLine(records[0].before, str(error))
                if not self._settings.skip:
                    raise bad from error
                return [bad]
            half = len(records) // 2
            return [*await self._write(records[:half]), *await self._write(records[half:])]
        self.outcome.written += len(records)
        return []

    async def _upsert(self, records: Sequence[Placed]) -> None:
        async for attempt in stamina.retry_context(
            on=_again, attempts=None, timeout=self._settings.patience, wait_max=10.0
        ):
            with attempt:
                self.outcome.repeated += attempt.num > 1
                await self._tenant.upsert([one.record for one in records])

    async def _save(self, sure: Sure, over: asyncio.Event) -> None:
        """Every second, and once more when it is over. One writer: two would garble each other's file."""
        while self._checkpoint is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SAVED_EVERY):
                    await over.wait()
            await asyncio.to_thread(self._checkpoint.write, sure.place)
            if over.is_set():
                return


def _again(error: Exception) -> bool | float:
    """After as many seconds as the error says; else after stamina's own growing ones."""
    if not isinstance(error, ShardrouteError) or not error.retryable:
        return False
    return error.retry_after or True


async def _skipped(source: FromFile | FromStream, cutter: Cutter, place: Mark) -> None:
    """Reads up to the place. Raises ValueError if something else stands before it than did."""
    found, left = Mark(), place.lines
    while left and (lines := await source.lines(min(left, 10_000))):
        found, left = cutter.passed(lines), left - len(lines)
    if left or (place.lines and found.digest != place.digest):
        raise ValueError(
            f"the first {place.lines:,} lines are not those of the checkpoint; --restart begins anew"
        )
