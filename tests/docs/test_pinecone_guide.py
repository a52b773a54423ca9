"""The guide from a vector index to a document index, followed to the letter on the emulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shardroute.embedded import EmbeddedRedis
from shardroute.testing.pinecone import IndexSpec, Lag, PineconeProcess

from .test_docs import ROOT, blocks, run, text

GUIDE = "docs/pinecone-documents.md"
NAMED = re.compile(r"`([\w.]+)`:\n+```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SERVERS = ("python -m ", "pip ", "export ")


@pytest.mark.slow
async def test_the_guide_moves_a_namespace_to_a_document_index(
    tmp_path: Path, redis_server: EmbeddedRedis, namespace: str
) -> None:
    for name, content in NAMED.findall(text(GUIDE)):
        (tmp_path / name).write_text(content)
    commands = [line for block in blocks(GUIDE, "sh") for line in block.splitlines()]
    steps = [line.split() for line in commands if not line.startswith(SERVERS)]
    indexes = {"docs": IndexSpec.vectors(3)}
    async with PineconeProcess(indexes=indexes, lag=Lag(search=0.5, fetch=0.8)) as server:
        where = {
            "PINECONE_API_KEY": "any-will-do",
            "SHARDROUTE_CONTROL__URL": redis_server.url,
            "SHARDROUTE_CONTROL__NAMESPACE": namespace,
            "SHARDROUTE_CLUSTERS__OLD__CONTROL_HOST": server.url,
            "SHARDROUTE_CLUSTERS__NEW__CONTROL_HOST": server.url,
            "SHARDROUTE_CLUSTERS__OLD__LAG": "1.0",
            "SHARDROUTE_CLUSTERS__NEW__LAG": "1.0",
        }
        said = {" ".join(step): await _follow(tmp_path, where, step) for step in steps}
        assert "doc-0 " in said["python app.py"]
        assert "DUAL_NEW" in said["shardroute status acme"]
        assert "doc-0 " in await _follow(tmp_path, where, ["python", "app.py"])
    assert {"plan", "migrate", "rollback", "complete", "purge", "finish"} <= {step[1] for step in steps}


async def _follow(folder: Path, where: dict[str, str], step: list[str]) -> str:
    program, *arguments = step
    return await run(
        folder, where, *(["-m", "shardroute.cli"] if program == "shardroute" else []), *arguments
    )


def test_the_guide_starts_servers_that_are_there() -> None:
    assert ROOT.joinpath("shardroute/testing/pinecone.py").exists()
    assert ROOT.joinpath("shardroute/embedded.py").exists()
