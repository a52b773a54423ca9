"""`examples/bulk_loader` as a process, beside a tenant that the script moves."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.testing.qdrant import QdrantServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECORDS = 600
CONFIGURATION = """\
[control]
url = "{redis}"
namespace = "{namespace}"
timeout = 10.0
lease = 5.0
idle_lease = 6.0

[clusters.old]
kind = "qdrant"
url = "{old}"

[clusters.new]
kind = "qdrant"
url = "{new}"

[topologies.v1]
dimension = 2
placement = {{ cluster = "old", collection = "docs" }}

[topologies.v2]
shards = 2
dimension = 2
placement = {{ cluster = "new", collection = "docs_{{shard}}" }}

[migration]
from = "v1"
to = "v2"
lock = 9.0
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def summary(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A folder with a configuration and lines, and the servers of the configuration."""

    folder: Path
    old: QdrantServer
    new: QdrantServer

    @property
    def lines(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "records.jsonl.acme.checkpoint"

    @property
    def sure(self) -> int:
        """The line that the checkpoint names."""
        return int(json.loads(self.checkpoint.read_text())["lines"]) if self.checkpoint.exists() else 0

    @property
    def config(self) -> Config:
        return Config.load(self.folder / "shardroute.toml", {})

    def write(self, lines: Sequence[str]) -> None:
        self.lines.write_text("".join(f"{line}\n" for line in lines))

    async def start(self, *command: str, stdin: int | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT / "examples"), "PYTHONWARNINGS": "default"},
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def load(self, *arguments: str) -> Ran:
        return await ended(await self.loading(*arguments))

    async def loading(self, *arguments: str) -> asyncio.subprocess.Process:
        return await self.start("bulk_loader", "--tenant", "acme", "--json", str(self.lines), *arguments)

    async def until_sure(self, process: asyncio.subprocess.Process) -> int:
        """Returns when the process has written a checkpoint that is not the beginning."""
        while not (line := self.sure):
            assert process.returncode is None, (await ended(process)).err
            await asyncio.sleep(0.01)
        return line

    async def content(self) -> dict[str, Any]:
        async with Router(self.config) as router:
            return {record.id: dict(record.metadata) async for record in router.tenant("acme").scan()}


async def ended(process: asyncio.subprocess.Process, given: bytes | None = None) -> Ran:
    out, err = await process.communicate(given)
    assert process.returncode is not None
    assert b"Warning" not in err, err.decode()
    return Ran(process.returncode, out.decode(), err.decode())


def line(number: int) -> str:
    return json.dumps({"id": f"doc-{number}", "vector": [1.0, number], "metadata": {"number": number}})


LOADED = {f"doc-{number}": {"number": number} for number in range(RECORDS)}


@asynccontextmanager
async def prepared(redis: EmbeddedRedis, namespace: str, folder: Path) -> AsyncIterator[Place]:
    async with QdrantServer() as old, QdrantServer() as new:
        place = Place(folder, old, new)
        text = CONFIGURATION.format(redis=redis.url, namespace=namespace, old=old.url, new=new.url)
        (folder / "shardroute.toml").write_text(text)
        place.write([line(number) for number in range(RECORDS)])
        async with Admin.open(place.config) as admin:
            await admin.init()
        async with Router(place.config) as router:
            await router.stores["old"].prepare(place.config.route.old.place("acme"))
        yield place


@pytest.fixture
async def place(redis_server: EmbeddedRedis, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with prepared(redis_server, namespace, tmp_path) as made:
        yield made


async def test_killed_in_the_middle_of_a_move_and_run_again_it_leaves_every_record_there(
    place: Place,
) -> None:
    place.old.faults.latency = 0.15
    slow = ("--batch", "10", "--concurrency", "2")
    loader = await place.loading(*slow)
    first = await place.until_sure(loader)
    migration = await place.start("shardroute.cli", "migrate", "acme")
    loader.kill()
    await loader.wait()
    assert 0 < first <= place.sure < RECORDS
    resumed = await place.load(*slow)
    moved = await ended(migration)
    assert (resumed.code, moved.code) == (0, 0), resumed.err + moved.err
    assert resumed.summary["resumed_after"] >= first
    assert resumed.summary["written"] == RECORDS - resumed.summary["resumed_after"]
    assert await place.content() == LOADED
    async with Router(place.config) as router:
        assert router.tenant("acme").phase == "DUAL_NEW"


async def test_ctrl_c_leaves_a_checkpoint_that_says_no_more_than_what_is_written(place: Place) -> None:
    place.old.faults.latency = 0.1
    loader = await place.loading("--batch", "10", "--concurrency", "3")
    await place.until_sure(loader)
    loader.send_signal(signal.SIGINT)
    stopped = await ended(loader)
    assert (stopped.code, stopped.summary["error"]) == (130, "interrupted")
    assert "Traceback" not in stopped.err
    assert 0 < place.sure == stopped.summary["sure"] < RECORDS
    written = await place.content()
    assert all(f"doc-{number}" in written for number in range(place.sure))
    place.old.faults.clear()
    assert (await place.load()).code == 0
    assert await place.content() == LOADED


async def test_what_is_done_is_not_done_again_and_lines_that_were_added_are_loaded(place: Place) -> None:
    assert (await place.load()).summary["written"] == RECORDS
    assert (await place.load()).summary["written"] == 0
    with place.lines.open("a") as file:
        file.write(line(RECORDS) + "\n")
    assert (await place.load()).summary["written"] == 1
    assert (await place.load("--restart")).summary["written"] == RECORDS + 1


async def test_lines_that_changed_before_the_checkpoint_are_refused(place: Place) -> None:
    place.write([line(number) for number in range(10)])
    assert (await place.load()).code == 0
    place.write([line(number) for number in range(1, 11)])
    refused = await place.load()
    assert refused.code == 1
    assert "--restart" in refused.summary["error"]
    assert (await place.load("--restart")).code == 0


BAD = ["{", '{"id": 7, "vector": [1, 2]}', '{"id": "x", "vector": [1, 2, 3]}', '{"id": "x", "text": "words"}',
       '{"id": "x", "vectors": [1, 2]}', "[]"]  # fmt: skip


@pytest.mark.parametrize("bad", [BAD[0], BAD[2]])  # no JSON; JSON, but no record
async def test_a_line_that_is_no_record_is_refused_by_its_number_and_what_stands_before_it_is_written(
    place: Place, bad: str
) -> None:
    place.write([line(0), "", line(1), bad, line(2)])
    refused = await place.load()
    assert refused.code == 1
    assert refused.summary["error"].startswith("line 4: ")
    assert (await place.content()).keys() == {"doc-0", "doc-1"}
    assert "2 records written" in refused.err
    assert "surely written up to line 3\n" in refused.err


@pytest.mark.parametrize("bad", [BAD[0], BAD[2]])
async def test_when_the_line_is_mended_the_load_goes_on_with_it(place: Place, bad: str) -> None:
    place.write([line(0), line(1), bad, line(3)])
    assert (await place.load()).summary["sure"] == place.sure == 2
    place.write([line(number) for number in range(4)])
    mended = await place.load()
    assert (mended.code, mended.summary["resumed_after"], mended.summary["written"]) == (0, 2, 2), mended.err
    assert len(await place.content()) == 4


@pytest.mark.parametrize("bad", [BAD[0], BAD[2]])
async def test_batches_before_the_bad_line_are_finished_though_they_take_longer(
    place: Place, bad: str
) -> None:
    place.old.faults.latency = 0.3
    place.write([*(line(number) for number in range(5)), bad, bad, line(7)])
    refused = await place.load("--batch", "1", "--concurrency", "8")
    assert refused.summary["error"].startswith("line 6: ")
    assert refused.summary["sure"] == place.sure == 5
    assert {f"doc-{number}" for number in range(5)} <= (await place.content()).keys()


async def test_of_a_load_that_wrote_nothing_it_names_no_line_as_written(place: Place) -> None:
    place.write([BAD[0]])
    refused = await place.load()
    assert "0 records written" in refused.err
    assert "surely" not in refused.err


async def test_its_words_count_in_thousands_and_in_the_singular(place: Place) -> None:
    place.write([line(number) for number in range(1200)])
    assert "done: 1,200 records written" in (await place.load()).err
    with place.lines.open("a") as file:
        file.write(line(1200) + "\n" + BAD[0] + "\n")
    appended = await place.load("--skip-malformed")
    assert "skipped line 1,202: " in appended.err
    assert re.search(r"done: 1 record written at [\d,]+/s, 1 line skipped; .* line 1,202\n", appended.err)


async def test_lines_that_are_no_records_are_passed_over_where_that_is_said(place: Place) -> None:
    place.write([line(0), *BAD, line(1)])
    loaded = await place.load("--skip-malformed")
    assert loaded.code == 0
    assert [one["line"] for one in loaded.summary["skipped"]] == [2, 3, 4, 5, 6, 7]
    assert "line 4" in loaded.err
    assert (await place.content()).keys() == {"doc-0", "doc-1"}


async def test_a_cluster_that_fails_at_times_is_asked_again(place: Place) -> None:
    place.old.faults.error_rate, place.old.faults.only = 0.3, {"upsert"}
    loaded = await place.load("--batch", "20")
    assert loaded.code == 0, loaded.err
    assert loaded.summary["repeated"] > 0
    assert await place.content() == LOADED


async def test_the_standard_input_is_read_to_its_end(place: Place) -> None:
    command = ("bulk_loader", "--tenant", "acme", "--json")
    loader = await place.start(*command, stdin=asyncio.subprocess.PIPE)
    loaded = await ended(loader, place.lines.read_bytes())
    assert (loaded.code, loaded.summary["written"]) == (0, RECORDS)
    assert not place.checkpoint.exists()
    assert await place.content() == LOADED


async def test_the_demonstration_ends_with_every_record_on_the_new_cluster(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bulk_loader", "--demo"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "examples")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    shown = await ended(process)
    assert shown.code == 0, shown.err
    assert "acme is on the new cluster" in shown.out
    assert "2,000 of 2,000 records are there" in shown.out
