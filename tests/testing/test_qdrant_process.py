"""The server as a process of its own: it keeps its data, can be killed, and outlives nobody."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m

from shardroute.testing import _qdrant_store
from shardroute.testing._qdrant_store import LOCK, TEMPORARY, QdrantStore
from shardroute.testing.qdrant import QdrantProcess, QdrantServer
from shardroute.testing.serving import ChildServer
from tests.support.patience import patience

VECTORS = m.VectorParams(size=2, distance=m.Distance.COSINE)


async def test_a_killed_process_comes_back_with_its_data_on_the_same_port(tmp_path: Path) -> None:
    async with QdrantProcess(tmp_path) as process:
        client = AsyncQdrantClient(url=process.url, check_compatibility=False)
        await client.create_collection("docs", VECTORS)
        await client.create_payload_index("docs", "tenant", m.PayloadSchemaType.KEYWORD)
        points = [
            m.PointStruct(id=number, vector=[3.0, 4.0 + number], payload={"n": number}) for number in range(9)
        ]
        await client.upsert("docs", points)
        await client.delete("docs", [5])
        before, _ = await client.scroll("docs", with_vectors=True)
        url, pid = process.url, process.pid

        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await process.start()

        assert (process.url, process.pid) != (url, pid)
        assert process.url == url
        after, _ = await client.scroll("docs", with_vectors=True)
        assert [(each.id, each.payload) for each in after] == [(each.id, each.payload) for each in before]
        for old, new in zip(before, after, strict=True):
            assert new.vector == pytest.approx(old.vector)
        assert (await client.get_collection("docs")).payload_schema["tenant"].data_type == "keyword"
        await client.close()


async def test_its_faults_are_set_from_outside() -> None:
    async with QdrantProcess() as process, httpx.AsyncClient(base_url=process.url) as client:
        await process.set_faults(error_rate=1.0, error_status=502)
        assert (await client.get("/collections")).status_code == 502
        await process.set_faults()
        assert (await client.get("/collections")).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_cleanly_with_a_signal(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-m", "shardroute.testing.qdrant", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"listening on http://127.0.0.1:")
    process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert b"Error" not in errors


STARTER = """
import asyncio
from shardroute.testing import _qdrant_store
from shardroute.testing._qdrant_store import LOCK, TEMPORARY, QdrantStore
from shardroute.testing.qdrant import QdrantProcess
from tests.support.patience import patience

async def main():
    async with QdrantProcess() as process:
        print(process.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    url = (await starter.stdout.readline()).decode().strip()
    starter.kill()
    await starter.communicate()
    async with patience(), httpx.AsyncClient(base_url=url) as client:
        while await answers(client):  # noqa: ASYNC110 - nothing tells of the end of a grandchild
            await asyncio.sleep(0.02)


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_start_that_fails_says_so(tmp_path: Path) -> None:
    async with QdrantServer(path=tmp_path):
        blocked = QdrantProcess(tmp_path)
        with pytest.raises(RuntimeError, match="did not start"):
            await blocked.start()


def test_a_directory_of_local_mode_is_not_taken_for_one_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(RuntimeError, match="local mode"):
        QdrantStore(tmp_path)


def test_what_a_killed_server_left_in_memory_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_qdrant_store, "MEMORY", tmp_path)
    monkeypatch.setattr(_qdrant_store, "ENOUGH", 0)
    killed, young = tmp_path / f"{TEMPORARY}killed", tmp_path / f"{TEMPORARY}young"
    for directory in (killed, young):
        directory.mkdir()
        (directory / LOCK).touch()
    running = QdrantStore()
    for directory in set(tmp_path.iterdir()) - {young}:
        os.utime(directory, (0, 0))
    QdrantStore().close()
    assert not killed.exists()
    assert young.exists()
    assert len(list(tmp_path.iterdir())) == 2
    running.close()
    assert list(tmp_path.iterdir()) == [young]


@pytest.mark.parametrize("leftover", ["never acknowledged", "deleted"])
def test_a_collection_without_settings_is_cleared_away(tmp_path: Path, leftover: str) -> None:
    half = tmp_path / "collections" / leftover
    (half / "shard").mkdir(parents=True)
    store = QdrantStore(tmp_path)
    assert store.names() == []
    assert not half.exists()
    store.close()


async def test_what_does_not_run_has_no_id() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = ChildServer("shardroute.testing.qdrant").pid


async def test_data_in_a_path_survives_in_one_process_too(tmp_path: Path) -> None:
    for expected in (0, 1):
        async with QdrantServer(path=tmp_path, collections={"docs": VECTORS}) as server:
            client = AsyncQdrantClient(url=server.url, check_compatibility=False)
            assert (await client.count("docs")).count == expected
            await client.upsert("docs", [m.PointStruct(id=1, vector=[3.0, 4.0])])
            [found] = await client.retrieve("docs", [1], with_vectors=True)
            assert found.vector == pytest.approx([0.6, 0.8])
            await client.close()
