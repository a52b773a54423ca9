"""Failover reads: when a cluster fails, the one beside it answers, if it is in step and the configuration says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ClusterRejected, ClusterUnavailable, RateLimited
from shardroute.phases import Phase, Side
from tests.support.emptying import emptied
from tests.support.world import record

from .duals import VECTOR, Dual, dual
from .stage import until

ON = {"failover_reads": True}
QUIET: dict[str, Any] = {"share": 0.0}


@pytest.fixture
async def pair(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Dual]:
    async with dual(redis_server.url, namespace, shadow=QUIET, router=ON) as made:
        yield made


async def test_off_which_is_the_default_the_caller_has_the_error(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with dual(redis_server.url, namespace, shadow=QUIET) as pair:
        pair.old.faults.down = True
        with pytest.raises(ClusterUnavailable, match="'a'"):
            await pair.tenant.query(VECTOR)
        assert pair.new.asked == 0


async def test_the_other_side_answers_queries_and_fetches(pair: Dual) -> None:
    pair.old.faults.down = True
    assert [hit.id for hit in await pair.tenant.query(VECTOR, top_k=2)] == ["0", "1"]
    assert set(await pair.tenant.fetch(["1", "2"])) == {"1", "2"}


async def test_after_the_crossing_the_old_side_answers(pair: Dual) -> None:
    await pair.board.walk(Phase.DUAL_NEW)
    await pair.sync()
    pair.new.faults.down = True
    assert len(await pair.tenant.query(VECTOR)) == 10


async def test_while_the_cluster_answers_nobody_else_is_asked(pair: Dual) -> None:
    await pair.tenant.query(VECTOR)
    assert (pair.old.asked, pair.new.asked) == (1, 0)


async def test_too_many_requests_are_a_failure_too(pair: Dual) -> None:
    pair.old.odd = _raising(RateLimited("a", "too many"))
    assert len(await pair.tenant.query(VECTOR)) == 10


async def test_what_a_cluster_refuses_is_not_asked_elsewhere(pair: Dual) -> None:
    pair.old.odd = _raising(ClusterRejected("a", "no"))
    with pytest.raises(ClusterRejected):
        await pair.tenant.query(VECTOR)
    assert pair.new.asked == 0


async def test_a_side_that_is_not_in_step_does_not_answer(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    async with dual(redis_server.url, namespace, synced=False, shadow=QUIET, router=ON) as pair:
        pair.old.faults.down = True
        with pytest.raises(ClusterUnavailable):
            await pair.tenant.query(VECTOR)
        assert pair.new.asked == 0


async def test_on_one_cluster_the_caller_has_the_error(pair: Dual) -> None:
    await pair.board.walk(Phase.OLD)
    pair.old.faults.down = True
    with pytest.raises(ClusterUnavailable):
        await pair.tenant.query(VECTOR)
    assert pair.new.asked == 0


async def test_where_both_fail_the_error_is_the_primarys(pair: Dual) -> None:
    pair.old.faults.down = pair.new.faults.down = True
    with pytest.raises(ClusterUnavailable, match="'a'") as caught:
        await pair.tenant.query(VECTOR)
    assert isinstance(caught.value.__cause__, ClusterUnavailable)
    assert caught.value.__cause__.cluster == "b"


async def test_an_answer_after_the_tenant_has_left_the_phase_is_not_used(pair: Dual) -> None:
    pair.old.faults.down = True
    pair.new.door.clear()
    read = asyncio.create_task(pair.tenant.query(VECTOR))
    await until(lambda: pair.new.asked > 0)
    await pair.board.walk(Phase.OLD)
    await emptied(pair.new.inner, pair.place(Side.NEW))
    pair.new.door.set()
    with pytest.raises(ClusterUnavailable, match="'a'"):
        await read


async def test_writes_do_not_fail_over(pair: Dual) -> None:
    pair.old.faults.refused = 1.0
    with pytest.raises(ClusterUnavailable):
        await pair.tenant.upsert([record("new")])


def _raising(error: Exception) -> Any:
    def raising(_: Any) -> Any:
        raise error

    return raising
