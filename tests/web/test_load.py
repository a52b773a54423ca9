"""The load itself: an application that lies is caught, and one that is honest is not."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from shardroute.testing.faults import ConnectionDropped
from shardroute.testing.serving import LoopServer

from .load import Load, Seen

_EVERY = 7  # how often an application does what it should not


class Liar:
    """The small API over a dictionary, honest but for its `habit`."""

    def __init__(self, habit: str = "") -> None:
        self._habit = habit
        self._turns = itertools.count(1)
        self._tenants: dict[str, dict[str, Any]] = defaultdict(dict)

    def app(self) -> Router:
        """Bare: nothing answers a request whose connection is to be dropped."""
        routes = [
            Route("/docs/{id}", self._put, methods=["PUT"]),
            Route("/docs/{id}", self._get, methods=["GET"]),
            Route("/docs/{id}", self._delete, methods=["DELETE"]),
            Route("/search", self._search, methods=["POST"]),
        ]
        return Router(routes)

    def _does(self, habit: str) -> bool:
        return self._habit == habit and next(self._turns) % _EVERY == 0

    def _of(self, request: Request) -> dict[str, Any]:
        if self._does("drops"):
            raise ConnectionDropped
        return self._tenants["all" if self._habit == "mixes" else request.headers["X-Tenant"]]

    async def _put(self, request: Request) -> Response:
        documents, document = self._of(request), await request.json()
        if self._does("fails"):
            return Response(status_code=503)
        if not self._does("forgets"):
            documents[request.path_params["id"]] = document
        return Response(status_code=204)

    async def _delete(self, request: Request) -> Response:
        documents = self._of(request)
        if not self._does("keeps"):
            documents.pop(request.path_params["id"], None)
        return Response(status_code=204)

    async def _get(self, request: Request) -> Response:
        found = self._of(request).get(request.path_params["id"])
        return Response(status_code=404) if found is None else JSONResponse(found)

    async def _search(self, request: Request) -> Response:
        documents, wanted = self._of(request), (await request.json())["top_k"]
        matches = [
            {"id": name, "score": 1.0, "metadata": document["metadata"]}
            for name, document in itertools.islice(documents.items(), wanted)
        ]
        return JSONResponse({"matches": matches})


async def seen_of(habit: str) -> Seen:
    server = LoopServer(Liar(habit).app())
    await server.start()
    try:
        load = Load(server.url, ["acme", "globex"], pause=0.001)
        async with load.flowing() as seen:
            await load.answers(600)
    finally:
        await server.stop()
    return seen


async def test_an_honest_application_has_no_problems() -> None:
    seen = await seen_of("")
    assert seen.problems == []
    assert seen.acknowledged > 100
    assert (seen.dropped, seen.overdue) == (0, 0)


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        ("forgets", "it should be"),
        ("keeps", "deleted, and back"),
        ("mixes", "was shown"),
        ("fails", "503"),
    ],
)
async def test_one_that_is_not_is_caught(habit: str, words: str) -> None:
    assert any(words in problem for problem in (await seen_of(habit)).problems)


async def test_a_request_whose_connection_was_dropped_is_sent_again_and_counted() -> None:
    seen = await seen_of("drops")
    assert seen.dropped > 10
    assert [problem for problem in seen.problems if "in a row" not in problem] == []
