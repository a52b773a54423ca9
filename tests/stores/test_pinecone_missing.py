"""A namespace that is not there yet is empty, an index that is gone is an error; no words tell the two apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from shardroute.errors import ClusterRejected
from shardroute.ports import Change
from shardroute.records import Query
from shardroute.stores.pinecone_store import PineconeStore
from shardroute.testing.serving import LoopServer
from shardroute.topology import Place

from .conftest import UNHURRIED, unit
from .test_pinecone import KINDS, place, topology

WORDS = ["No namespace: 'acme'", "Namespace acme not found", "Resource docs not found", ""]
Ask = Callable[[PineconeStore, Place], Awaitable[Any]]
REQUESTS: Mapping[str, tuple[Ask, Any]] = {
    "update": (lambda store, where: store.update(where, [Change("a", {"x": 1})]), None),
    "delete": (lambda store, where: store.delete(where, ["a"]), None),
    "remove": (lambda store, where: store.remove(where, ["a"], "mark"), None),
    "query": (lambda store, where: store.query(where, Query(unit(1))), []),
    "fetch": (lambda store, where: store.fetch(where, ["a"]), {}),
    "count": (lambda store, where: store.count(where), 0),
    "estimate": (lambda store, where: store.estimate(where), 0),
    "fresh": (lambda store, where: store.fresh(where), None),
}


@dataclass
class Missing:
    """Answers 404 to everything, with any words, but to a listing of `namespaces`; None: the index is gone."""

    refusal: Response
    namespaces: list[str] | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        answer = self.refusal
        if scope["path"].endswith("/namespaces") and self.namespaces is not None:
            answer = JSONResponse({"namespaces": [{"name": name} for name in self.namespaces]})
        await answer(scope, receive, send)


def said(words: str) -> list[Response]:
    """The same in the shape of an index, of the control plane, and of whatever stands before them."""
    return [
        JSONResponse({"code": 5, "message": words, "details": []}, 404),
        JSONResponse({"error": {"code": "NOT_FOUND", "message": words}, "status": 404}, 404),
        PlainTextResponse(words, 404),
    ]


@asynccontextmanager
async def refused(kind: str, refusal: Response, namespaces: list[str] | None) -> AsyncIterator[PineconeStore]:
    server = LoopServer(Missing(refusal, namespaces))
    await server.start()
    store = KINDS[kind].connect("p", api_key="any", host=server.url, lag=0.0, rate=UNHURRIED)
    try:
        yield store
    finally:
        await store.aclose()
        await server.stop()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("words", WORDS)
async def test_a_namespace_that_is_missing_is_empty_whatever_is_said_of_it(kind: str, words: str) -> None:
    for refusal in said(words):
        async with refused(kind, refusal, []) as store:
            for name, (ask, nothing) in REQUESTS.items():
                assert await ask(store, place(kind)) == nothing, name
            assert (await store.scan(place(kind))).records == []
            await store.prepare(place(kind))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("words", WORDS)
async def test_an_index_that_is_gone_is_refused_whatever_is_said_of_it(kind: str, words: str) -> None:
    for refusal in said(words):
        async with refused(kind, refusal, None) as store:
            for name, (ask, _) in REQUESTS.items():
                with pytest.raises(ClusterRejected, match="404"):
                    pytest.fail(f"{name} answered {await ask(store, place(kind))!r}")
            with pytest.raises(ClusterRejected, match="404"):
                await store.scan(place(kind))
            with pytest.raises(ClusterRejected, match="404"):
                await store.prepare(place(kind))
            assert [name async for name in store.tenants(topology(kind).placement, [kind])] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_an_index_that_knows_no_such_requests_is_of_another_kind(kind: str) -> None:
    """It has a namespace, and says of that one too that it is not there."""
    async with refused(kind, said("")[0], ["there"]) as store:
        with pytest.raises(ClusterRejected, match=f"not of kind 'pinecone-{kind}'"):
            await store.prepare(place(kind))
