"""A call of a facade that nobody awaits does nothing, and is not taken for a result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from pinecone.models.vectors.responses import UpsertResponse
from qdrant_client import models

from shardroute import Router
from shardroute.facades.never_awaited import Call, NotAwaited
from shardroute.facades.pinecone import RoutedIndex
from shardroute.facades.qdrant import RoutedClient

VECTORS = [("a", [0.1, 0.2, 0.3, 0.4])]
POINTS = [models.PointStruct(id=1, vector=[0.1, 0.2, 0.3, 0.4], payload={})]

Calling = Callable[[], Any]


@pytest.fixture(params=["pinecone", "qdrant"])
def upsert(request: pytest.FixtureRequest, router: Router) -> Calling:
    if request.param == "pinecone":
        index = RoutedIndex(router)
        return lambda: index.upsert(vectors=VECTORS, namespace="acme")
    client = RoutedClient(router.tenant("acme"), "docs")
    return lambda: client.upsert("docs", POINTS)


USES: dict[str, Callable[[Any], object]] = {
    "attribute": lambda answer: answer.upserted_count,
    "truth": bool,
    "length": len,
    "iteration": list,
    "item": lambda answer: answer[0],
    "membership": lambda answer: "a" in answer,
}


@pytest.mark.parametrize("use", USES)
async def test_its_answer_cannot_be_used(upsert: Calling, use: str, router: Router) -> None:
    call = upsert()
    with pytest.raises(NotAwaited, match=r"\.upsert\(\) is asynchronous and was not awaited"):
        USES[use](call)
    call.close()
    assert await router.tenant("acme").count() == 0


async def test_one_that_is_dropped_is_said_with_its_place(
    upsert: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        pytest.warns(RuntimeWarning, match="never awaited: nothing was sent"),
    ):
        upsert()
    assert "test_never_awaited.py:" in caplog.text


RUNS: dict[str, Callable[[Any], Any]] = {
    "await": lambda call: call,
    "task": asyncio.create_task,
    "gather": asyncio.gather,
    "timeout": lambda call: asyncio.wait_for(call, 60),
    "another thread's": lambda call: asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(call, asyncio.get_running_loop())
    ),
}


@pytest.mark.parametrize("run", RUNS)
async def test_it_runs_wherever_a_coroutine_does(router: Router, run: str) -> None:
    call = RoutedIndex(router).upsert(vectors=VECTORS, namespace="acme")
    assert isinstance(call, Call)
    answer = await RUNS[run](call)
    [answer] = answer if isinstance(answer, list) else [answer]
    assert isinstance(answer, UpsertResponse)
    assert await router.tenant("acme").count() == 1


async def test_a_task_that_is_cancelled_before_it_began_has_nothing_to_complain_of(upsert: Calling) -> None:
    task = asyncio.create_task(upsert())
    assert "upsert" in repr(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_argument_that_the_vendors_asynchronous_client_has_not_is_refused_at_once() -> None:
    """`async_req` is what a synchronous caller of Pinecone's says."""
    with pytest.raises(TypeError, match="async_req"):
        RoutedIndex.upsert(None, vectors=VECTORS, async_req=True)  # type: ignore[arg-type,call-arg,unused-coroutine]  # a call that its types refuse too
