"""What rules see of an ASGI scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from shardroute_fastapi.asked import ScopeAsked

from shardroute.web import Attribute, Header, PathSegment, Resolver, Subdomain


def asked(path: str = "/", *headers: tuple[bytes, bytes], **scope: Any) -> ScopeAsked:
    return ScopeAsked({"type": "http", "path": path, "headers": list(headers), **scope})


def test_a_header_is_found_by_a_name_in_any_case() -> None:
    assert Header("X-TENANT")(asked("/", (b"x-tenant", b"acme"))) == "acme"


def test_a_header_that_comes_twice_says_something_only_if_it_says_the_same() -> None:
    same, other = (b"x-tenant", b"acme"), (b"x-tenant", b"globex")
    assert Header("X-Tenant")(asked("/", same, same)) == "acme"
    assert Header("X-Tenant")(asked("/", same, other)) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Header(""),
        lambda: Header("X Tenant"),
        lambda: Subdomain(""),
        lambda: Subdomain("https://example.com"),
        lambda: Subdomain("example.com:8000"),
        lambda: Attribute("user."),
    ],
)
def test_a_rule_that_could_never_fit_is_refused_when_it_is_made(make: Callable[[], Resolver]) -> None:
    with pytest.raises(ValueError, match=r"is no"):
        make()


def test_without_a_host_there_is_no_subdomain() -> None:
    rule = Subdomain("example.com")
    assert rule(asked("/")) is None
    assert rule(asked("/", (b"host", b"acme.example.com:8000"))) == "acme"
    assert rule(asked("/", (b"host", b"[::1]acme.example.com"))) is None


@pytest.mark.parametrize(
    ("path", "root", "tenant"),
    [
        ("/t/acme/search", "", "acme"),
        ("/api/t/acme/search", "/api", "acme"),
        ("/api/t/acme/search", "/api/", "acme"),
        ("/api/t/acme/search", "", None),
        ("/apiary/t/acme", "/api", None),
        ("/t/acme", "/api", "acme"),  # a proxy that has taken its own part away already
    ],
)
def test_a_path_is_as_the_application_knows_it(path: str, root: str, tenant: str | None) -> None:
    assert PathSegment("/t")(asked(path, root_path=root)) == tenant


def test_roots_are_what_other_middleware_has_left_in_the_scope() -> None:
    scope = {"session": {"tenant": "acme"}, "state": {"organisation": {"slug": "globex"}}}
    assert Attribute("session.tenant")(asked("/", **scope)) == "acme"
    assert Attribute("state.organisation.slug")(asked("/", **scope)) == "globex"
    assert Attribute("user.tenant")(asked("/", **scope)) is None


def test_an_attribute_that_is_empty_says_nothing_and_an_id_may_be_a_uuid() -> None:
    number = UUID(int=7)
    scope = {"session": {"tenant": ""}, "state": {"organisation": number}}
    assert Attribute("session.tenant")(asked("/", **scope)) is None
    assert Attribute("state.organisation")(asked("/", **scope)) == str(number)
