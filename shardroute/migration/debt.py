"""Paying debt: bringing ids whose two sides may differ from the primary to the secondary (rules 8 and 9)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial

from ..control import Window
from ..errors import SuspectsDiffer
from ..looks import agreed
from ..routing import Target
from ..rules import Journal
from ..shardmap import Standing
from ..telemetry import debt_paid
from .batches import in_parts
from .observer import Stage
from .patience import Hit
from .work import Work

_BATCH = 256
_LAGGING_BATCH = 1000  # where every batch waits until the primary's reads have caught up
_PAUSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # seconds, while every id left is in flight


class Payer:
    """Pays what there is. Idempotent; raises ClusterUnavailable, ClusterRejected, LockLost.

    Raises SuspectsDiffer where all that is left is suspect.

    `brought`: ids that were brought to the secondary so far, forgiven or not.
    """

    def __init__(self, work: Work, standing: Standing) -> None:
        self._work = work
        self._primary, self._secondary = work.pair(standing)
        self.brought = 0

    async def pay(self, patience: float, *, enough: int = 0, quiet: bool = False) -> Journal:
        """Pays until at most `enough` ids are left, or for `patience` seconds; what is left then.

        Writes that keep overlapping make new debt for as long as they come: only a hold ends that.
        `quiet`: waits for the tokens of writes in flight as well, as a crossing must (rule 10).
        """
        loop = asyncio.get_running_loop()
        until, idle = loop.time() + patience, 0
        left = await self._announced()
        while (left.debt > enough or (quiet and left.tokens)) and loop.time() < until:
            idle = 0 if await self._pay_some(until - loop.time()) else min(idle + 1, len(_PAUSES))
            if idle:
                await asyncio.sleep(_PAUSES[idle - 1])
            left = await self._left()
        return left

    async def pay_most(self, patience: float) -> Journal:
        """Before a hold: pays until one request pays the rest, or what is left gets no less.

        Where reads lag, a hold with any debt lasts that long, so that all of it should go before; but ids that are
        written all the time are debt again after every round.
        """
        if not (self._primary.store.lag or self._secondary.store.lag):
            return await self.pay(patience, enough=_BATCH // 4)
        left, before = await self._announced(), math.inf
        while 0 < left.debt < before:
            before = left.debt
            await self._pay_some(patience)
            left = await self._left()
        return left

    async def _announced(self) -> Journal:
        left = await self._left()
        self._work.observer.stage(self._work.tenant, Stage.DEBT, left.debt)
        return left

    async def _left(self) -> Journal:
        await self._work.plane.journal.reap(self._work.tenant)
        return await self._work.plane.journal.counts(self._work.tenant)

    async def _pay_some(self, patience: float) -> int:
        """One batch; how many marks went: none, if the primary's reads do not catch up within `patience` seconds."""
        work = self._work
        batch = _LAGGING_BATCH if self._primary.store.lag else _BATCH
        ids = await work.plane.journal.some_debt(work.tenant, batch, self._primary.side)
        if not ids:
            await self._refuse_suspects()
            return 0
        window = await work.open_window()
        if not await work.fresh(self._primary, patience=patience):
            await work.look(window, [])
            return 0
        ids = await bring(work, self._primary, self._secondary, ids)
        self.brought += len(ids)
        stayed = await work.plane.journal.close_window(work.tenant, work.fence, window, Window.PAY, ids)
        paid = len(ids) - len(stayed)
        debt_paid.add(paid)
        work.observer.advance(work.tenant, Stage.DEBT, paid)
        work.step("debt paid")
        return paid

    async def _refuse_suspects(self) -> None:
        """Of debt that is suspect as well, nothing says what is right: not what the primary has (rule 12)."""
        work, primary = self._work, self._primary.side
        suspects = await work.plane.journal.suspects(work.tenant)
        here = [record_id for side, record_id in suspects if side is primary]
        if here and (await work.plane.journal.counts(work.tenant)).debt:
            raise SuspectsDiffer(work.tenant, primary, {}, unclear=here)


async def bring(work: Work, primary: Target, secondary: Target, ids: list[str]) -> list[str]:
    """What the primary has is upserted to the secondary, what it has not is deleted there. The ids that were brought.

    Those of which the primary says now this, now that, are left for later: replicas differ, and to delete or replace
    what the secondary has for an answer that is out of date would lose it.
    """
    size, unclear = (
        min(primary.limits.fetch_ids, secondary.limits.upsert_records, secondary.limits.delete_ids),
        set[str](),
    )
    await in_parts(ids, size, partial(_bring, work, primary, secondary, unclear), primary, secondary)
    work.step("debt written")
    return [record_id for record_id in ids if record_id not in unclear]


async def _bring(
    work: Work, primary: Target, secondary: Target, unclear: set[str], ids: Sequence[str]
) -> None:
    source, target = primary.store, secondary.store
    look = partial(source.fetch, primary.place, ids)
    present, differing = await agreed(source, primary.place, partial(work.patience.read, source.name, look))
    unclear |= differing
    clear = [record_id for record_id in ids if record_id not in differing]
    if records := [present[record_id] for record_id in clear if record_id in present]:
        hit = Hit(secondary.side, [record.id for record in records])
        await work.patience.write(target.name, lambda: target.upsert(secondary.place, records), hit)
    if gone := [record_id for record_id in clear if record_id not in present]:
        await work.patience.write(
            target.name, lambda: target.delete(secondary.place, gone), Hit(secondary.side, gone)
        )
