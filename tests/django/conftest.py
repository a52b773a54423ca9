"""The project in this process: its settings, a database on disk, and a deployment to talk to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import django
import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.test.utils import setup_test_environment, teardown_test_environment

from shardroute.web import Header
from tests.web.deployed import Deployment, deployed, deployment, servers

__all__ = ["deployed", "deployment", "servers"]

_Answer = TypeVar("_Answer")
Project = Callable[..., AbstractContextManager[Any]]


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
django.setup()


async def in_thread(call: Callable[..., _Answer], *args: Any, **kwargs: Any) -> _Answer:
    """Where Django may use the database; nothing of it is left open."""

    def closing() -> _Answer:
        try:
            return call(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(closing)


@pytest.fixture(scope="session", autouse=True)
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On disk, because threads share it."""
    settings.DATABASES["default"]["NAME"] = str(tmp_path_factory.mktemp("django") / "db.sqlite3")
    connections.databases["default"]["NAME"] = settings.DATABASES["default"]["NAME"]
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield
    teardown_test_environment()
    connections.close_all()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()  # where async views ask


@pytest.fixture
def project(deployed: Deployment) -> Iterator[Project]:
    """The project on a deployment, tenants by a header. Called, it changes keys of the setting for a while."""

    def changed(**keys: Any) -> AbstractContextManager[Any]:
        return override_settings(SHARDROUTE=_setting(deployed.path, keys))

    with changed():
        yield changed


def _setting(path: Path, keys: Mapping[str, Any]) -> dict[str, Any]:
    return {"CONFIG": str(path), "RESOLVER": Header("X-Tenant"), **keys}
