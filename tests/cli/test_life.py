"""The script from the first `init` to the last `purge`, as an operator and as a program use it."""

from __future__ import annotations

import asyncio

import pytest

from shardroute.errors import ClusterRejected, for_log
from shardroute.phases import Side
from shardroute.router import Router
from tests.cli.conftest import Deployment, record

pytestmark = pytest.mark.slow

LONG = "customer-0001.production.europe-west-4.example.com"


async def test_a_tenant_moves_there_and_back_and_is_purged(deployment: Deployment) -> None:
    run = deployment.run
    await deployment.fill("acme", 120)
    assert (await run("init", "--json")).json == {
        "created": True, "namespace": deployment.namespace, "errors": [],
    }  # fmt: skip

    status = (await run("status", "--json")).json
    assert [(row["tenant"], row["phase"], row["debt"], row["holder"]) for row in status["tenants"]] == [
        ("acme", "OLD", 0, None)
    ]
    assert status["phases"]["OLD"] == 1

    made = f"carried: collection '{deployment.namespace}_0' is made like '{deployment.namespace}', with its indexes"
    assert (await run("plan", "acme", "--json")).json["results"] == [
        {"tenant": "acme", "ready": True, "problems": [], "notes": [made]}
    ]

    migrated = await run("migrate", "--all", "--json")
    assert migrated.code == 0, migrated.err
    [result] = migrated.json["results"]
    assert (result["tenant"], result["verb"], result["phase"]) == ("acme", "migrate", "DUAL_NEW")
    assert (result["copied"], result["compared"], result["repaired"]) == (120, 120, 0)
    assert len(result["hold_seconds"]) == 1
    assert migrated.json["errors"] == []
    assert "acme: copy 0 of 120" in migrated.err
    assert "acme: moved to DUAL_NEW" in migrated.err

    verified = await run("verify", "acme", "--json", "--quiet")
    assert (verified.code, verified.err) == (0, "")
    assert verified.json["results"][0]["compared"] == 120

    for verb, phase in (("rollback", "DUAL_OLD"), ("migrate", "DUAL_NEW"), ("complete", "NEW")):
        moved = await run(verb, "acme", "--json")
        assert (moved.code, moved.json["results"][0]["phase"]) == (0, phase)

    purged = await run("purge", "acme", "--yes", "--json")
    assert (purged.code, purged.json["results"][0]["deleted"]) == (0, 120)
    async with deployment.side(Side.OLD, "acme") as (store, place):
        assert await store.count(place) == 0


async def test_what_people_read_fits_80_columns(deployment: Deployment) -> None:
    for tenant in ("acme", LONG):
        await deployment.fill(tenant, 60)
    async with Router.from_config(await deployment.init()):
        planned = await deployment.run("plan", "acme", LONG)
        migrated = await deployment.run("migrate", "--all")
        status, doctor = await asyncio.gather(deployment.run("status"), deployment.run("doctor"))
    for answer in (planned, migrated, status, doctor):
        assert answer.code == 0
        assert [line for line in answer.out.splitlines() if len(line) > 80] == []
    assert "2 tenants: 2 done" in migrated.err
    assert "2 tenants · 2 DUAL_NEW" in status.out
    assert "────●─ DUAL_NEW" in status.out
    assert "no problems" in doctor.out


async def test_differences_are_found_and_repaired(deployment: Deployment) -> None:
    await _migrated(deployment, "acme")
    async with deployment.side(Side.OLD, "acme") as (store, place):
        await store.delete(place, ["doc-7"])

    found = await deployment.run("verify", "acme", "--json")
    assert found.code == 3
    assert (found.json["results"][0]["differing"], found.json["errors"]) == (1, [])
    assert "'doc-7': missing on the old side" in found.json["results"][0]["examples"]
    repaired = await deployment.run("verify", "acme", "--repair", "--json")
    assert (repaired.code, repaired.json["results"][0]["repaired"]) == (0, 1)


