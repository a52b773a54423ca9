"""Everything at once, and nothing that was acknowledged is lost.

More of it: ``SHARDROUTE_CHAOS_SEEDS=100-140 SHARDROUTE_CHAOS_SECONDS=40 pytest tests/chaos``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from shardroute import Config
from shardroute.admin import Admin
from shardroute.clusters import connected
from shardroute.control import ControlPlane
from shardroute.errors import MigrationError, TenantLocked
from shardroute.migration import Options
from shardroute.phases import EFFECTS, Phase, Side
from shardroute.ports import Store
from shardroute.records import Record
from tests.support.patience import PATIENCE
from tests.support.world import same

from .chaos import Chaos
from .judge import Case, value_of
from .settings import TENANTS

SECONDS = float(os.environ.get("SHARDROUTE_CHAOS_SECONDS", "8"))


def _seeds() -> list[int]:
    first, _, last = os.environ.get("SHARDROUTE_CHAOS_SEEDS", "1-2").partition("-")
    return list(range(int(first), int(last or first) + 1))


@pytest.mark.slow
@pytest.mark.timeout(600 + 2 * SECONDS)
@pytest.mark.parametrize("seed", _seeds())
async def test_no_acknowledged_write_is_lost_and_nothing_deleted_comes_back(
    seed: int, tmp_path: Path
) -> None:
    async with Chaos.opened(seed, tmp_path) as chaos:
        await chaos.run(SECONDS)
        case = chaos.heard()
        complaints = [*case.wrong]
        config = Config.load(chaos.path)
        async with Admin.open(config) as admin, connected(config.clusters) as stores:
            for tenant in TENANTS:
                end = await to_a_dual_phase(admin, tenant)
                await quiet(config, admin, tenant)
                complaints += await judged(case, config, stores, tenant, end)
    print(f"seed {seed}: {case.answered} answered, {chaos.processes} routers, {chaos.verbs} verbs")  # noqa: T201 - seen with -s
    assert complaints == [], "\n".join(complaints)
    assert case.answered > 50


async def to_a_dual_phase(admin: Admin, tenant: str) -> Phase:
    """To the other side, without comparing: what differs then was not known to differ."""
    [status] = await admin.status([tenant])
    verb = "rollback" if EFFECTS[status.phase].primary is Side.NEW else "migrate"
    while True:
        try:
            return (await admin.move(verb, tenant, Options(purge_target=True, verify=False))).phase
        except TenantLocked as locked:
            await asyncio.sleep(locked.retry_after or 0.1)


async def quiet(config: Config, admin: Admin, tenant: str) -> None:
    """Returns when no debt and no token is left."""
    plane = ControlPlane.open(config.control)
    try:
        until = time.monotonic() + PATIENCE
        while (left := await plane.journal.counts(tenant)).debt or left.tokens:
            assert time.monotonic() < until, f"{tenant}: {left} does not end"
            try:
                await admin.repair(tenant)
            except MigrationError:
                await asyncio.sleep(0.2)
    finally:
        await plane.aclose()


async def judged(
    case: Case, config: Config, stores: Mapping[str, Store], tenant: str, phase: Phase
) -> list[str]:
    """The primary against what was written, and the secondary against the primary."""
    old = await content(stores["a"], config, Side.OLD, tenant)
    new = await content(stores["b"], config, Side.NEW, tenant)
    complaints = case.judge(tenant, old if EFFECTS[phase].primary is Side.OLD else new)
    for name in {*old, *new}:
        values = {value_of(old.get(name)), value_of(new.get(name))}
        if not same(_only(old, name), _only(new, name)) and not case.explains(tenant, name, values):
            complaints.append(
                f"{tenant}: {name} differs, no debt left in {phase}: {old.get(name)} {new.get(name)}"
            )
    return complaints


def _only(records: Mapping[str, Record], name: str) -> dict[str, Record]:
    return {name: records[name]} if name in records else {}


async def content(store: Store, config: Config, side: Side, tenant: str) -> dict[str, Record]:
    topology = config.route.old if side is Side.OLD else config.route.new
    found: dict[str, Record] = {}
    cursor = None
    while True:
        page = await store.scan(topology.place(tenant), cursor=cursor)
        found |= {record.id: record for record in page.records}
        if (cursor := page.cursor) is None:
            return found
