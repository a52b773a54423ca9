"""The page in the admin: who sees it, what it shows, and what its verbs do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from redis.asyncio import Redis
from shardroute_django import atenant
from shardroute_django.admin import _note
from shardroute_django.looking import offered
from shardroute_django.process import host

from shardroute.admin import Admin, TenantStatus
from shardroute.control import ControlPlane
from shardroute.errors import Unavailable
from shardroute.phases import Phase, Side
from shardroute.shardmap import UNMOVED
from tests.cli.conftest import Deployment, record
from tests.control.board import declare
from tests.support.patience import patience

from .conftest import Project, in_thread

LIST = "/admin/shardroute_django/tenant/"

Ask = Callable[..., Awaitable[Any]]


def made(name: str, *permissions: str) -> User:
    """A user of the staff with these permissions."""
    user, _ = User.objects.get_or_create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def asking(user: User | None) -> Ask:
    client = Client()

    async def ask(path: str, data: dict[str, Any] | None = None, method: str = "get", **more: Any) -> Any:
        return await in_thread(getattr(client, method), path, data, **more)

    if user is not None:
        client.force_login(user)
    return ask


@pytest.fixture
def mover() -> Ask:
    return asking(made("mover", "view_tenant", "move_tenants"))


@pytest.fixture
def viewer() -> Ask:
    return asking(made("viewer", "view_tenant"))


async def moves_ended() -> None:
    """Returns when no move of this process is under way."""

    async def wait() -> None:
        if host().background._owned:
            await asyncio.wait(host().background._owned)

    await host().submit(wait(), timeout=60)


async def begin(ask: Ask, verb: str, tenant: str) -> Any:
    """Asked, confirmed, and waited for; what the page says at once."""
    path = f"{LIST}{tenant}/{verb}/"
    asked = await ask(path)
    stands = re.search(r'name="stands" value="([^"]+)"', asked.content.decode())
    assert stands is not None, asked.content.decode()
    answer = await ask(path, {"stands": stands[1]}, "post", follow=True)
    await moves_ended()
    return answer


def said(tenant: str) -> list[str]:
    """The history of a tenant, oldest first."""
    entries = LogEntry.objects.filter(object_id=tenant).order_by("pk")
    return [entry.get_change_message() for entry in entries]


# -- who ---------------------------------------------------------------------------------------------------------


async def test_only_the_staff_with_a_permission_sees_it(project: Project, viewer: Ask) -> None:
    assert (await viewer(LIST)).status_code == 200
    assert "shardroute" in (await viewer("/admin/")).content.decode()
    nobody = await in_thread(lambda: asking(made("nobody")))
    assert (await nobody(LIST)).status_code == 403
    assert "shardroute" not in (await nobody("/admin/")).content.decode()
    assert (await asking(None)(LIST)).status_code == 302  # to the login


async def test_who_may_only_look_is_offered_no_verb_and_may_do_none(
    project: Project, deployed: Deployment, viewer: Ask
) -> None:
    await deployed.fill("acme", 3)
    assert 'data-verb="migrate"' not in (await viewer(LIST)).content.decode()
    assert (await viewer(f"{LIST}acme/migrate/")).status_code == 403
    assert (await viewer(f"{LIST}acme/migrate/", {"stands": "OLD/0"}, "post")).status_code == 403


async def test_a_verb_wants_the_form_that_was_asked_for(
    project: Project, deployed: Deployment, mover: Ask
) -> None:
    await deployed.fill("acme", 3)
    stale = await mover(f"{LIST}acme/migrate/", {"stands": "DUAL_OLD/7"}, "post", follow=True)
    assert "Tenant acme has moved meanwhile" in stale.content.decode()
    misplaced = await mover(f"{LIST}acme/complete/", follow=True)
    assert "Cannot complete: tenant acme is in OLD" in misplaced.content.decode()
    strict = Client(enforce_csrf_checks=True)
    await in_thread(strict.force_login, await User.objects.aget(username="mover"))
    answer = await in_thread(strict.post, f"{LIST}acme/migrate/", {"stands": "OLD/0"})
    assert answer.status_code == 403
    assert (await mover(f"{LIST}acme/demolish/")).status_code == 404
    assert (await mover(f"{LIST}-no-name/migrate/")).status_code == 404


# -- what it shows -----------------------------------------------------------------------------------------------


async def test_it_shows_tenants_phases_and_sessions(
    project: Project, deployed: Deployment, viewer: Ask
) -> None:
    for tenant in ("acme", "umbrella"):
        await deployed.fill(tenant, 40)
    async with deployed.admin() as admin:
        await admin.move("migrate", "acme")
    shown = (await viewer(LIST)).content.decode()
    rows = dict(re.findall(r'<tr data-tenant="([^"]+)" data-phase="([^"]+)"', shown))
    assert rows == {"acme": "DUAL_NEW", "umbrella": "OLD"}
    assert "in step" in shown
    assert '<b data-count="DUAL_NEW">1</b>' in shown
    assert (await host().submit(host().router())).session in shown
    only = (await viewer(LIST, {"phase": "OLD"})).content.decode()
    assert re.findall(r'<tr data-tenant="([^"]+)"', only) == ["umbrella"]
    assert "1 found" in only


async def test_progress_is_told_as_data(project: Project, deployed: Deployment, viewer: Ask) -> None:
    await deployed.fill("acme", 120)
    deployed.write(rate=10)  # twelve seconds: far longer than the page needs to show some of it
    async with deployed.admin() as admin:
        moving = asyncio.create_task(admin.move("migrate", "acme"))
        while not (row := (await progress(viewer, "acme")))["copied"]:
            assert not moving.done()
        assert (row["phase"], row["total"], row["verbs"]) == ("DUAL_OLD", 120, [])
        assert row["cells"]["holder"]
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
    row = await progress(viewer, "acme")
    assert (row["cells"]["holder"], row["verbs"]) == ("", ["migrate", "abort"])
    assert (await viewer(f"{LIST}progress/", {"tenant": "no/name"})).status_code == 404


async def test_progress_tells_the_counts_and_the_sessions_as_a_page_loaded_now_would(
    project: Project, deployed: Deployment, viewer: Ask
) -> None:
    for tenant in ("acme", "umbrella"):
        await deployed.fill(tenant, 3)
    before = (await viewer(f"{LIST}progress/", {"tenant": "acme"})).json()
    assert {phase: count for phase, count in before["counts"].items() if count} == {"OLD": 2}
    async with deployed.admin() as admin:
        await admin.move("migrate", "acme")
        version = (await admin.map()).version
    after = before
    async with patience():
        while f"map version {version}" not in after["sessions"]:
            # The router hears of a change a moment after Redis.
            after = (await viewer(f"{LIST}progress/")).json()
    assert [*after["counts"]] == ["OLD", "DUAL_OLD", "HOLD_OLD", "HOLD_NEW", "DUAL_NEW", "NEW"]
    assert {phase: count for phase, count in after["counts"].items() if count} == {"OLD": 1, "DUAL_NEW": 1}
    assert (await host().submit(host().router())).session in after["sessions"]


async def test_a_cluster_that_is_away_is_asked_once_while_a_page_watches_and_by_each_that_is_loaded(
    project: Project, deployed: Deployment, viewer: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed.fill("acme", 3)
    async with deployed.admin() as admin:
        await admin.move("migrate", "acme")
    asked = []

    async def away(admin: Admin) -> list[str]:
        asked.append(admin)
        raise Unavailable("nobody is there")

    with monkeypatch.context() as patched:
        patched.setattr(Admin, "tenants", away)
        shown = await viewer(LIST)
        assert "nobody is there" in shown.content.decode()
        assert '<tr data-tenant="acme" data-phase="DUAL_NEW"' in shown.content.decode()
        for _ in range(3):
            answer = (await viewer(f"{LIST}progress/", {"tenant": "acme"})).json()
            assert "nobody is there" in answer["problem"]
        assert len(asked) == 1
        await viewer(LIST)
        assert len(asked) == 2
    assert "nobody is there" not in (await viewer(LIST)).content.decode()


async def progress(ask: Ask, tenant: str) -> Any:
    [row] = (await ask(f"{LIST}progress/", {"tenant": tenant})).json()["rows"]
    return row


async def test_four_thousand_tenants_are_paged_before_redis_is_asked_about_each(
    project: Project, deployed: Deployment, viewer: Ask
) -> None:
    names = [f"tenant-{number:04}" for number in range(4000)]
    plane = ControlPlane.open(deployed.config.control)
    route = deployed.config.route
    for start in range(0, len(names), 50):
        batch = names[start : start + 50]
        await asyncio.gather(*(declare(plane, name, route.old.shard(name), UNMOVED) for name in batch))
    await plane.aclose()
    await viewer(LIST)
    before = await commands(deployed)
    shown = (await viewer(LIST, {"p": "41"})).content.decode()
    assert await commands(deployed) - before < 400
    assert re.findall(r'<tr data-tenant="([^"]+)"', shown) == names[2000:2050]
    assert "4000 tenants" in shown
    searched = (await viewer(LIST, {"q": "399"})).content.decode()
    assert re.findall(r'<tr data-tenant="([^"]+)"', searched) == [
        "tenant-0399", "tenant-1399", "tenant-2399", "tenant-3399", *names[3990:],
    ]  # fmt: skip
    for beyond in ("999", "9" * 5000):
        assert re.findall(r'<tr data-tenant="([^"]+)"', (await viewer(LIST, {"p": beyond})).content.decode())


async def commands(deployment: Deployment) -> int:
    """That Redis has carried out so far."""
    redis: Any = Redis.from_url(deployment.config.control.url)
    try:
        return int((await redis.info("stats"))["total_commands_processed"])
    finally:
        await redis.aclose()


async def test_with_redis_away_the_page_says_so_and_claims_nothing(project: Project, viewer: Ask) -> None:
    with project(CONFIG={**AWAY}):
        shown = await viewer(LIST)
        assert shown.status_code == 200
        assert "data-problem >Redis did not answer" in shown.content.decode()
        assert '<b data-count="OLD">?</b>' in shown.content.decode()
        assert "No tenants" not in shown.content.decode()
        assert "0 tenants" not in shown.content.decode()
        progress = await viewer(f"{LIST}progress/", {"tenant": "acme"})
        assert progress.status_code == 503
        assert progress.json()["problem"].startswith("Redis did not answer")


async def test_with_redis_away_a_verb_does_nothing_and_the_reason_is_shown_once(
    project: Project, mover: Ask
) -> None:
    with project(CONFIG={**AWAY}):
        shown = (await mover(f"{LIST}acme/migrate/", follow=True)).content.decode()
        assert "Nothing was done." in shown
        assert shown.count("Redis did not answer") == 1


AWAY = {
    "control": {"url": "redis://127.0.0.1:1/0"},
    "clusters": {"a": {"kind": "memory"}, "b": {"kind": "memory"}},
    "topologies": {
        "v1": {"dimension": 4, "placement": {"cluster": "a", "collection": "docs"}},
        "v2": {"dimension": 4, "placement": {"cluster": "b", "collection": "docs"}},
    },
    "migration": {"from": "v1", "to": "v2"},
}


# -- what it does ------------------------------------------------------------------------------------------------


async def test_a_tenant_moves_there_and_back_and_is_purged(
    project: Project, deployed: Deployment, mover: Ask
) -> None:
    tenant = f"life-{deployed.namespace}"
    await deployed.fill(tenant, 40)
    begun = await begin(mover, "migrate", tenant)
    assert f"Tenant {tenant} is being migrated." in begun.content.decode()
    for verb, phase in (("rollback", "DUAL_OLD"), ("migrate", "DUAL_NEW"), ("complete", "NEW")):
        await begin(mover, verb, tenant)
        assert (await progress(mover, tenant))["phase"] == phase
    emptied = (await mover(f"{LIST}{tenant}/purge/")).content.decode()
    assert f"cluster old, collection {deployed.namespace}" in emptied
    await begin(mover, "purge", tenant)
    told = await in_thread(said, tenant)
    assert told[0] == "migrate begun"
    assert re.fullmatch(r"migrate done: DUAL_NEW, 40 copied, 40 compared, writes held for \d+ ms", told[1])
    assert told[-1] == "purge done: 40 records deleted"
    assert await atenant(tenant).count() == 40
    recent = (await mover("/admin/")).content.decode()
    assert f"{tenant}: purge done: 40 records deleted" in recent
    shown = (await mover(LIST, {"q": tenant})).content.decode()
    assert "purge done: 40 records deleted" in shown


async def test_a_verb_that_fails_says_why(project: Project, deployed: Deployment, mover: Ask) -> None:
    tenant = f"held-{deployed.namespace}"
    await deployed.fill(tenant, 3)
    plane = ControlPlane.open(deployed.config.control)
    async with plane.locks.hold(tenant, "somebody", life=30):
        path = f"{LIST}{tenant}/migrate/"
        refused = await mover(path, {"stands": "OLD/0"}, "post", follow=True)
        assert "Cannot migrate" in refused.content.decode()
    await plane.aclose()
    async with deployed.side(Side.NEW, tenant) as (store, place):
        await store.prepare(place)
        await store.upsert(place, [record(99)])
    await begin(mover, "migrate", tenant)
    told = await in_thread(said, tenant)
    assert told[-1].startswith("migrate failed: tenant")
    assert told[-1] in (await progress(mover, tenant))["said"]


def test_what_is_too_long_for_the_list_of_recent_actions_is_cut_there_alone(project: Project) -> None:
    tenant, words = "t" * 128, "migrate failed: " + "because " * 40
    _note(made("mover").pk, tenant, words)
    entry = LogEntry.objects.filter(object_id=tenant).latest("pk")
    assert entry.object_repr == f"{tenant}: {words}"[:200]
    assert entry.get_change_message() == words


async def test_who_aborts_or_completes_is_told_what_stays_behind(
    project: Project, deployed: Deployment, mover: Ask
) -> None:
    await deployed.fill("acme", 3)
    async with deployed.admin() as admin:
        await admin.move("migrate", "acme")
        asked = (await mover(f"{LIST}acme/complete/")).content.decode()
        assert "What it has of the tenant stays until purge" in asked
        await admin.move("rollback", "acme")
    asked = (await mover(f"{LIST}acme/abort/")).content.decode()
    assert "What was copied stays on the new cluster until purge" in asked


async def test_a_link_to_a_tenant_leads_to_its_row(project: Project, viewer: Ask) -> None:
    answer = await viewer(reverse("admin:shardroute_django_tenant_change", args=["acme"]))
    assert answer.headers["Location"] == f"{LIST}?q=acme"


@pytest.mark.parametrize(
    ("phase", "epoch", "verbs"),
    [
        (Phase.OLD, 0, "migrate"),
        (Phase.OLD, 4, "migrate purge"),
        (Phase.DUAL_OLD, 1, "migrate abort"),
        (Phase.HOLD_OLD, 2, "migrate rollback abort"),
        (Phase.HOLD_NEW, 3, "migrate rollback complete"),
        (Phase.DUAL_NEW, 4, "rollback complete"),
        (Phase.NEW, 5, "rollback purge"),
    ],
)
def test_verbs_are_offered_where_they_lead_somewhere(phase: Phase, epoch: int, verbs: str) -> None:
    status = TenantStatus("acme", 0, phase, epoch, synced=True)
    known = ("migrate", "rollback", "abort", "complete", "purge")
    assert " ".join(verb for verb in known if offered(verb, status)) == verbs


def test_models_and_migrations_agree(project: Project) -> None:
    call_command("makemigrations", "shardroute_django", check=True, dry_run=True, verbosity=0)
