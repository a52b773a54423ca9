"""Troubles of the network: what gets through, when, and what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from .proxy import Proxy, Trouble

LATE = 0.15
CUT_OFF = (ConnectionError, asyncio.IncompleteReadError)


class Echo:
    """A server that answers what it hears; `heard` with the moments."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self.more = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard.append((time.monotonic(), data))
            self.more.set()
            writer.write(data)
        writer.close()

    async def hears(self) -> tuple[float, bytes]:
        await asyncio.wait_for(self.more.wait(), 10)
        return self.heard[-1]


class Stage:
    def __init__(self, proxy: Proxy, echo: Echo) -> None:
        self.proxy = proxy
        self.echo = echo
        self.stopped = False
        self.writers: list[asyncio.StreamWriter] = []

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.writers.append(writer)
        return reader, writer


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], late=LATE, stopped=lambda: made.stopped)
    made = Stage(proxy, echo)
    await proxy.start()
    yield made
    for writer in made.writers:
        writer.close()
    await proxy.stop()
    server.close()


async def test_without_trouble_everything_gets_through(stage: Stage) -> None:
    reader, writer = await stage.client()
    writer.write(b"hello")
    assert await reader.read(100) == b"hello"


async def test_a_cut_closes_connections_and_refuses_new_ones(stage: Stage) -> None:
    reader, writer = await stage.client()
    writer.write(b"hello")
    await reader.read(100)
    stage.proxy.trouble.cut = True
    stage.proxy.sever()
    with pytest.raises(CUT_OFF):
        await reader.readexactly(1)
    reader, writer = await stage.client()
    with pytest.raises(CUT_OFF):
        await reader.readexactly(1)


async def test_what_is_held_gets_through_when_the_trouble_ends(stage: Stage) -> None:
    stage.proxy.trouble.hold = True
    reader, writer = await stage.client()
    writer.write(b"late")
    await asyncio.sleep(2 * LATE)
    assert stage.echo.heard == []
    stage.proxy.trouble = Trouble()
    assert await reader.read(100) == b"late"


@pytest.mark.parametrize("how", ["closed", "stopped"])
async def test_what_is_held_of_a_client_that_has_gone_gets_through_soon_afterwards(
    how: str, stage: Stage
) -> None:
    stage.proxy.trouble.hold = True
    _, writer = await stage.client()
    writer.write(b"late")
    await asyncio.sleep(2 * LATE)
    assert stage.echo.heard == []
    gone = time.monotonic()
    if how == "closed":
        writer.transport.abort()
    else:
        stage.stopped = True
    at, what = await stage.echo.hears()
    assert what == b"late"
    assert at - gone >= LATE * 0.9


async def test_half_of_a_request_waits(stage: Stage) -> None:
    stage.proxy.trouble.halve = True
    reader, writer = await stage.client()
    writer.write(b"onetwo")
    assert (await stage.echo.hears())[1] == b"one"
    stage.proxy.trouble = Trouble()
    assert await reader.readexactly(6) == b"onetwo"


async def test_a_request_is_carried_out_and_its_answer_lost(stage: Stage) -> None:
    stage.proxy.trouble.mute = True
    reader, writer = await stage.client()
    writer.write(b"hello")
    assert (await stage.echo.hears())[1] == b"hello"
    stage.proxy.sever()
    with pytest.raises(CUT_OFF):
        await reader.readexactly(1)
