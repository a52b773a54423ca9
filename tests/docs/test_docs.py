"""The documents say what is there: every key, every rule, and an example and commands that run as they are written."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from shardroute import telemetry
from shardroute.config import (
    ControlConfig,
    CopyConfig,
    MigrationConfig,
    RecordingConfig,
    RouterConfig,
    ShadowConfig,
)
from shardroute.embedded import EmbeddedRedis
from shardroute.gates import Gates
from shardroute.testing.qdrant import QdrantProcess
from shardroute.topology import Placement, Topology

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "control": ControlConfig,
    "router": RouterConfig,
    "copy": CopyConfig,
    "shadow": ShadowConfig,
    "recording": RecordingConfig,
    "gates": Gates,
    "migration": MigrationConfig,
    "topologies": Topology,
    "placement": Placement,
}
KEYS = [
    (section, member.name.rstrip("_"), member.default)
    for section, kind in SECTIONS.items()
    for member in fields(kind)
    if (section, member.name) != ("topologies", "name")
]


def text(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.DOTALL | re.MULTILINE)


def part(section: str) -> str:
    """A section of the configuration's document; `placement` is a part of the topologies."""
    whole = text("docs/configuration.md")
    start = whole.index("Keys of `placement`" if section == "placement" else f"## `[{section}")
    end = whole.find("\n## ", start + 1)
    return whole[start : None if end < 0 else end]


@pytest.mark.parametrize(("section", "key", "default"), KEYS, ids=[f"{s}.{k}" for s, k, _ in KEYS])
def test_every_key_is_documented_with_its_default(section: str, key: str, default: object) -> None:
    row = re.search(rf"^\| `{key}` \| (.+?) \|", part(section), re.MULTILINE)
    assert row, f"{section}.{key} has no row in docs/configuration.md"
    if isinstance(default, (bool, int, float)):
        assert row[1] == f"`{str(default).lower()}`"


@pytest.mark.parametrize("number", range(1, 14))
def test_every_rule_is_in_the_protocol(number: int) -> None:
    assert len(re.findall(rf"^\*\*Rule {number}\. ", text("docs/protocol.md"), re.MULTILINE)) == 1


def test_every_name_of_telemetry_is_documented() -> None:
    source = Path(telemetry.__file__).read_text()
    names = set(re.findall(r'"((?:shardroute|db|server|error)\.[a-z_.]+)"', source))
    assert names
    assert not {name for name in names if f"`{name}`" not in text("docs/telemetry.md")}


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", text(name)):
        assert not target or (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"


@pytest.mark.slow
async def test_the_readme_runs_as_it_is_written(
    tmp_path: Path, redis_server: EmbeddedRedis, namespace: str
) -> None:
    (tmp_path / "shardroute.toml").write_text(blocks("README.md", "toml")[0])
    (tmp_path / "example.py").write_text(blocks("README.md", "python")[0])
    commands = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    steps = [line.split() for line in commands if line.startswith("shardroute ")]
    assert [step[1] for step in steps][:3] == ["init", "prepare", "plan"]
    async with QdrantProcess() as old, QdrantProcess() as new:
        where = {
            "SHARDROUTE_CONTROL__URL": redis_server.url,
            "SHARDROUTE_CONTROL__NAMESPACE": namespace,
            "SHARDROUTE_CLUSTERS__OLD__URL": old.url,
            "SHARDROUTE_CLUSTERS__NEW__URL": new.url,
        }
        for step in steps[:2]:
            await run(tmp_path, where, "-m", "shardroute.cli", *step[1:])
        assert "1 0.99 {'lang': 'en'}" in await run(tmp_path, where, "example.py")
        for step in steps[2:]:
            await run(tmp_path, where, "-m", "shardroute.cli", *step[1:])
        assert "1 0.99 {'lang': 'en'}" in await run(tmp_path, where, "example.py")
        assert "NEW" in await run(tmp_path, where, "-m", "shardroute.cli", "status", "acme")


async def run(folder: Path, where: dict[str, str], *arguments: str) -> str:
    """What it wrote to stdout; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **where},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, f"{arguments}: {out.decode()}{errors.decode()}"
    return out.decode()


@pytest.mark.slow
async def test_the_test_in_the_guide_to_fastapi_passes(
    tmp_path: Path, redis_server: EmbeddedRedis, namespace: str
) -> None:
    (tmp_path / "shardroute.toml").write_text(blocks("README.md", "toml")[0])
    [own] = [block for block in blocks("docs/fastapi.md", "python") if "TestClient" in block]
    [name] = re.findall(r"^def (test_\w+)", own, re.MULTILINE)
    whole = "\n".join((blocks("docs/fastapi.md", "python")[0], own, f"{name}()\n"))
    (tmp_path / "shop.py").write_text(whole)
    async with QdrantProcess() as old:
        where = {
            "SHARDROUTE_CONTROL__URL": redis_server.url,
            "SHARDROUTE_CONTROL__NAMESPACE": namespace,
            "SHARDROUTE_CLUSTERS__OLD__URL": old.url,
        }
        for verb in ("init", "prepare"):
            await run(tmp_path, where, "-m", "shardroute.cli", verb)
        await run(tmp_path, where, "shop.py")


@pytest.mark.slow
async def test_the_servers_that_the_readme_names_for_machines_without_docker_start() -> None:
    configuration = blocks("README.md", "toml")[0]
    commands = [line.split() for block in blocks("README.md", "sh") for line in block.splitlines()]
    servers = [words for words in commands if words[:2] == ["python", "-m"]]
    assert len(servers) == 3
    for _, *arguments, port in servers:
        assert f"localhost:{port}" in configuration
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, "0", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert b"listening on " in await process.stdout.readline()
        process.terminate()
        assert await process.wait() == 0
