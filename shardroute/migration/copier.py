"""The bulk copy of a tenant from its primary to its other side: idempotent, resumable, alongside live writes.

A page is read inside a window, written, and the window closed with its ids: those that a dual write touched
meanwhile become debt (rule 7). The checkpoint moves in the same script, in the order of the pages.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from .. import telemetry as names
from ..control import Checkpoint, Window
from ..errors import ClusterRejected, Unavailable
from ..ports import Page
from ..records import Record
from ..routing import Target
from ..shardmap import Standing
from ..telemetry import records_copied
from .batches import BatchSize
from .observer import Stage
from .patience import Hit, in_order
from .spans import batch_span
from .windows import Windows
from .work import Work


@dataclass(frozen=True, slots=True)
class _Read:
    """A page and the window it was read in."""

    window: int
    page: Page


class Copier:
    """Copies one tenant once. Raises ClusterUnavailable, ClusterRejected, LockLost; begin again to go on."""

    def __init__(self, work: Work, standing: Standing) -> None:
        self._work = work
        self._standing = standing
        self._source, self._target = work.pair(standing)
        limits = self._target.limits
        self._batch = BatchSize(size=limits.best_upsert_records, largest=limits.upsert_records)
        self._most = limits.upsert_records if work.limiter is None else int(work.limiter.max_rate)

    async def copy(self) -> int:
        """How many records were copied, those of interrupted runs included."""
        work = self._work
        checkpoint = await self._resume_from()
        total = await work.patience.read(self._source.store.name, self._count)
        work.observer.stage(work.tenant, Stage.COPY, total, checkpoint.copied)
        concurrency = work.config.copy.concurrency
        async with (
            aclosing(Windows(work, self._source)) as windows,
            aclosing(in_order(self._pages(windows, checkpoint.cursor), self._write, concurrency)) as written,
        ):
            async for read in written:
                checkpoint = await self._commit(read, checkpoint)
            await windows.close_unused()
        return checkpoint.copied

    async def _resume_from(self) -> Checkpoint:
        """The checkpoint of an interrupted copy of the same dual phase; of an earlier one it says nothing."""
        found = await self._work.plane.journal.checkpoint(self._work.tenant)
        return found if found.epoch == self._standing.epoch else Checkpoint(epoch=self._standing.epoch)

    async def _count(self) -> int:
        return await self._source.store.estimate(self._source.place)

    async def _pages(self, windows: Windows, cursor: str | None) -> AsyncIterator[_Read]:
        source, size = self._source, self._work.config.copy.page or self._source.limits.scan_records
        while True:
            window = await windows.next()
            page = await self._work.patience.read(source.store.name, lambda: _scan(source, cursor, size))
            yield _Read(window, page)
            if (cursor := page.cursor) is None:
                return

    async def _write(self, read: _Read) -> _Read:
        with batch_span("shardroute.copy.page", self._work.tenant, len(read.page.records)):
            records, done = read.page.records, 0
            while done < len(records):
                done += await self._write_some(records[done : done + min(self._batch.size, self._most)])
        self._work.step("page written")
        return read

    async def _write_some(self, records: list[Record]) -> int:
        if self._work.limiter is not None:
            await self._work.limiter.acquire(len(records))
        target = self._target
        hit = Hit(target.side, [record.id for record in records])
        try:
            await self._work.patience.write(target.store.name, lambda: _insert(target, records), hit)
        except (Unavailable, ClusterRejected):
            # Perhaps the request was too large: half of it, down to a single record.
            if len(records) == 1:
                raise
            self._batch = self._batch.after_failure()
            return 0
        self._batch = self._batch.after(len(records), time.perf_counter())
        return len(records)

    async def _commit(self, read: _Read, before: Checkpoint) -> Checkpoint:
        work, ids = self._work, [record.id for record in read.page.records]
        checkpoint = Checkpoint(read.page.cursor, before.copied + len(ids), before.epoch)
        await work.plane.journal.close_window(
            work.tenant, work.fence, read.window, Window.COPY, ids, checkpoint if read.page.cursor else None
        )
        records_copied.add(len(ids), {names.PATH: self._target.side.value})
        work.observer.advance(work.tenant, Stage.COPY, len(ids))
        work.step("page committed")
        return checkpoint


async def _scan(source: Target, cursor: str | None, size: int) -> Page:
    return await source.store.scan(source.place, cursor=cursor, limit=size)


async def _insert(target: Target, records: list[Record]) -> None:
    """Rule 12: without overwriting, where the store can. What was dual-written meanwhile is newer."""
    await target.store.upsert(target.place, records, insert_only=target.store.can_insert_only)
