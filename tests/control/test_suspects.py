"""What a migrator may have written after it had lost its lock: debt, suspects, or nothing (rule 12)."""

from __future__ import annotations

import pytest

from shardroute.control import journal
from shardroute.errors import LockLost
from shardroute.phases import EFFECTS, Phase, Side

from .board import SHARD, TENANT, Board

IDS = ["a", "b c"]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("side", Side)
async def test_on_the_primary_they_are_suspects_on_the_secondary_debt_and_elsewhere_nobodys_concern(
    board: Board, phase: Phase, side: Side
) -> None:
    await board.walk(phase)
    effects, suspected = EFFECTS[phase], [(side, name) for name in IDS]
    became = await board.plane.journal.doubt(TENANT, SHARD, side, IDS)
    assert became == ("SUSPECT" if effects.primary is side else "UNUSED" if effects.settled else "DEBT")
    assert await board.plane.journal.suspects(TENANT) == (suspected if became == "SUSPECT" else [])
    assert await board.plane.journal.suspected() == ([TENANT] if became == "SUSPECT" else [])
    assert await board.debt() == (set(IDS) if became == "DEBT" else set())


async def test_suspects_stay_when_the_tenant_goes_on(board: Board) -> None:
    await board.walk(Phase.DUAL_NEW)
    await board.plane.journal.doubt(TENANT, SHARD, Side.NEW, IDS)
    await board.walk(Phase.NEW)
    assert len(await board.plane.journal.suspects(TENANT)) == len(IDS)


@pytest.mark.parametrize("debt", [True, False])
async def test_who_is_acquitted_is_no_suspect_and_debt_if_that_is_wanted(board: Board, *, debt: bool) -> None:
    await board.walk(Phase.DUAL_NEW)
    await board.plane.journal.doubt(TENANT, SHARD, Side.NEW, IDS)
    for record_id in IDS:
        assert await board.plane.journal.suspected() == [TENANT]
        for _ in range(2):
            await board.plane.journal.acquit(TENANT, board.fence, [(Side.NEW, record_id)], debt=debt)
    assert await board.plane.journal.suspects(TENANT) == []
    assert await board.plane.journal.suspected() == []
    assert await board.debt() == (set(IDS) if debt else set())


async def test_nobody_is_acquitted_without_the_lock(board: Board) -> None:
    await board.walk(Phase.DUAL_NEW)
    await board.plane.journal.doubt(TENANT, SHARD, Side.NEW, IDS)
    with pytest.raises(LockLost):
        await board.plane.journal.acquit(TENANT, board.fence - 1, [(Side.NEW, "a")], debt=True)
    assert len(await board.plane.journal.suspects(TENANT)) == len(IDS)


async def test_so_many_suspects_are_kept_and_no_more(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SUSPECTS_MOST", 5)
    await board.walk(Phase.NEW)
    await board.plane.journal.doubt(TENANT, SHARD, Side.NEW, [str(number) for number in range(9)])
    assert len(await board.plane.journal.suspects(TENANT)) == 5
