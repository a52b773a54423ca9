"""Answers that a server writes in two pieces, on connections that are kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest

from shardroute.stores import qdrant_connection
from shardroute.stores.prompt_acks import CAN_BE_PROMPT
from shardroute.stores.qdrant import QdrantStore

from .test_qdrant import place

PUT_OFF = 0.035
"""Seconds: an acknowledgement that Linux puts off comes after 40 ms."""

BODY = b'{"result":{"count":7},"status":"ok","time":0.0}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)


def _serve(connection: socket.socket) -> None:
    """Each request by two writes, and without TCP_NODELAY."""
    with connection:
        while request := _request(connection):
            assert request
            connection.sendall(HEAD)
            connection.sendall(BODY)


def _request(connection: socket.socket) -> bytes:
    held = b""
    while True:
        head, end, body = held.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if end and len(body) >= length:
            return held
        try:
            some = connection.recv(65536)
        except OSError:
            return b""
        if not some:
            return b""
        held += some


@contextmanager
def server() -> Iterator[tuple[str, list[int]]]:
    """Its URL, and the ports of the connections that were made."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, peer = listener.accept()
                except OSError:
                    return
                seen.append(peer[1])
                threading.Thread(target=_serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(not CAN_BE_PROMPT, reason="TCP_QUICKACK is Linux's")
async def test_no_answer_waits_for_an_acknowledgement_that_is_put_off() -> None:
    with server() as (url, seen):
        store = QdrantStore.connect("q", url=url)
        taken = []
        for _ in range(24):
            began = perf_counter()
            assert await store.count(place()) == 7
            taken.append(perf_counter() - began)
        await store.aclose()
    assert len(seen) == 1
    assert sum(seconds < PUT_OFF for seconds in taken) > 12  # the others, if any, are the machine's


@pytest.mark.parametrize(
    ("url", "keeps"),
    [("http://localhost:6333", False), ("http://[::1]:6333", False), ("https://far.example", True)],
)
def test_where_the_system_cannot_be_told_no_connection_to_a_local_host_is_kept(
    monkeypatch: pytest.MonkeyPatch, url: str, keeps: bool
) -> None:
    monkeypatch.setattr(qdrant_connection, "CAN_BE_PROMPT", False)
    assert bool(qdrant_connection.kept(url).max_keepalive_connections) is keeps
