"""The SDK's gRPC client works with the emulator as with Pinecone, and shares the data with the HTTP interface."""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import httpx
import pytest
from pinecone import (
    ApiError,
    ConflictError,
    NotFoundError,
    PineconeConnectionError,
    PineconeError,
    PineconeTimeoutError,
    RetryConfig,
    ServiceError,
    UnauthorizedError,
)
from pinecone.grpc import GrpcIndex

from shardroute.testing._pinecone_grpc import METHODS
from shardroute.testing._pinecone_proto import CLASSES
from shardroute.testing.pinecone import Lag, PineconeProcess, PineconeServer
from tests.support.patience import patience
from tests.testing.pinecones import INDEXES, KEY, client, queried, served, vector

T = TypeVar("T")


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with served() as running:
        yield running


async def using(
    server: PineconeServer | PineconeProcess,
    use: Callable[[GrpcIndex], T],
    name: str = "vectors",
    **settings: Any,
) -> T:
    """What `use` returns, in a thread: the client is synchronous, and the server lives in this loop."""
    host = await server.grpc_host(name)

    def run() -> T:
        arguments = {"api_key": KEY, "secure": False, "retry_config": RetryConfig(max_retries=0), **settings}
        with GrpcIndex(host=host, **arguments) as index:
            return use(index)

    return await asyncio.to_thread(run)


def found(index: GrpcIndex, namespace: str = "a", **how: Any) -> list[str]:
    arguments: dict[str, Any] = {"vector": [1.0, 0.0], "top_k": 10, **how}
    return [match.id for match in index.query(namespace=namespace, **arguments).matches]


def listed(index: GrpcIndex, namespace: str = "a", **how: Any) -> list[str | None]:
    return [item.id for page in index.list(namespace=namespace, **how) for item in page.vectors]


