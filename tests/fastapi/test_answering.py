"""What a client is told of an error, and what an operator."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi import FastAPI
from shardroute_fastapi import install

from shardroute import (
    ClusterRejected,
    ClusterUnavailable,
    EncoderUnavailable,
    MapLost,
    Router,
    ShardrouteError,
    TenantHeld,
)
from shardroute.web import Header
from tests.support.world import World

from .application import application
from .conftest import asking
from .stores import Refusing

SECRET = "what-only-the-tenant-knows"
JSON = {"Content-Type": "application/json"}
QUERY = {"vector": [1, 2, 3, 4], "top_k": 3}


def refusing(world: World, error: Exception) -> FastAPI:
    old = Refusing("a")
    old.error = error
    return application(lambda: Router(world.config, stores={"a": old, "b": world.new}))


async def asked(app: FastAPI, **query: object) -> tuple[int, str | None, dict[str, str]]:
    async with asking(app, headers={"X-Tenant": "acme"}) as client:
        answer = await client.post("/search", content=json.dumps({**QUERY, **query}), headers=JSON)
    return answer.status_code, answer.headers.get("Retry-After"), answer.json()


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (TenantHeld("held"), 503, "1"),
        (ClusterUnavailable("a", "away", retry_after=2.4), 503, "3"),
        (MapLost("the map is another one"), 503, None),
        (ClusterRejected("a", "no"), 502, None),
        (ShardrouteError("a mistake"), 500, None),
    ],
)
async def test_an_error_is_answered_with_its_status_and_when_to_try_again(
    world: World, error: ShardrouteError, status: int, retry: str | None
) -> None:
    found = await asked(refusing(world, error))
    assert found[:2] == (status, retry)
    assert found[2]["type"] == type(error).__name__


async def test_a_filter_that_is_wrong_is_said_to_be_so_and_where(world: World) -> None:
    status, _, document = await asked(application(world.router), filter={"$and": [{"year": {"$near": 3}}]})
    assert (status, document["path"]) == (422, "$and[0].year.$near")


async def test_a_filter_with_what_no_answer_can_quote_is_answered_all_the_same(world: World) -> None:
    status, _, document = await asked(application(world.router), filter={"\ud800": {"$near": 3}})
    assert (status, document["type"]) == (422, "InvalidFilter")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ClusterRejected("a", f"400: bad field {SECRET}"), "ClusterRejected of 'a'"),
        (ClusterUnavailable("a", f"500: {SECRET}"), "ClusterUnavailable of 'a'"),
        (EncoderUnavailable("shop:encode", f"cannot encode {SECRET}"), "EncoderUnavailable of 'shop:encode'"),
        (TenantHeld("acme is held"), "TenantHeld: acme is held"),
    ],
)
async def test_an_operator_reads_what_happened_and_nothing_of_the_tenants(
    world: World, caplog: pytest.LogCaptureFixture, error: ShardrouteError, told: str
) -> None:
    with caplog.at_level(logging.ERROR):
        await asked(refusing(world, error), filter={"field": SECRET})
    [line] = [found.getMessage() for found in caplog.records if found.name == "shardroute_fastapi.answering"]
    assert told in line
    assert "POST '/search': 50" in line
    assert SECRET not in caplog.text


async def test_what_the_client_did_wrong_is_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await asked(application(world.router), filter={"year": {"$near": 3}})
    assert caplog.records == []


async def test_errors_of_others_are_left_to_others(world: World) -> None:
    app = FastAPI()
    install(app, config=world.router, resolver=Header("X-Tenant"))

    @app.get("/mistake")
    async def mistake() -> None:
        raise KeyError("mine")

    async with asking(app) as client:
        with pytest.raises(KeyError, match="mine"):
            await client.get("/mistake")