async def test_what_was_written_elsewhere_is_debt_until_the_doctor_pays_it(deployment: Deployment) -> None:
    await _migrated(deployment, "acme")
    async with deployment.side(Side.NEW, "acme") as (store, place):
        await store.upsert(place, [record(100), record(101)])

    touched = await deployment.run("touch", "acme", "-", "--json", stdin="doc-100\ndoc-101\n")
    assert touched.json["results"] == [{"tenant": "acme", "noted": 2}]
    assert "nothing has to be copied again" in (await deployment.run("touch", "globex", "doc-1")).err
    status = await deployment.run("status", "acme", "--json")
    assert [(row["tenant"], row["debt"]) for row in status.json["tenants"]] == [("acme", 2)]
    treated = await deployment.run("doctor", "--repair", "--json")
    assert (treated.code, treated.json["repaired"]) == (0, [{"tenant": "acme", "phase": "DUAL_NEW"}])
    assert treated.json["half_done"][0]["debt"] == 0
    async with deployment.admin() as admin:
        assert (await admin.verify("acme")).differing == {}


async def test_the_doctor_shows_sessions_and_evicts_one(deployment: Deployment) -> None:
    async with Router.from_config(await deployment.init()) as router:
        [session] = (await deployment.run("doctor", "--json")).json["sessions"]
        assert (session["id"], session["alive"], session["lag"]) == (router.session, True, 0)
        await deployment.run("prepare")
        evicted = await deployment.run("doctor", "--json", "--evict", router.session, "--evict", "nobody")
        assert evicted.json["evicted"] == [router.session]
        assert (evicted.code, evicted.json["errors"][0]["message"]) == (2, "there is no session 'nobody'")


async def _migrated(deployment: Deployment, tenant: str) -> None:
    await deployment.init()
    await deployment.fill(tenant, 60)
    async with deployment.admin() as admin:
        await admin.move("migrate", tenant)


async def test_an_empty_cluster_is_prepared_and_until_then_everybody_says_what_is_missing(
    deployment: Deployment,
) -> None:
    collection = deployment.namespace
    missing = f"cluster 'old' has no collection '{collection}'"
    async with Router.from_config(await deployment.init()) as router:
        with pytest.raises(ClusterRejected, match=collection) as refused:
            await router.tenant("acme").upsert([record(1)])
        assert for_log(refused.value) == (
            "QdrantRejected of 'old' (the collection does not exist), by UnexpectedResponse"
        )
        [problem] = (await deployment.run("doctor", "--json")).json["problems"]
        assert problem == f"{missing}: see `shardroute prepare`"
        [planned] = (await deployment.run("plan", "acme", "--json")).json["results"]
        assert planned["problems"][0].startswith(missing)
        for made in (True, False):
            prepared = await deployment.run("prepare", "--json")
            assert prepared.code == 0
            assert prepared.json["results"] == [{"cluster": "old", "collection": collection, "made": made}]
        like_old = await deployment.run("prepare", "--like", "old", "--json")
        assert like_old.json["results"] == [
            {"cluster": "new", "collection": f"{collection}_{shard}", "made": True} for shard in range(2)
        ]
        assert (await deployment.run("doctor")).code == 0
        await router.tenant("acme").upsert([record(1)])
    deployment.path.write_text(deployment.path.read_text().replace("dimension = 4", "dimension = 5"))
    deployment.path.write_text(deployment.path.read_text().replace('namespace = "', 'namespace = "other'))
    await deployment.init()
    wrong = await deployment.run("prepare")
    assert wrong.code == 2
    assert "has 4 dimensions, the configuration says 5" in wrong.err


async def test_a_tenant_with_a_collection_of_its_own_is_prepared_by_name(deployment: Deployment) -> None:
    deployment.write()
    own = f'collection = "{deployment.namespace}-{{tenant}}", tenancy = "collection"'
    shared = f'collection = "{deployment.namespace}"'
    deployment.path.write_text(deployment.path.read_text().replace(shared, own, 1))
    assert (await deployment.run("init")).code == 0
    refused = await deployment.run("prepare")
    assert refused.code == 2
    assert "topologies.v1: each tenant has a collection of its own; name the tenants" in refused.err
    assert (await deployment.run("prepare", "acme")).code == 0
    async with Router.from_config(deployment.path) as router:
        await router.tenant("acme").upsert([record(1)])
        await router.tenant("globex").upsert([record(1)])  # makes its own
