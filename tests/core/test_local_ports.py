"""Ports of servers that are killed and started again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shardroute import local_ports
from shardroute.local_ports import lasting_port


def test_a_lasting_port_is_none_that_the_system_gives_to_connections() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as connection:
            given = {server.getsockname()[1], connection.getsockname()[1]}
    assert max(lasting_port() for _ in range(200)) < min(given)


def test_a_port_that_is_taken_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", lasting_port()))
        port = taken.getsockname()[1]
        monkeypatch.setattr(local_ports, "_FIRST", port)
        monkeypatch.setattr(local_ports, "_ephemeral_from", lambda: port + 1)
        with pytest.raises(OSError, match=f"no free port from {port} to {port}"):
            lasting_port()


@pytest.mark.parametrize("text", ["", "many few", "1024 60999"])
def test_a_system_that_does_not_tell_its_range_or_gives_them_all_has_ports_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    told = tmp_path / "range"
    told.write_text(text)
    monkeypatch.setattr(local_ports, "_RANGE", told)
    assert 10_240 <= lasting_port() < 1 << 16
