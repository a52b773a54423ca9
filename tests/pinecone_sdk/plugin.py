"""What pytest gets beside the SDK's tests: which are not promised, and where gRPC is. Runs without this project.

The tests stand in a directory of their own, where `tests` is the SDK's package; so this file is copied there.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pinecone.grpc
import pytest

_FILE = "NOT_PROMISED"
"""The variable that names the list, as JSON: ``[{"reason": …, "tests": [pattern, …], "files": [name, …]}, …]``."""


def pytest_configure(config: pytest.Config) -> None:
    groups: list[dict[str, Any]] = json.loads(Path(os.environ[_FILE]).read_text())
    config.pluginmanager.register(_NotPromised(groups), "not promised")
    _find_grpc()


def pytest_plugin_registered(plugin: object) -> None:
    """An index of the emulator is deleted at once; the tests would look for it, in a listing as it was in SDK 9."""
    if getattr(plugin, "__name__", "").endswith("integration.conftest"):
        plugin.ensure_index_deleted = _deleted  # type: ignore[attr-defined]  # the module
        plugin.async_ensure_index_deleted = _deleted_async  # type: ignore[attr-defined]  # the module


def _deleted(client: Any, name: str, **_: Any) -> None:
    with suppress(pinecone.PineconeError):
        client.indexes.delete(name)


async def _deleted_async(client: Any, name: str, **_: Any) -> None:
    with suppress(pinecone.PineconeError):
        await client.indexes.delete(name)


class _NotPromised:
    """Leaves out what is listed, and tells how much of it there was. A pattern that fits nothing is an error."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self._groups = groups
        self._left_out: Counter[str] = Counter()
        self._idle: list[str] = []

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        names = {name for group in self._groups for name in group.get("files", ())}
        return (
            True if collection_path.name in names and collection_path.parent.name == "integration" else None
        )

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept: list[pytest.Item] = []
        left_out: list[pytest.Item] = []
        used: set[str] = set()
        for item in items:
            found = self._reason(item.nodeid)
            if found is None:
                kept.append(item)
                continue
            pattern, reason = found
            used.add(pattern)
            self._left_out[reason] += 1
            left_out.append(item)
        if not config.option.keyword and config.args == ["tests/integration"]:  # all of them, that is
            self._idle = [
                pattern for group in self._groups for pattern in group.get("tests", ()) if pattern not in used
            ]
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept

    def _reason(self, name: str) -> tuple[str, str] | None:
        plain = name.removeprefix("tests/integration/")
        for group in self._groups:
            for pattern in group.get("tests", ()):
                if fnmatch.fnmatchcase(plain, pattern) or plain.partition("[")[0] == pattern:
                    return pattern, group["reason"]
        return None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("not promised")
        for reason, count in self._left_out.most_common():
            terminalreporter.line(f"{count:4}  {reason}")
        for pattern in self._idle:
            terminalreporter.line(f"no test is called {pattern}: take it off the list", red=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._idle and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _find_grpc() -> None:
    """In the service an index has one host for both interfaces; the emulator opens a port for gRPC when asked."""
    build = pinecone.grpc._build_grpc_endpoint

    def endpoint(host: str, *, secure: bool, scheme: str | None) -> str:
        parts = urlsplit(host)
        if not parts.path.startswith("/index/"):
            return build(host, secure=secure, scheme=scheme)
        door = f"{parts.scheme}://{parts.netloc}/_grpc/{parts.path.removeprefix('/index/')}"
        opened = httpx.get(door).raise_for_status().json()["host"]
        return build(f"http://{opened}", secure=False, scheme="http")

    pinecone.grpc._build_grpc_endpoint = endpoint


@pytest.fixture
def anyio_backend() -> str:
    """The SDK's only one."""
    return "asyncio"
