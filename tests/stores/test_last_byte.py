"""A request that needs a permit leaves whole only with it: its last byte waits for the answer."""

from __future__ import annotations

import asyncio
import math
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from shardroute.errors import ClusterUnavailable, LockLost
from shardroute.permits import Permit, needing
from shardroute.ports import Store
from shardroute.records import Record
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.stores.qdrant import QdrantStore
from shardroute.topology import Place, Placement, Tenancy, Topology

DIMENSION = 5000
RECORDS = [Record(str(number), np.full(DIMENSION, 0.1234567, np.float32)) for number in range(32)]
"""More than a megabyte: no system takes that in one piece from a connection that is slow to be read."""


@dataclass
class Reader:
    """A server that only reads, slowly if told to, and notes what came and whether the client has hung up."""

    port: int = 0
    slow: float = 0.0
    came: bytearray = field(default_factory=bytearray)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                self.came += data
                await asyncio.sleep(self.slow)
        except ConnectionError:
            pass
        finally:
            self.hung_up.set()
            writer.close()

    @property
    def missing(self) -> float:
        """How many bytes of the request's body have not come."""
        head, _, body = bytes(self.came).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)\r", head + b"\r")
        return int(length[1]) - len(body) if length else math.inf

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - bytes come without an event
                await asyncio.sleep(0.005)


@asynccontextmanager
async def reading() -> AsyncIterator[Reader]:
    reader = Reader()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    listening.bind(("127.0.0.1", 0))
    async with await asyncio.start_server(reader.serve, sock=listening, limit=1 << 14):
        reader.port = listening.getsockname()[1]
        yield reader
    await reader.hung_up.wait()


def _qdrant(port: int) -> tuple[Store, Place]:
    placement = Placement("a", collection="docs")
    store = QdrantStore.connect("a", url=f"http://127.0.0.1:{port}")
    return store, Topology("v1", 1, placement, DIMENSION).place("acme")


def _pinecone(port: int) -> tuple[Store, Place]:
    placement = Placement("a", collection="docs", tenancy=Tenancy.parse("namespace"))
    store = PineconeVectorsStore.connect("a", api_key="any", host=f"http://127.0.0.1:{port}")
    return store, Topology("v1", 1, placement, DIMENSION).place("acme")


KINDS: dict[str, Callable[[int], tuple[Store, Place]]] = {"qdrant": _qdrant, "pinecone": _pinecone}


@asynccontextmanager
async def store_of(kind: str, port: int) -> AsyncIterator[tuple[Store, Place]]:
    store, place = KINDS[kind](port)
    try:
        yield store, place
    finally:
        await store.aclose()


def _refused_when(moment: Callable[[], Awaitable[None]]) -> Permit:
    async def ask() -> None:
        await moment()
        raise LockLost("somebody else's")

    return Permit(ask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slow", [0.0, 0.002])
async def test_the_permit_is_asked_when_all_but_the_last_byte_has_left(kind: str, slow: float) -> None:
    async with reading() as reader, store_of(kind, reader.port) as (store, place):
        reader.slow = slow
        permit = _refused_when(lambda: reader.until(lambda: reader.missing == 1))
        with needing(permit), pytest.raises(LockLost):
            await store.upsert(place, RECORDS)
        await reader.hung_up.wait()
        assert reader.missing == 1
        assert not permit.may_have_left


@pytest.mark.parametrize("kind", KINDS)
async def test_of_a_small_request_it_is_asked_when_the_connection_is_made_and_the_head_has_left(
    kind: str,
) -> None:
    """Not before: a process that is stopped while it connects would send the rest when it goes on."""
    async with reading() as reader, store_of(kind, reader.port) as (store, place):
        permit = _refused_when(lambda: reader.until(lambda: math.isfinite(reader.missing)))
        permit.in_one_piece = 1 << 20
        with needing(permit), pytest.raises(LockLost):
            await store.upsert(place, RECORDS[:1])
        await reader.hung_up.wait()
        assert reader.missing > 1
        assert not permit.may_have_left


async def test_a_request_that_ends_before_its_permit_was_asked_cannot_have_left() -> None:
    async with reading() as reader, store_of("qdrant", reader.port) as (store, place):
        reader.slow = 0.01
        permit = _refused_when(lambda: asyncio.sleep(0))
        with needing(permit), pytest.raises((TimeoutError, ClusterUnavailable)):
            async with asyncio.timeout(1.0):
                await store.upsert(place, RECORDS * 8)
        await reader.hung_up.wait()
        assert reader.missing > 1
        assert not permit.may_have_left


@pytest.mark.parametrize("kind", KINDS)
async def test_with_the_permit_the_request_leaves_whole(kind: str) -> None:
    async with reading() as reader, store_of(kind, reader.port) as (store, place):
        permit = Permit(lambda: asyncio.sleep(0))
        with needing(permit):
            request = asyncio.create_task(store.upsert(place, RECORDS[:1]))
            await reader.until(lambda: reader.missing == 0)
            assert permit.may_have_left
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_need_for_a_permit_nothing_is_kept_back(kind: str) -> None:
    async with reading() as reader, store_of(kind, reader.port) as (store, place):
        request = asyncio.create_task(store.upsert(place, RECORDS[:1]))
        await reader.until(lambda: reader.missing == 0)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


def test_of_a_client_that_does_not_ask_late_a_request_may_have_left() -> None:
    assert Permit(lambda: asyncio.sleep(0)).may_have_left


async def test_what_a_cancelled_request_had_handed_to_the_system_is_not_sent_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole body lies in the system's buffer, behind a peer that does not read; then it reads on."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with reading() as reader:
        reader.slow = 0.5
        store, place = _qdrant(reader.port)
        upsert = asyncio.create_task(store.upsert(place, RECORDS))
        await reader.until(lambda: bool(reader.came))
        upsert.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upsert
        reader.slow = 0.0
        async with asyncio.timeout(60):
            await reader.hung_up.wait()
        assert reader.missing > 0
        await store.aclose()
