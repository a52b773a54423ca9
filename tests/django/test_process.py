"""One router in the background: its deadlines, its end, and what a cancelled caller leaves."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from shardroute_django import atenant, close, tenant
from shardroute_django.background import Background
from shardroute_django.process import host

from shardroute import Tenant, Unavailable
from shardroute.errors import ControlPlaneUnavailable
from tests.cli.conftest import Deployment
from tests.web.deployed import sessions

from .conftest import Project


def threads() -> int:
    return sum(thread.name == "shardroute" for thread in threading.enumerate())


async def test_there_is_one_session_for_views_of_both_kinds(project: Project, deployed: Deployment) -> None:
    assert await sessions(deployed) == []  # nothing is opened before it is needed
    await atenant("acme").count()
    await asyncio.to_thread(lambda: tenant("umbrella").count())
    assert len(await sessions(deployed)) == 1
    assert threads() == 1


async def test_closing_ends_session_and_thread_and_the_next_call_opens_again(
    project: Project, deployed: Deployment
) -> None:
    await atenant("acme").count()
    [first] = await sessions(deployed)
    await asyncio.to_thread(close)
    assert (await sessions(deployed), threads()) == ([], 0)
    await atenant("acme").count()
    [second] = await sessions(deployed)
    assert second.id != first.id


async def test_a_cancelled_caller_cancels_its_work(project: Project) -> None:
    begun, ended = threading.Event(), threading.Event()
    asking = asyncio.create_task(_await_forever(begun, ended))
    await asyncio.to_thread(begun.wait, 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(ended.wait, 10)


async def _await_forever(begun: threading.Event, ended: threading.Event) -> None:
    await host().ask("acme", lambda tenant: _forever(begun, ended))


async def _forever(begun: threading.Event, ended: threading.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_call_ends_with_its_deadline_and_so_does_its_work(project: Project, kind: str) -> None:
    begun, ended = threading.Event(), threading.Event()
    answer = host().submit(_forever(begun, ended), timeout=0.05)
    with pytest.raises(Unavailable, match=r"no answer within 0\.05 s"):
        await (asyncio.to_thread(answer.wait) if kind == "sync" else answer)
    assert ended.is_set()


async def test_a_loop_that_is_stuck_does_not_hold_a_sync_view_for_ever(project: Project) -> None:
    stuck, free = threading.Event(), threading.Event()

    async def stick() -> None:
        stuck.set()
        free.wait()

    answer = host().submit(stick(), timeout=0.05)
    stuck.wait()
    with pytest.raises(Unavailable):
        await asyncio.to_thread(answer.wait)
    free.set()


async def test_closing_answers_those_who_wait(project: Project) -> None:
    begun, ended = threading.Event(), threading.Event()
    await atenant("acme").count()
    answer = host().ask("acme", lambda tenant: _forever(begun, ended))
    await asyncio.to_thread(begun.wait, 10)
    await asyncio.to_thread(close)
    with pytest.raises(Unavailable, match="ending"):
        await answer


async def test_context_variables_come_along(project: Project) -> None:
    variable = contextvars.ContextVar[str]("variable")
    variable.set("of the view")

    async def seen(tenant: Tenant) -> str:
        return variable.get()

    assert await host().ask("acme", seen) == "of the view"


# -- the background itself -------------------------------------------------------------------------------------


class Doors:
    """Something to open, which may fail, and tells when it is closed."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.failure: Exception | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        self.opened += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        yield self.opened
        self.closed += 1


@pytest.fixture
def doors() -> Doors:
    return Doors()


async def test_what_is_kept_is_opened_once_for_all_who_ask_and_closed_at_the_end(doors: Doors) -> None:
    background = Background.started()
    kept = background.keep(doors.open)
    answers = await asyncio.gather(*(asyncio.wrap_future(background.submit(kept())) for _ in range(5)))
    assert (answers, doors.opened, doors.closed) == ([1] * 5, 1, 0)
    await asyncio.to_thread(background.close, 10)
    assert doors.closed == 1


async def test_a_failure_to_open_is_told_to_all_and_the_next_tries_again(doors: Doors) -> None:
    background = Background.started()
    kept = background.keep(doors.open)
    doors.failure = ControlPlaneUnavailable("away")

    async def asked() -> list[object]:
        return await asyncio.gather(*(kept() for _ in range(3)), return_exceptions=True)

    assert list(map(str, await asyncio.wrap_future(background.submit(asked())))) == ["away"] * 3
    doors.failure = None
    assert await asyncio.wrap_future(background.submit(kept())) == 2
    await asyncio.to_thread(background.close, 10)


async def test_owned_tasks_end_before_what_is_kept(doors: Doors) -> None:
    background, order = Background.started(), list[str]()

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append(f"task, with {doors.closed} closed")

    async def begin() -> None:
        await kept()
        background.own(worker(), "worker")
        await asyncio.sleep(0)

    kept = background.keep(doors.open)
    await asyncio.wrap_future(background.submit(begin()))
    await asyncio.to_thread(background.close, 10)
    assert (order, doors.closed) == (["task, with 0 closed"], 1)


async def test_after_the_end_nothing_is_taken(doors: Doors) -> None:
    background = Background.started()
    kept = background.keep(doors.open)
    await asyncio.to_thread(background.close, 10)
    with pytest.raises(Unavailable, match="ending"):
        background.submit(kept())
    await asyncio.to_thread(background.close, 10)
