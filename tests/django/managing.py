"""``manage.py`` of the project as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

from tests.cli.conftest import Answer, Deployment


def environment(deployment: Deployment) -> Mapping[str, str]:
    """That tells the project's settings where everything is."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SHARDROUTE_")},
        "TEST_CONFIG": str(deployment.path),
        "TEST_DATABASE": str(deployment.folder / "db.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "tests.django.settings",
    }


async def started(deployment: Deployment, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.django.manage", *arguments),
        env={**environment(deployment), "COLUMNS": "80", "PYTHONWARNINGS": "default"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def managed(deployment: Deployment, *arguments: str) -> Answer:
    """What it says, and its exit code."""
    process = await started(deployment, *arguments)
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Warning" not in err, err.decode()
    return Answer(process.returncode, out.decode(), err.decode())
