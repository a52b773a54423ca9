"""The emulator as a process of its own: it keeps every acknowledged write, can be killed, and ends when told."""

import asyncio
import math
import signal
import sys
from pathlib import Path

import httpx
import pytest
from pinecone import AsyncPinecone, ServiceError

from shardroute.testing.pinecone import IndexSpec, Lag, PineconeProcess, PineconeServer
from tests.testing.pinecones import (
    INDEXES,
    KEY,
    client,
    document,
    fetched,
    listed,
    queried,
    searched,
    vector,
)


async def test_a_killed_process_comes_back_with_every_acknowledged_write(tmp_path: Path) -> None:
    async with PineconeProcess(tmp_path, INDEXES) as process:
        url = process.url
        async with client(process, "dot") as index, client(process, "documents") as documents:
            sparse = {"indices": [7], "values": [0.1]}
            vectors = [{**vector(str(n), 0.1, n + 1.0, n=n), "sparse_values": sparse} for n in range(9)]
            await index.upsert(vectors=vectors, namespace="a")
            await index.update(filter={"n": {"$lt": 3}}, set_metadata={"small": True}, namespace="a")
            await index.update(id="8", values=[5.0, 5.0], namespace="a")
            await index.delete(ids=["4"], namespace="a")
            await index.delete(filter={"n": 5}, namespace="a")
            await documents.documents.upsert(
                namespace="b", documents=[document("1", x=1, y=2), document("2")]
            )
            await documents.documents.update(namespace="b", documents=[{"_id": "1", "_remove_fields": ["x"]}])
            await documents.documents.upsert(namespace="gone", documents=[document("1")])
            await documents.documents.delete(namespace="gone", delete_all=True)
            await documents.delete_namespace(name="gone")
            await documents.create_namespace(name="empty")
            before = await fetched(index, *map(str, range(9)))

            process.kill()
            assert await process.wait() == -signal.SIGKILL
            await process.start()

            assert process.url == url
            assert await fetched(index, *map(str, range(9))) == before
            assert await queried(index, filter={"small": True}) == ["0", "1", "2"]
            assert await searched(documents, "b") == ["1", "2"]
            found = await documents.documents.fetch(namespace="b", ids=["1"])
            assert found.documents["1"].to_dict() == document("1", 1.0, 0.0, y=2.0)
            assert list((await documents.describe_index_stats()).namespaces) == ["b", "empty"]
            again = await index.upsert(vectors=[vector("new")], namespace="a")
            assert again.response_info is not None
            assert again.response_info.lsn_committed == 6


async def test_indexes_made_and_deleted_through_the_control_plane_are_kept(tmp_path: Path) -> None:
    async with (
        PineconeServer(path=tmp_path, indexes=INDEXES) as server,
        AsyncPinecone(api_key=KEY, host=server.url) as pinecone,
    ):
        await pinecone.indexes.create(name="made", dimension=3, deletion_protection="enabled")
        await pinecone.indexes.configure("made", deletion_protection="disabled", tags={"a": "b"})
        await pinecone.indexes.delete("dot")
    async with (
        PineconeServer(path=tmp_path) as server,
        AsyncPinecone(api_key=KEY, host=server.url) as pinecone,
    ):
        assert [one.name async for one in pinecone.indexes.list()] == sorted({*INDEXES, "made"} - {"dot"})
        made = await pinecone.indexes.describe("made")
        assert (made.dimension, made.deletion_protection, made.tags) == (3, "disabled", {"a": "b"})


async def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    for number in range(3):
        async with (
            PineconeServer(path=tmp_path, indexes=INDEXES) as server,
            client(server, "vectors") as index,
        ):
            assert await listed(index) == [str(before) for before in range(number)]
            await index.upsert(vectors=[vector(str(number))], namespace="a")
        with (tmp_path / "pinecone.log").open("ab") as log:
            log.write(b'{"index":"vectors","namespace":"a","ups')


async def test_a_restart_catches_up_with_the_log(tmp_path: Path) -> None:
    never = Lag(search=math.inf, fetch=math.inf)
    for seen in ([], ["1"]):
        async with (
            PineconeServer(path=tmp_path, indexes=INDEXES, lag=never) as server,
            client(server, "vectors") as index,
        ):
            assert await queried(index) == await listed(index) == seen
            await index.upsert(vectors=[vector("1")], namespace="a")
            assert await queried(index) == await listed(index) == seen


async def test_lag_faults_and_rates_are_set_from_outside() -> None:
    async with PineconeProcess(indexes=INDEXES, lag=Lag(search=math.inf)) as process:
        async with client(process, "vectors") as index:
            await index.upsert(vectors=[vector("1")], namespace="a")
            assert (await queried(index), await listed(index)) == ([], ["1"])
            await process.set_lag(Lag(fetch=math.inf))
            await index.upsert(vectors=[vector("2")], namespace="a")
            assert (await queried(index), await listed(index)) == (["1", "2"], ["1"])
            await process.set_faults(error_rate=1.0, error_status=501, only=["query"])
            with pytest.raises(ServiceError):
                await queried(index)
            assert await listed(index) == ["1"]
            await process.set_faults()
            assert await queried(index) == ["1", "2"]
        await process.set_rates({"query": 0})
        async with httpx.AsyncClient(base_url=process.url) as raw:
            assert (await raw.get("/_rates")).json() == {"query": 0}
            assert (await raw.get("/_lag")).json() == {"search": 0.0, "fetch": None}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_what_the_command_line_says_and_ends_cleanly_with_a_signal(
    number: signal.Signals,
) -> None:
    arguments = [
        *("--index", "docs:vectors:3:euclidean", "--index", "pages:documents:4:cosine:dense:words"),
        *("--index", "words:vectors:0", "--port", "0", "--api-key", "right", "--no-positions"),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-m", "shardroute.testing.pinecone", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip().removeprefix("listening on ")
    async with AsyncPinecone(api_key="right", host=url) as pinecone:
        fields = {one.name: one.schema.to_dict()["fields"] async for one in pinecone.indexes.list()}
    process.send_signal(number)
    _, errors = await process.communicate()
    said = [line for line in errors.splitlines() if b" took " not in line]  # -X dev tells of a slow machine
    assert (process.returncode, said) == (0, [])
    assert {name: set(schema) for name, schema in fields.items()} == {
        "docs": {"_values"},
        "pages": {"dense", "words"},
        "words": {"_sparse_values"},
    }
    assert IndexSpec(fields["docs"]).dense["_values"] == (3, "euclidean")
