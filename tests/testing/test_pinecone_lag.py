"""Reads of the emulator are behind its writes, each kind by its own lag, and say how far they have come."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pinecone import AsyncIndex

from shardroute.testing._pinecone_arguments import arguments_parser, lag_arguments, lag_of
from shardroute.testing.pinecone import Lag, PineconeServer
from tests.testing.pinecones import client, document, fetched, listed, queried, searched, served, vector

NEVER = Lag(search=math.inf, fetch=math.inf)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PineconeServer]:
    async with served(lag=Lag(search=2.0, fetch=5.0), clock=clock) as running:
        yield running


@pytest.fixture
async def index(server: PineconeServer) -> AsyncIterator[AsyncIndex]:
    async with client(server, "vectors") as opened:
        yield opened


async def test_search_and_fetch_see_a_write_each_after_its_own_lag(index: AsyncIndex, clock: Clock) -> None:
    await index.upsert(vectors=[vector("1", x="y")], namespace="a")
    for seconds, in_search, in_fetch in (
        (1.9, [], []),
        (0.1, ["1"], []),
        (2.9, ["1"], []),
        (0.1, ["1"], ["1"]),
    ):
        clock.now += seconds
        assert await queried(index) == in_search
        assert list(await fetched(index, "1")) == await listed(index) == in_fetch
        assert list((await index.fetch_by_metadata(filter={"x": "y"}, namespace="a")).vectors) == in_fetch
        assert (await index.describe_index_stats()).total_vector_count == len(in_fetch)
        assert (await index.list_namespaces_paginated()).total_count == len(in_fetch)


async def test_deletes_and_updates_lag_too(index: AsyncIndex, clock: Clock) -> None:
    await index.upsert(vectors=[vector("1"), vector("2")], namespace="a")
    clock.now += 10
    await index.update(id="1", set_metadata={"new": True}, namespace="a")
    await index.delete(ids=["2"], namespace="a")
    assert (await queried(index), await queried(index, filter={"new": True})) == (["1", "2"], [])
    clock.now += 2
    assert (await queried(index), await queried(index, filter={"new": True})) == (["1"], ["1"])
    assert list(await fetched(index, "1", "2")) == ["1", "2"]


async def test_a_filter_selects_when_its_write_is_applied_not_when_it_came(
    server: PineconeServer, index: AsyncIndex
) -> None:
    server.lag = NEVER
    await index.upsert(vectors=[vector("1", x=1), vector("2", x=2)], namespace="a")
    await index.update(filter={"x": 1}, set_metadata={"x": 2}, namespace="a")
    await index.delete(filter={"x": 2}, namespace="a")
    await index.upsert(vectors=[vector("3", x=2)], namespace="a")
    server.lag = Lag()
    assert await queried(index) == await listed(index) == ["3"]


async def test_a_longer_lag_takes_nothing_back(server: PineconeServer, index: AsyncIndex) -> None:
    server.lag = Lag()
    await index.upsert(vectors=[vector("1")], namespace="a")
    server.lag = NEVER
    await index.upsert(vectors=[vector("2")], namespace="a")
    assert await queried(index) == await listed(index) == ["1"]
    server.lag = Lag(fetch=math.inf)
    assert (await queried(index), await listed(index)) == (["1", "2"], ["1"])


Look = Callable[[AsyncIndex], Awaitable[bool]]


async def _any(answer: Awaitable[Any]) -> bool:
    return bool(await answer)


async def _listed(index: AsyncIndex) -> list[str]:
    return [one.id async for one in index.documents.list(namespace="a")]


async def _matching(index: AsyncIndex) -> Any:
    return (await index.fetch_by_metadata(filter={"x": "y"}, namespace="a")).vectors


async def _documents(index: AsyncIndex, **which: Any) -> Any:
    return (await index.documents.fetch(namespace="a", **which)).documents


async def _counted(index: AsyncIndex) -> int:
    return (await index.describe_index_stats()).total_vector_count


LOOKS: dict[str, dict[str, Look]] = {
    "vectors": {
        "search": lambda index: _any(queried(index)),
        "fetch": lambda index: _any(fetched(index, "1")),
        "list": lambda index: _any(listed(index)),
        "metadata": lambda index: _any(_matching(index)),
        "counts": lambda index: _any(_counted(index)),
    },
    "documents": {
        "search": lambda index: _any(searched(index)),
        "fetch": lambda index: _any(_documents(index, ids=["1"])),
        "list": lambda index: _any(_listed(index)),
        "metadata": lambda index: _any(_documents(index, filter={"x": "y"})),
        "counts": lambda index: _any(_counted(index)),
    },
}
"""Of each kind of read, whether it shows the record that was written."""
KINDS_OF_READS = list(LOOKS["vectors"])


async def _write(index: AsyncIndex, kind: str) -> None:
    if kind == "vectors":
        await index.upsert(vectors=[vector("1", x="y")], namespace="a")
    else:
        await index.documents.upsert(namespace="a", documents=[document("1", x="y")])


@pytest.mark.parametrize("kind", ["vectors", "documents"])
@pytest.mark.parametrize("late", KINDS_OF_READS)
async def test_each_kind_of_read_lags_by_itself(kind: str, late: str, clock: Clock) -> None:
    given: dict[str, Any] = dict.fromkeys(KINDS_OF_READS, 1.0) | {late: 5.0}
    lag = Lag(**given)
    async with served(lag=lag, clock=clock) as server, client(server, kind) as index:
        await _write(index, kind)
        everything = set(KINDS_OF_READS)
        for seconds, shown in (
            (0.9, set()),
            (0.1, everything - {late}),
            (3.9, everything - {late}),
            (0.1, everything),
        ):
            clock.now += seconds
            assert {name for name, look in LOOKS[kind].items() if await look(index)} == shown


@pytest.mark.parametrize("kind", ["vectors", "documents"])
@pytest.mark.parametrize("look", KINDS_OF_READS)
async def test_reads_of_replicas_that_differ_go_back_and_forth(kind: str, look: str, clock: Clock) -> None:
    lag = Lag(1.0, 1.0, replicas=(0.0, 2.0))
    async with served(lag=lag, clock=clock) as server, client(server, kind) as index:
        await _write(index, kind)
        for seconds, shown in ((0.5, {False}), (1.0, {True, False}), (2.0, {True})):
            clock.now += seconds
            assert {await LOOKS[kind][look](index) for _ in range(4)} == shown


async def test_a_position_is_that_of_the_replica_that_answers(clock: Clock) -> None:
    lag = Lag(replicas=(0.0, 2.0))
    async with served(lag=lag, clock=clock) as server, client(server, "vectors") as index:
        await _write(index, "vectors")
        told = [(await SEARCHES["vectors"](index)).response_info.lsn_reconciled for _ in range(4)]
        assert sorted(told) == [0, 0, 1, 1]


async def test_a_lag_of_its_own_takes_nothing_back_that_was_seen(
    server: PineconeServer, index: AsyncIndex
) -> None:
    server.lag = Lag()
    await index.upsert(vectors=[vector("1")], namespace="a")
    assert await listed(index) == ["1"]
    server.lag = Lag(list=math.inf, replicas=(0.0, math.inf))
    await index.upsert(vectors=[vector("2")], namespace="a")
    assert [await listed(index) for _ in range(2)] == [["1"], ["1"]]
    server.lag = Lag()
    assert await listed(index) == ["1", "2"]


@pytest.mark.parametrize(
    "lag", [Lag(), Lag(1, math.inf), Lag(list=2.0, counts=math.inf, replicas=(0.0, 1.0, math.inf))], ids=str
)
def test_a_lag_is_told_as_json_and_on_a_command_line(lag: Lag) -> None:
    assert Lag.from_json(lag.as_json()) == lag
    given = lag_of(arguments_parser("").parse_args(lag_arguments(lag)))
    assert given.as_json() == lag.as_json()


Act = Callable[[AsyncIndex], Awaitable[Any]]
WRITES: dict[str, list[Act]] = {
    "vectors": [
        lambda index: index.upsert(vectors=[vector("1")], namespace="a"),
        lambda index: index.update(id="unknown", set_metadata={"x": 1}, namespace="a"),
        lambda index: index.update(filter={"x": 1}, set_metadata={"x": 1}, namespace="a"),
    ],
    "documents": [
        lambda index: index.documents.upsert(namespace="a", documents=[document("1")]),
        lambda index: index.documents.update(namespace="a", documents=[{"_id": "unknown", "x": 1}]),
        lambda index: index.documents.update(namespace="a", filter={"x": 1}, set_fields={"x": 2}),
        lambda index: index.documents.delete(namespace="a", ids=["unknown"]),
        lambda index: index.documents.delete(namespace="a", filter={"x": 1}),
        lambda index: index.documents.delete(namespace="a", delete_all=True),
    ],
}
SEARCHES: dict[str, Act] = {
    "vectors": lambda index: index.query(vector=[1, 0], top_k=1, namespace="a"),
    "documents": lambda index: index.documents.search(
        namespace="a",
        top_k=1,
        score_by=[{"type": "dense_vector", "field": "embedding", "values": [1.0, 0.0]}],
    ),
}
OTHER_READS: dict[str, Act] = {
    "vectors": lambda index: index.fetch(ids=["1"], namespace="a"),
    "documents": lambda index: index.documents.fetch(namespace="a", ids=["1"]),
}


@pytest.mark.parametrize("kind", ["vectors", "documents"])
async def test_every_write_takes_the_next_position_and_searches_say_theirs(
    server: PineconeServer, clock: Clock, kind: str
) -> None:
    async with client(server, kind) as index:
        for number, write in enumerate(WRITES[kind], start=1):
            assert (await write(index)).response_info.lsn_committed == number
            behind = (await SEARCHES[kind](index)).response_info
            assert behind.lsn_reconciled == number - 1
            clock.now += 2
            caught_up = (await SEARCHES[kind](index)).response_info
            assert caught_up.is_reconciled(number)
            assert caught_up.lsn_committed is None
            assert (await OTHER_READS[kind](index)).response_info.lsn_reconciled is None


async def test_positions_are_per_namespace(index: AsyncIndex) -> None:
    for namespace, position in (("a", 1), ("a", 2), ("b", 1), ("a", 3)):
        written = await index.upsert(vectors=[vector("1")], namespace=namespace)
        assert written.response_info is not None
        assert written.response_info.lsn_committed == position


async def test_positions_can_be_unknown() -> None:
    async with served(positions=False) as server:
        for kind in ("vectors", "documents"):
            async with client(server, kind) as index:
                for act in (WRITES[kind][0], SEARCHES[kind]):
                    info = (await act(index)).response_info
                    assert (info.lsn_committed, info.lsn_reconciled) == (None, None)


async def test_a_deleted_namespace_goes_on_with_its_positions(index: AsyncIndex, clock: Clock) -> None:
    await index.upsert(vectors=[vector("1")], namespace="a")
    clock.now += 10
    await index.delete_namespace(name="a")
    assert await queried(index) == ["1"]
    again = await index.upsert(vectors=[vector("2")], namespace="a")
    assert again.response_info is not None
    assert again.response_info.lsn_committed == 3
    clock.now += 10
    assert await queried(index) == await listed(index) == ["2"]


async def test_documents_lag_like_vectors(server: PineconeServer, clock: Clock) -> None:
    async with client(server, "documents") as index:
        await index.documents.upsert(namespace="a", documents=[document("1")])
        for seconds, in_search, in_fetch in ((0, [], []), (2, ["1"], []), (3, ["1"], ["1"])):
            clock.now += seconds
            assert await searched(index) == in_search
            assert list((await index.documents.fetch(namespace="a", ids=["1"])).documents) == in_fetch
            assert [one.id async for one in index.documents.list(namespace="a")] == in_fetch


@pytest.mark.parametrize("seconds", [-1, True, "1", math.nan])
def test_a_lag_is_a_number_of_seconds(seconds: Any) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        Lag(search=seconds)
