"""docs/fastapi.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from shardroute_fastapi import __all__ as names

from tests.web.deployed import Deployment

from .conftest import asking

TEXT = (Path(__file__).parents[2] / "docs" / "fastapi.md").read_text(encoding="utf-8")


async def test_the_first_application_runs_as_it_is_written(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)[0]
    monkeypatch.chdir(deployed.folder)
    scope: dict[str, Any] = {"__name__": "document"}
    exec(compile(code, "docs/fastapi.md", "exec"), scope)
    async with asking(scope["app"], headers={"Host": "acme.example.com"}) as client:
        assert (await client.put("/docs/1", json=[1, 2, 3, 4])).status_code == 204
        assert (await client.post("/search", json=[1, 2, 3, 4])).json() == ["1"]
        assert (await client.get("/ready")).json().keys() == {"ready", "lease", "map", "clusters"}


@pytest.mark.parametrize("name", sorted(set(names) - {"Known", "Source", "answer", "readiness_route"}))
def test_every_part_is_named(name: str) -> None:
    assert name in TEXT
