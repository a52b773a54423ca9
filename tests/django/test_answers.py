"""How errors of shardroute are answered, and which of them are told to whom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.test import Client, RequestFactory
from shardroute_django.middleware import ShardrouteMiddleware

from shardroute import ClusterUnavailable, ConfigError, InvalidFilter, ShardrouteError
from shardroute.web import for_log
from tests.cli.conftest import Servers

from .conftest import Project

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACME = {"X-Tenant": "acme"}


def answer(error: Exception, accept: str = "*/*") -> Any:
    request = RequestFactory().get("/docs/one", headers={"Accept": accept})
    return ShardrouteMiddleware(lambda request: None).process_exception(request, error)


def test_other_errors_are_left_to_django() -> None:
    assert answer(ValueError("not ours")) is None


def test_programs_get_json_and_browsers_words() -> None:
    error = InvalidFilter("no such operator", path="$near")
    assert answer(error).status_code == 422
    assert answer(error)["Content-Type"] == "application/json"
    assert b'"path": "$near"' in answer(error, "application/json").content
    assert answer(error, BROWSER)["Content-Type"] == "text/plain; charset=utf-8"
    assert answer(error, BROWSER).content == b"$near: no such operator"
    assert answer(error, "text/plain").content == b"$near: no such operator"
    assert answer(error, "image/png")["Content-Type"] == "application/json"


def test_what_can_be_tried_again_says_when() -> None:
    found = answer(ClusterUnavailable("old", "gone", retry_after=2.5), BROWSER)
    assert (found.status_code, found["Retry-After"]) == (503, "3")


@pytest.fixture
def signalled() -> Iterator[list[str]]:
    """Paths of requests that error collectors hear of."""
    heard = list[str]()

    def hear(request: HttpRequest, **_: Any) -> None:
        heard.append(request.path)

    got_request_exception.connect(hear)
    yield heard
    got_request_exception.disconnect(hear)


@pytest.mark.parametrize(
    ("error", "status", "traced"),
    [(ClusterUnavailable("old", "gone"), 503, False), (ConfigError("mistaken"), 500, True)],
)
def test_what_is_wrong_inside_is_logged_and_only_mistakes_are_signalled(
    caplog: pytest.LogCaptureFixture, signalled: list[str], error: ShardrouteError, status: int, traced: bool
) -> None:
    found = answer(error)
    assert (found.status_code, str(error) in found.content.decode()) == (status, False)
    [record] = caplog.records
    assert (record.levelno, bool(record.exc_info)) == (logging.ERROR, traced)
    assert record.getMessage() == f"GET '/docs/one': {status}, {for_log(error)}"
    assert bool(signalled) is traced


def test_what_the_caller_did_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    answer(InvalidFilter("no such operator", path="$near"))
    assert caplog.records == []


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
def test_a_request_that_says_no_tenant_is_not_found_where_it_needs_one(project: Project, views: str) -> None:
    client = Client()
    assert client.get(f"{views}/docs/one").status_code == 404
    assert client.get(f"{views}/docs/one", headers={"X-Tenant": "no name"}).json()["type"] == "InvalidTenant"
    assert client.get("/untouched").status_code == 200


@pytest.mark.parametrize("views", ["", "/async"], ids=["sync view", "async view"])
def test_a_cluster_that_fails_is_answered_by_503(project: Project, servers: Servers, views: str) -> None:
    client = Client()
    assert client.get(f"{views}/docs/one", headers=ACME).status_code == 404
    httpx.put(f"{servers.old}/_faults", json={"error_rate": 1.0}, trust_env=False).raise_for_status()
    try:
        failed = client.get(f"{views}/docs/one", headers=ACME)
    finally:
        httpx.put(f"{servers.old}/_faults", json={}, trust_env=False).raise_for_status()
    assert (failed.status_code, failed["Retry-After"]) == (503, "1")
    assert client.get(f"{views}/docs/one", headers=ACME).status_code == 404
