"""The audit on a router over clusters in memory: what has been tampered with is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shardroute.admin import Admin
from shardroute.config import Config
from shardroute.demo.audit import Verdict, audit
from shardroute.demo.contents import loaded
from shardroute.demo.corpus import Corpus, Document
from shardroute.demo.encoder import DIMENSION
from shardroute.demo.loading import load
from shardroute.embedded import EmbeddedRedis
from shardroute.router import Router
from shardroute.stores.memory import MemoryStore
from shardroute.tenant import Tenant

WORKERS = 2


def documents(tenant: str) -> tuple[Document, ...]:
    return tuple(
        Document(f"{tenant}.f{number}", tenant, f"f{number}", "function", True, 1, f"Does thing {number}.")
        for number in range(20)
    )


CORPUS: Corpus = {"one": documents("one"), "two": documents("two")}


def _config(url: str, namespace: str) -> Config:
    def placed(cluster: str) -> dict[str, object]:
        return {"dimension": DIMENSION, "placement": {"cluster": cluster, "collection": "docs"}}

    return Config.from_dict(
        {
            "control": {"url": url, "namespace": namespace},
            "clusters": {"old": {"kind": "memory"}, "new": {"kind": "memory"}},
            "topologies": {"v1": placed("old"), "v2": placed("new")},
            "migration": {"from": "v1", "to": "v2"},
        }
    )


@pytest.fixture
async def router(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Router]:
    config = _config(redis_server.url, namespace)
    stores = {name: MemoryStore(name) for name in config.clusters}
    async with Admin.open(config, stores=stores) as admin:
        await admin.init()
        async with Router(config, stores=stores) as opened:
            yield opened


async def _audited(router: Router, tamper: Callable[[Tenant], Awaitable[None]] | None = None) -> Verdict:
    evidence = await load(router, CORPUS, WORKERS)
    if tamper is not None:
        await tamper(router.tenant("one"))
    return await audit(router, CORPUS, WORKERS, evidence)


async def test_what_was_loaded_is_as_it_should_be(router: Router) -> None:
    verdict = await _audited(router)
    assert (verdict.problems, verdict.lost, verdict.resurrected, verdict.moved) == ([], 0, 0, 0)


async def test_tenants_that_were_moved_are_counted(router: Router) -> None:
    await load(router, CORPUS, WORKERS)
    async with Admin.open(router.config, stores=router._given) as admin:
        await admin.move("migrate", "two")
    assert (await _audited(router)).moved == 1


async def _delete_a_kept_one(tenant: Tenant) -> None:
    await tenant.delete(["one.f19"])


async def _delete_a_written_one(tenant: Tenant) -> None:
    await tenant.delete(["one.f0"])


async def _change_a_kept_one(tenant: Tenant) -> None:
    await tenant.update("one.f19", metadata={"version": 7})


async def _change_a_text(tenant: Tenant) -> None:
    await tenant.update("one.f19", metadata={"text": "Does nothing."})


async def _swap_a_vector(tenant: Tenant) -> None:
    await tenant.update("one.f19", vector=loaded("one", CORPUS["one"][3]).vector)


async def _add_one(tenant: Tenant) -> None:
    await tenant.upsert(
        [loaded("one", Document("one.f99", "one", "f99", "function", True, 1, "Does thing 99."))]
    )


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_delete_a_kept_one, "one/one.f19: nobody wrote it, and it is gone"),
        (_delete_a_written_one, "one/one.f0 missing"),
        (_change_a_kept_one, "one/one.f19: nobody wrote it, and it was changed"),
        (_change_a_text, "one/one.f19: it differs in metadata: text"),
        (_swap_a_vector, "one/one.f19: its vector is not that of its text"),
        (_add_one, "one/one.f99: it is there, and nobody wrote it"),
    ],
)
async def test_tampering_counts_as_loss(
    router: Router, tamper: Callable[[Tenant], Awaitable[None]], said: str
) -> None:
    verdict = await _audited(router, tamper)
    assert verdict.lost >= 1
    assert any(said in problem for problem in verdict.problems)


async def test_another_tenants_record_is_a_breach(router: Router) -> None:
    async def mix_up(tenant: Tenant) -> None:
        await tenant.upsert([loaded("two", CORPUS["two"][19])])

    verdict = await _audited(router, mix_up)
    assert verdict.counts.breaches >= 1
    assert any("one holds two.f19 of two" in problem for problem in verdict.problems)
