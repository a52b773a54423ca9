"""What goes wrong on the way to Pinecone, as errors of ours."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pinecone.errors.exceptions import ResponseParsingError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from shardroute.errors import ClusterRejected, ClusterUnavailable, RateLimited
from shardroute.records import Record
from shardroute.stores.pinecone_errors import About, PineconeRejected, all_written, translated
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.testing.pinecone import IndexSpec, PineconeServer
from shardroute.testing.serving import LoopServer

from .conftest import unit
from .test_pinecone_records import place

SECRET = "pcsk_not_to_be_told"
ANY = [Record("a", unit(1))]


def connected(host: str, **options: Any) -> PineconeVectorsStore:
    given: dict[str, Any] = {"api_key": SECRET, "host": host, "lag": 0.0, **options}
    return PineconeVectorsStore.connect("p", **given)


@asynccontextmanager
async def answering(answer: Callable[[dict[str, Any]], Response]) -> AsyncIterator[tuple[str, list[Any]]]:
    """A server that answers every request so, and what it was asked."""
    asked: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await Request(scope, receive).body() or b"{}")
        asked.append(body)
        await answer(body)(scope, receive, send)

    server = LoopServer(app)
    await server.start()
    yield server.url, asked
    await server.stop()


@pytest.mark.parametrize(
    ("status", "about"),
    [
        (404, About.NOT_FOUND),
        (413, About.TOO_LARGE),
        (401, About.NOT_ALLOWED),
        (403, About.NOT_ALLOWED),
        (400, About.OTHER),
        (499, About.OTHER),
    ],
)
@pytest.mark.parametrize("message", ["No namespace: 'acme'", "Namespace acme not found", "too large", ""])
def test_the_status_alone_says_what_a_refusal_was_about(status: int, message: str, about: About) -> None:
    assert PineconeRejected("p", message, status).about is about


async def test_nothing_is_asked_twice_by_the_sdk_itself() -> None:
    async with answering(lambda body: JSONResponse({"message": "busy"}, 503)) as (url, asked):
        store = connected(url)
        with pytest.raises(ClusterUnavailable, match="503: busy") as caught:
            await store.upsert(place(), ANY)
        await store.aclose()
    assert len(asked) == 1
    assert caught.value.may_land


async def test_the_delay_that_was_asked_for_is_passed_on_and_kept() -> None:
    limited = JSONResponse({"message": "slowly"}, 429, {"retry-after": "60"})
    async with answering(lambda body: limited) as (url, asked):
        store = connected(url, timeout=10.0)
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await store.upsert(place(), ANY)
            assert caught.value.retry_after == pytest.approx(60, abs=10)
            assert not caught.value.may_land
        await store.aclose()
    assert len(asked) == 1


async def test_a_refused_connection_cannot_land_later() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = connected(f"http://127.0.0.1:{port}")
    with pytest.raises(ClusterUnavailable) as caught:
        await store.upsert(place(), ANY)
    await store.aclose()
    assert not caught.value.may_land


async def test_an_answer_that_does_not_come_may_still_land() -> None:
    async with PineconeServer(indexes={"docs": IndexSpec.vectors(4)}) as server:
        server.faults.hang = True
        store = connected(server.index_url("docs"), timeout=0.1)
        with pytest.raises(ClusterUnavailable) as caught:
            await store.upsert(place(), ANY)
        server.faults.clear()
        await store.aclose()
    assert caught.value.may_land


async def test_what_is_no_answer_of_pinecones_may_be_tried_again() -> None:
    async with answering(lambda body: Response("<html>")) as (url, _):
        store = connected(url)
        with pytest.raises(ClusterUnavailable):
            await store.fetch(place(), ["a"])
        await store.aclose()


async def test_a_wrong_key_is_refused_and_never_told() -> None:
    async with PineconeServer(indexes={"docs": IndexSpec.vectors(4)}, api_key="another") as server:
        for store in (connected(server.index_url("docs")), connected("", control_host=server.url)):
            for asked in (store.ping, lambda store=store: store.prepare(place())):
                with pytest.raises(ClusterRejected) as caught:
                    await asked()
                error: BaseException | None = caught.value
                while error is not None:
                    assert SECRET not in f"{error!r} {error}"
                    error = error.__cause__
            await store.aclose()


async def test_a_store_that_was_closed_refuses() -> None:
    async with PineconeServer(indexes={"docs": IndexSpec.vectors(4)}) as server:
        store = connected(server.index_url("docs"))
        await store.ping()
        await store.aclose()
        with pytest.raises(ClusterRejected, match="closed"):
            await store.ping()


async def test_what_is_too_large_after_all_is_halved() -> None:
    def answer(body: dict[str, Any]) -> Response:
        count = len(body["vectors"])
        large = JSONResponse({"message": "too large"}, 413)
        return large if count > 3 else JSONResponse({"upsertedCount": count})

    async with answering(answer) as (url, asked):
        store = connected(url)
        await store.upsert(place(), [Record(f"{n}", unit(n)) for n in range(10)])
        await store.aclose()
    taken = [item["id"] for body in asked if len(body["vectors"]) <= 3 for item in body["vectors"]]
    assert sorted(taken) == sorted(f"{n}" for n in range(10))


async def test_a_record_that_is_too_large_alone_is_refused() -> None:
    async with answering(lambda body: JSONResponse({"message": "too large"}, 413)) as (url, _):
        store = connected(url)
        with pytest.raises(ClusterRejected, match="413"):
            await store.upsert(place(), ANY)
        await store.aclose()


async def test_of_several_writes_the_error_of_one_that_may_land_is_raised() -> None:
    async def failing(error: Exception) -> None:
        raise error

    errors = [ClusterRejected("p", "no"), ClusterUnavailable("p", "silence"), RateLimited("p", "slowly")]
    with pytest.raises(ClusterUnavailable, match="silence"):
        await all_written(failing(error) for error in errors)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ResponseParsingError("odd"), ClusterUnavailable),
        (ConnectionResetError("gone"), ClusterUnavailable),
        (ValueError("no"), PineconeRejected),
    ],
    ids=str,
)
def test_other_errors_become_ours(error: Exception, expected: type[Exception]) -> None:
    assert type(translated("p", error)) is expected


@pytest.mark.parametrize(
    "options",
    [{"api_key": ""}, {"api_key": " "}, {"api_key": "line\n"}, {"rate": 0}, {"lag": -1.0}, {"timeout": 0.0}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"api_key|API key|rate|lag|timeout"):
        connected("http://localhost:1", **options)
