"""The demo itself, made small: processes, servers and all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shardroute.demo import Plan, run_demo
from tests.support.patience import NEVER, PATIENCE

pytestmark = pytest.mark.slow

SMALL = Plan(
    tenants=3, most=60, before=1.0, after=1.0, write_pause=0.1, read_pause=0.1, batch=2, moving=NEVER
)


async def test_a_small_demo_moves_all_and_loses_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = await run_demo(tmp_path / "report.json", True, SMALL)
    said = capfd.readouterr()
    report = json.loads((tmp_path / "report.json").read_text())
    assert code == 0, said.err
    assert json.loads(said.out) == report
    assert (report["tenants_moved"], report["rolled_back"]) == (3, 1)
    assert (report["from"], report["to"]) == ("qdrant", "qdrant")
    assert report["records_copied"] >= 3 * 25
    assert report["writes"] > 0
    assert report["deletes"] > 0
    assert all(report["read_ms"][stage]["p50"] > 0 for stage in ("before", "during", "after"))
    assert report["hold_ms"]["max"] > 0


BRIEF = Plan(
    tenants=2,
    most=30,
    before=0.5,
    after=0.5,
    write_pause=0.1,
    read_pause=0.1,
    haste=2.0,
    lag=0.4,
    batch=2,
    admins=1,
    moving=NEVER,
)
PAIRS = [("qdrant", "pinecone-documents"), ("pinecone-vectors", "qdrant")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_a_brief_demo_between_clusters_that_lag_loses_nothing(
    source: str, target: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = await run_demo(tmp_path / "report.json", False, replace(BRIEF, source=source, target=target))
    said = capfd.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert code == 0, said
    assert (report["from"], report["to"]) == (source, target)
    assert (report["tenants_moved"], report["rolled_back"]) == (2, 1)
    assert f"{source} → {target}" in said


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "shardroute.demo",
            "--report",
            str(tmp_path / "report.json"),
            "--tenants",
            "3",
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        while "traffic on the old cluster" not in (line := demo.stdout.readline()):
            assert line, "it ended by itself"
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(timeout=PATIENCE) == 130
    _until_group_is_gone(demo.pid)
    assert list(tmp_path.iterdir()) == []


def _until_group_is_gone(group: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes of the demo are still running")
