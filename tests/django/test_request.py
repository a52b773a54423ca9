"""``request.vectors`` in sync and async views, under WSGI and ASGI, for all kinds of resolvers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.test import AsyncClient, Client, RequestFactory
from shardroute_django import SyncTenant, Vectors, atenant, tenant

from shardroute import Phase, Record, UnknownTenant
from shardroute.web import Attribute, PathSegment, Subdomain

from .conftest import Project, in_thread
from .models import Membership, Organisation

Get = Callable[..., Awaitable[Any]]

DOCUMENT = {"vector": [1.0, 2.0, 3.0, 4.0], "metadata": {"title": "one"}}
ACME = {"X-Tenant": "acme"}


@pytest.fixture(params=["WSGI", "ASGI"])
def client(request: pytest.FixtureRequest) -> Get:
    """Asks the project as a server of that kind would."""

    async def ask(path: str, method: str = "get", session: str = "", **more: Any) -> Any:
        asking: Any = AsyncClient() if request.param == "ASGI" else Client()
        asking.cookies["sessionid"] = session
        call = getattr(asking, method)
        return await (call(path, **more) if request.param == "ASGI" else in_thread(call, path, **more))

    return ask


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
async def test_a_view_of_either_kind_reads_and_writes_under_either_server(
    project: Project, client: Get, views: str
) -> None:
    written = await client(
        f"{views}/docs/one", "put", data=DOCUMENT, content_type="application/json", headers=ACME
    )
    assert written.status_code == 204
    read = await client(f"{views}/docs/one", headers=ACME)
    assert read.json() == {"metadata": {"title": "one"}}
    found = await client(
        f"{views}/search",
        "post",
        data={"vector": [1, 2, 3, 4]},
        content_type="application/json",
        headers=ACME,
    )
    assert [match["id"] for match in found.json()["matches"]] == ["one"]
    whole = await client(f"{views}/about", headers=ACME)
    assert whole.content == b"acme OLD 1 one"
    deleted = await client(f"{views}/docs/one", "delete", headers=ACME)
    assert deleted.status_code == 204
    assert (await client(f"{views}/docs/one", headers=ACME)).status_code == 404


# -- whose it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
async def test_a_tenant_three_queries_away_from_the_user_is_found(
    project: Project, client: Get, user: User, views: str
) -> None:
    with project(RESOLVER=Attribute("user.membership.organisation.slug")):
        found = await client(f"{views}/about", session=await in_thread(_session, user))
        assert found.content.startswith(b"umbrella OLD 0")
        assert (await client(f"{views}/about")).status_code == 404


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
async def test_a_tenant_in_the_session_is_found(
    project: Project, client: Get, user: User, views: str
) -> None:
    with project(RESOLVER=Attribute("session.tenant")):
        session = await in_thread(_session, user, tenant="initech")
        assert (await client(f"{views}/about", session=session)).content.startswith(b"initech")


def test_subdomains_and_paths_say_it(project: Project) -> None:
    client = Client(headers={"Host": "acme.example.com"})
    with project(RESOLVER=Subdomain("example.com")):
        assert client.get("/about").content.startswith(b"acme")
    with project(RESOLVER=Subdomain("example.com") & PathSegment("/docs")):
        assert client.get("/docs/acme").content == b""  # the tenant's own, and no such document
        assert client.get("/docs/other").json()["type"] == "UnknownTenant"


def test_a_foreign_host_is_answered_by_django(project: Project) -> None:
    with project(RESOLVER=Subdomain("example.com")):
        assert Client(headers={"Host": "acme.elsewhere.org"}).get("/about").status_code == 400


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
@pytest.mark.parametrize("kind", ["plain", "async", "awaitable", "object"])
async def test_a_tenant_that_the_application_does_not_know_is_not_found(
    project: Project, client: Get, views: str, kind: str
) -> None:
    with project(KNOWN=_KNOWN[kind]):
        await Organisation.objects.aget_or_create(slug="known")
        assert (await client(f"{views}/about", headers={"X-Tenant": "known"})).status_code == 200
        unknown = await client(f"{views}/about", headers={"X-Tenant": "unheard-of"})
        assert (unknown.status_code, unknown.json()["type"]) == (404, "UnknownTenant")


def test_a_header_that_came_twice_with_different_values_says_nothing(project: Project) -> None:
    assert Client().get("/docs/x", headers={"X-Tenant": "acme,umbrella"}).json()["type"] == "UnknownTenant"
    assert Client().get("/about", headers={"X-Tenant": "acme, acme"}).content.startswith(b"acme")


def test_whoever_logs_in_during_a_view_is_asked_again(project: Project, user: User) -> None:
    with project(RESOLVER=Attribute("user.membership.organisation.slug")):
        request: Any = RequestFactory().get("/")
        mine = tenant(request)
        with pytest.raises(UnknownTenant):
            mine.name()
        request.user = user
        assert mine.name() == "umbrella"


# -- elsewhere ---------------------------------------------------------------------------------------------------


def test_outside_of_requests_a_tenant_is_had_by_name(project: Project) -> None:
    acme = tenant("acme")
    acme.upsert([Record("one", [1, 2, 3, 4], {"n": 1})])
    acme.update("one", metadata={"n": 2})
    assert acme.fetch(["one"])["one"].metadata == {"n": 2}
    assert (acme.name(), acme.phase()) == ("acme", Phase.OLD)


async def test_an_event_loop_is_not_blocked_by_mistake(project: Project) -> None:
    with pytest.raises(SynchronousOnlyOperation, match="atenant"):
        tenant("acme").count()
    assert await atenant("acme").count() == 0


def test_a_scan_goes_over_all_pages(project: Project) -> None:
    acme = tenant("acme")
    acme.upsert(Record(f"doc-{number:03}", [1, 2, 3, 4], {"n": number % 2}) for number in range(600))
    assert sorted(record.id for record in acme.scan()) == [f"doc-{number:03}" for number in range(600)]
    assert len(list(acme.scan(filter={"n": {"$eq": 1}}, vectors=False))) == 300


def test_the_twin_is_told_apart_from_what_nobody_offers() -> None:
    vectors = Vectors(tenant("acme")._whose)
    assert isinstance(vectors._here(), SyncTenant)
    with pytest.raises(AttributeError, match="upsrt"):
        vectors.upsrt  # noqa: B018 - the look is the test


def _known(name: str) -> bool:
    return Organisation.objects.filter(slug=name).exists()


async def _aknown(name: str) -> bool:
    return await Organisation.objects.filter(slug=name).aexists()


class _Cache:
    """As a cache of answers would be written."""

    async def __call__(self, name: str) -> bool:
        return await _aknown(name)


_KNOWN = {"plain": _known, "async": _aknown, "awaitable": lambda name: _aknown(name), "object": _Cache()}


@pytest.fixture
def user() -> User:
    found, _ = User.objects.get_or_create(username="umbrella-user")
    organisation, _ = Organisation.objects.get_or_create(slug="umbrella")
    Membership.objects.get_or_create(user=found, organisation=organisation)
    return found


def _session(user: User, **kept: str) -> str:
    """The key of a session of this user that holds more."""
    client = Client()
    client.force_login(user)
    session = client.session
    session.update(kept)
    session.save()
    return str(session.session_key)