async def test_what_was_upserted_is_found_and_fetched(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        metadata = {"text": "x", "number": 1.5, "flag": False, "tags": ["p", "q"]}
        answer = index.upsert(vectors=[vector("1", 1, 0, **metadata), vector("2", 3, 4)], namespace="a")
        assert answer.upserted_count == 2
        match, other = index.query(
            vector=[2, 0], top_k=2, namespace="a", include_values=True, include_metadata=True
        ).matches
        assert (match.id, match.score, match.values, match.metadata) == ("1", 1.0, [1.0, 0.0], metadata)
        assert (other.id, other.metadata) == ("2", None)
        assert other.score == pytest.approx(0.6)
        answered = index.fetch(ids=["2", "none"], namespace="a")
        assert list(answered.vectors) == ["2"]
        assert answered.vectors["2"].values == [3.0, 4.0]
        assert (answered.namespace, answered.usage and answered.usage.read_units) == ("a", 1)

    await using(server, use)


async def test_http_and_grpc_share_their_data(server: PineconeServer) -> None:
    async with client(server, "vectors") as index:
        await index.upsert(vectors=[vector("http")], namespace="a")
        await using(server, lambda index: index.upsert(vectors=[vector("grpc")], namespace="a"))
        assert await queried(index) == await using(server, found) == ["grpc", "http"]


async def test_without_a_namespace_it_is_the_default_one(server: PineconeServer) -> None:
    await using(server, lambda index: index.upsert(vectors=[vector("1")]))
    async with client(server, "vectors") as index:
        assert await queried(index, "__default__") == ["1"]


async def test_numbers_and_sparse_values_cross_unchanged(server: PineconeServer) -> None:
    sparse = {"indices": [0, 2**32 - 1], "values": [0.5, 0.25]}

    def use(index: GrpcIndex) -> None:
        index.upsert(vectors=[{**vector("1", 0.1, -3e5), "sparse_values": sparse}])
        held = index.fetch(ids=["1"]).vectors["1"]
        assert held.values == [pytest.approx(0.1), pytest.approx(-3e5)]
        assert held.sparse_values is not None
        assert (held.sparse_values.indices, held.sparse_values.values) == tuple(sparse.values())
        (match,) = index.query(
            vector=[0.1, 0.0], sparse_vector={"indices": [0], "values": [2.0]}, top_k=1, include_values=True
        ).matches
        assert match.score == pytest.approx(1.01)
        assert match.sparse_values == held.sparse_values

    await using(server, use, "dot")


async def test_filters_select_in_every_operation_that_takes_one(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        vectors = [vector(str(n), n=n, tags=["odd" if n % 2 else "even"]) for n in range(6)]
        index.upsert(vectors=vectors, namespace="a")
        nested = {"$and": [{"n": {"$gte": 1}}, {"$or": [{"tags": "odd"}, {"n": {"$in": [2]}}]}]}
        assert found(index, filter=nested) == ["1", "2", "3", "5"]
        page = index.fetch_by_metadata(filter={"tags": {"$in": ["odd"]}}, namespace="a", limit=2)
        assert page.pagination is not None
        rest = index.fetch_by_metadata(
            filter={"tags": "odd"}, namespace="a", limit=2, pagination_token=page.pagination.next
        )
        assert (set(page.vectors), set(rest.vectors)) == ({"1", "3"}, {"5"})  # a map has no order
        assert rest.pagination is None
        half = {"n": {"$lt": 3}}
        assert (
            index.update(filter=half, set_metadata={"x": 1}, namespace="a", dry_run=True).matched_records == 3
        )
        assert found(index, filter={"x": 1}) == []
        assert index.update(filter=half, set_metadata={"x": 1}, namespace="a").matched_records == 3
        assert found(index, filter={"x": 1}) == ["0", "1", "2"]
        index.delete(filter=half, namespace="a")
        assert found(index) == ["3", "4", "5"]

    await using(server, use)


async def test_an_update_changes_what_it_names(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        index.upsert(vectors=[vector("1", 1, 0, x=1, y="old")])
        index.update(id="1", set_metadata={"y": "new"})
        index.update(id="1", values=[0, 1])
        held = index.fetch(ids=["1"]).vectors["1"]
        assert (held.values, held.metadata) == ([0.0, 1.0], {"x": 1.0, "y": "new"})

    await using(server, use)


async def test_a_delete_takes_ids_or_everything(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        index.upsert(vectors=[vector(name) for name in "123"], namespace="a")
        index.delete(ids=["2"], namespace="a")
        assert found(index) == ["1", "3"]
        index.delete(delete_all=True, namespace="a")
        assert found(index) == []

    await using(server, use)


async def test_ids_are_listed_page_by_page(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        index.upsert(vectors=[vector(f"{kind}{n}") for kind in "xy" for n in range(3)], namespace="a")
        assert [len(page.vectors) for page in index.list(namespace="a", limit=4)] == [4, 2]
        assert listed(index, prefix="y", limit=2) == ["y0", "y1", "y2"]

    await using(server, use)


async def test_namespaces_are_made_described_listed_and_deleted(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> None:
        made = index.create_namespace(name="m", schema={"fields": {"x": {"filterable": True}}})
        assert (made.name, made.record_count) == ("m", 0)
        assert made.schema is not None
        assert made.schema.fields["x"].filterable
        index.upsert(vectors=[vector("1"), vector("2")], namespace="n")
        described = index.describe_namespace(name="n")
        assert (described.record_count, described.schema) == (2, None)
        page = index.list_namespaces_paginated(limit=1)
        assert ([one.name for one in page.namespaces], page.total_count) == (["m"], 2)
        names = [one.name for page in index.list_namespaces(limit=1) for one in page.namespaces]
        assert names == ["m", "n"]
        stats = index.describe_index_stats()
        assert {name: one.vector_count for name, one in stats.namespaces.items()} == {"m": 0, "n": 2}
        assert (stats.dimension, stats.metric, stats.vector_type) == (2, "cosine", "dense")
        assert stats.total_vector_count == 2
        index.delete_namespace(name="m")
        assert list(index.describe_index_stats().namespaces) == ["n"]

    await using(server, use)


async def test_a_sparse_index_has_no_dimension(server: PineconeServer) -> None:
    stats = await using(server, lambda index: index.describe_index_stats(), "sparse")
    assert (stats.dimension, stats.vector_type) == (None, "sparse")


REFUSED: list[tuple[Callable[[GrpcIndex], Any], type[PineconeError], str]] = [
    (lambda index: index.describe_namespace(name="none"), NotFoundError, "No namespace: 'none'"),
    (lambda index: index.delete(ids=["1"], namespace="none"), NotFoundError, "No namespace: 'none'"),
    (lambda index: index.create_namespace(name="there"), ConflictError, "already exists"),
    (lambda index: index.upsert(vectors=[vector("1", 1, 2, 3)]), ApiError, "dimension 3 does not match"),
    (lambda index: index.upsert(vectors=[vector("x" * 513)]), ApiError, "512"),
    (lambda index: index.upsert(vectors=[vector("1", x="y" * 41_000)]), ApiError, "Metadata size"),
    (lambda index: index.upsert(vectors=[vector(str(n)) for n in range(1001)]), ApiError, "at most 1000"),
    (lambda index: found(index, filter={"x": {"$gt": "a"}}), ApiError, "number"),
    (lambda index: found(index, filter={"x": {"$eq": None}}), ApiError, "eq cannot be followed by"),
    (lambda index: index.describe_index_stats(filter={"x": 1}), ApiError, "metadata filtering"),
    (
        lambda index: index.upsert(vectors=[vector(str(n), text="x" * 39_000) for n in range(60)]),
        PineconeError,
        "too large: found .* the limit is: 2097152",
    ),
]


@pytest.mark.parametrize(("use", "kind", "message"), REFUSED)
async def test_a_refusal_is_the_exception_that_the_sdk_has_for_it(
    server: PineconeServer, use: Callable[[GrpcIndex], Any], kind: type[PineconeError], message: str
) -> None:
    async with client(server, "vectors") as index:
        await index.create_namespace(name="there")
    with pytest.raises(kind, match=message):
        await using(server, use)


async def test_a_result_that_is_too_large_is_refused(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> list[str]:
        for start in range(0, 120, 40):
            vectors = [vector(str(n), text="x" * 39_000) for n in range(start, start + 40)]
            index.upsert(vectors=vectors, namespace="a")
        assert len(found(index, top_k=120)) == 120
        return found(index, top_k=120, include_metadata=True)

    with pytest.raises(ApiError, match=r"too large: found .* the limit is: 4194304"):
        await using(server, use)


async def test_a_document_index_refuses_it(server: PineconeServer) -> None:
    with pytest.raises(ApiError, match="documents API"):
        await using(server, found, "documents")


async def test_an_index_that_does_not_exist_has_no_port(server: PineconeServer) -> None:
    with pytest.raises(ValueError, match="none not found"):
        await server.grpc_host("none")


async def test_only_the_right_key_is_let_in() -> None:
    async with served(api_key="right") as server:
        assert await using(server, found, api_key="right") == []
        with pytest.raises(UnauthorizedError):
            await using(server, found, api_key="wrong")


async def test_reads_lag_behind_writes_as_they_do_over_http(server: PineconeServer) -> None:
    server.lag = Lag(search=math.inf)
    await using(server, lambda index: index.upsert(vectors=[vector("1")], namespace="a"))
    assert (await using(server, found), await using(server, listed)) == ([], ["1"])
    server.lag = Lag()
    assert await using(server, found) == ["1"]


async def raw(server: PineconeServer, method: str, **content: Any) -> tuple[Any, dict[str, str]]:
    """The answer and its initial metadata, which the SDK does not look at."""
    request, response = METHODS[method].request, METHODS[method].response
    async with grpc.aio.insecure_channel(await server.grpc_host("vectors")) as channel:
        call = channel.unary_unary(
            f"/VectorService/{method}", response_deserializer=CLASSES[response].FromString
        )(CLASSES[request](**content).SerializeToString(), metadata=(("api-key", KEY),))
        return await call, dict(await call.initial_metadata())


async def test_positions_stand_before_the_answer(server: PineconeServer) -> None:
    vectors = [CLASSES["Vector"](id="1", values=[1, 0])]
    _, wrote = await raw(server, "Upsert", vectors=vectors, namespace="a")
    _, read = await raw(server, "Query", vector=[1, 0], top_k=1, namespace="a")
    assert (wrote, read) == ({"x-pinecone-request-lsn": "1"}, {"x-pinecone-max-indexed-lsn": "1"})


@pytest.mark.parametrize("words", ["No namespace: '{namespace}'", "gone", ""])
async def test_a_namespace_that_is_missing_is_said_so_in_any_words_over_both_interfaces(words: str) -> None:
    async with served(missing_namespace_message=words) as server:
        refused: list[str] = []

        def use(index: GrpcIndex) -> None:
            for ask in (
                lambda: index.delete(ids=["1"], namespace="none"),
                lambda: index.describe_namespace(name="none"),
                lambda: index.delete_namespace(name="none"),
            ):
                with pytest.raises(NotFoundError) as caught:
                    ask()
                refused.append(caught.value.message)

        await using(server, use)
        async with client(server, "vectors") as index:
            with pytest.raises(NotFoundError) as caught:
                await index.delete(ids=["1"], namespace="none")
        assert all(
            words.replace("{namespace}", "none") in message for message in [*refused, caught.value.message]
        )


@pytest.mark.parametrize("named", ["", "__default__"])
async def test_the_default_namespace_is_answered_by_the_name_that_it_was_asked_by(
    server: PineconeServer, named: str
) -> None:
    def use(index: GrpcIndex) -> set[str | None]:
        index.upsert(vectors=[vector("1")], namespace=named)
        return {
            index.query(vector=[1, 0], top_k=1, namespace=named).namespace,
            index.fetch(ids=["1"], namespace=named).namespace,
            index.list_paginated(namespace=named).namespace,
        }

    assert await using(server, use) == {named}


async def test_a_query_of_zeros_is_answered(server: PineconeServer) -> None:
    def use(index: GrpcIndex) -> list[str]:
        index.upsert(vectors=[vector("1"), vector("2", -1, 0)], namespace="a")
        return found(index, vector=[0.0, 0.0])

    assert await using(server, use) == ["1", "2"]


async def test_the_rates_of_a_namespace_hold_for_both_interfaces_together(server: PineconeServer) -> None:
    server.rates["query"] = 0.001
    async with client(server, "vectors") as index:
        await queried(index, "a")
    assert await using(server, lambda index: found(index, "b")) == []
    with pytest.raises(ApiError, match="Too many query requests") as refused:
        await using(server, found)
    assert refused.value.status_code == 429


FAULTS: list[tuple[dict[str, Any], type[PineconeError]]] = [
    ({"error_rate": 1.0}, PineconeConnectionError),
    ({"error_rate": 1.0, "error_status": 500}, ServiceError),
    ({"error_rate": 1.0, "error_status": 504}, PineconeTimeoutError),
    ({"rate_limit": 0}, ApiError),
    ({"down": True}, PineconeConnectionError),
]


@pytest.mark.parametrize(("settings", "kind"), FAULTS)
async def test_a_fault_strikes_what_it_is_restricted_to(
    server: PineconeServer, settings: dict[str, Any], kind: type[PineconeError]
) -> None:
    server.faults.update({**settings, "only": ["query"]})
    with pytest.raises(kind):
        await using(server, found)
    assert await using(server, listed) == []


async def test_the_sdk_tries_again_until_a_fault_is_over(server: PineconeServer) -> None:
    server.faults.update({"rate_limit": 0, "retry_after": 0})
    retries = RetryConfig(max_retries=5, backoff_factor=0.01)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(
        using(
            server, found, retry_config=retries, on_throttle=lambda host: loop.call_soon_threadsafe(told.set)
        )
    )
    await told.wait()
    server.faults.clear()
    assert await waiting == []


async def test_a_lost_answer_is_not_a_lost_write(server: PineconeServer) -> None:
    server.faults.update({"down": True, "after_write": True, "only": ["write"]})
    with pytest.raises(PineconeConnectionError):
        await using(server, lambda index: index.upsert(vectors=[vector("1")], namespace="a"))
    assert await using(server, found) == ["1"]


async def test_a_request_whose_sender_gave_up_is_carried_out_all_the_same(server: PineconeServer) -> None:
    server.faults.update({"hang": True, "only": ["write"]})
    with pytest.raises(PineconeTimeoutError):
        await using(server, lambda index: index.upsert(vectors=[vector("1")], namespace="a"), timeout=0.1)
    assert await using(server, found) == []
    server.faults.clear()
    async with patience():
        while await using(server, found) != ["1"]:
            pass


async def test_the_end_lets_go_of_requests_that_hang() -> None:
    async with served() as server:
        server.faults.hang = True
        waiting = asyncio.create_task(using(server, found, timeout=60))
        await asyncio.sleep(0.1)  # it has arrived then, or is refused: the same for its sender
    with pytest.raises(PineconeConnectionError):
        await waiting


async def test_a_port_is_the_same_each_time_and_can_be_chosen(server: PineconeServer) -> None:
    host = await server.grpc_host("vectors")
    assert await server.grpc_host("vectors") == host
    assert await server.grpc_host("dot") != host
    with pytest.raises(RuntimeError):
        await server.grpc_host("sparse", int(host.rpartition(":")[2]))


async def test_a_killed_process_is_back_on_the_same_port_with_its_data(tmp_path: Path) -> None:
    async with PineconeProcess(tmp_path, INDEXES) as process:
        host = await process.grpc_host("vectors")
        with GrpcIndex(
            host=host, api_key=KEY, secure=False, retry_config=RetryConfig(max_retries=0)
        ) as index:
            index.upsert(vectors=[vector("1")], namespace="a")
            process.kill()
            assert await process.wait() == -signal.SIGKILL
            with pytest.raises(PineconeError):
                found(index)
            await process.start()
            assert await process.grpc_host("vectors") == host
            assert found(index) == ["1"]
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            await process.grpc_host("none")


async def test_a_process_with_grpc_ends_cleanly_with_a_signal() -> None:
    async with PineconeProcess(indexes=INDEXES) as process:
        host = await process.grpc_host("vectors")
        with GrpcIndex(host=host, api_key=KEY, secure=False) as index:
            assert found(index) == []
            process.terminate()
            assert await process.wait() == 0
