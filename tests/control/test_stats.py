"""Statistics of all processes in Redis: they add up, once, and stay small."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shardroute.comparisons import Example, RecordedQuery
from shardroute.config import ControlConfig
from shardroute.control import ControlPlane, Stats
from shardroute.control.scripts import Scripts
from shardroute.control.stats import MOST_BYTES, MOST_IDS, MOST_LETTERS, MOST_NAMES, MOST_WINDOWS
from shardroute.errors import ControlPlaneUnavailable, InvalidInput
from shardroute.phases import Phase, Side
from shardroute.statistics import Events, Tally, added

from .board import Board

LONG = 3600.0  # seconds: nothing ends within a test
AGE = 1e9  # seconds: a window that no test sees the end of
LARGE = 1 << 30  # bytes: a budget that no test uses up
EXAMPLE = Example(
    digest="0123456789ab",
    badness=0.5,
    at=1_700_000_000.25,
    phase=Phase.DUAL_OLD,
    top_k=3,
    primary_ids=("a", "Łódź", '"c"'),
    other_ids=("a",),
    primary_seconds=0.012,
    other_seconds=None,
    note="two are missing",
)
QUERY = RecordedQuery(
    vector=(1.0, -0.5, 2.0**-60, 3.25),
    top_k=7,
    raw_filter={"year": {"$gte": 2020}, "$or": [{"lang": "pl"}, {"public": True}]},
    sparse_indices=(0, 7, 2**32 - 1),
    sparse_values=(0.5, 0.25, 2.0),
    text="miasto Łódź",
    at=1_700_000_000.5,
    extra={"include_vector": True},
)


@pytest.fixture
async def another(control: ControlConfig) -> AsyncIterator[ControlPlane]:
    """As another process has it."""
    opened = ControlPlane.open(control)
    yield opened
    await opened.aclose()


async def add(plane: ControlPlane, *, tenant: str = "acme", window: float = AGE, **counts: int) -> None:
    await plane.stats.add(tenant, Tally(counts), window=window, retention=LONG)


async def add_all(plane: ControlPlane, names: list[str]) -> None:
    """Each once."""
    await plane.stats.add("acme", Tally(dict.fromkeys(names, 1)), window=AGE, retention=LONG)


async def counts(plane: ControlPlane, tenant: str = "acme") -> Mapping[str, int]:
    return added(window.tally for window in await plane.stats.windows(tenant)).counts


async def past_windows(plane: ControlPlane, *ages: int) -> None:
    """Windows of ten seconds that began so many seconds ago, with that as their count."""
    redis: Any = plane.connections.commands
    now = await plane.time()
    fields = {f"{round((now - age) * 1000)}/10000": json.dumps({Events.COMPARED: age}) for age in ages}
    await redis.hset(plane.keys.tallies("acme"), mapping=fields)


async def compared(plane: ControlPlane, *, seconds: float | None = None) -> list[int]:
    windows = await plane.stats.windows("acme", seconds=seconds)
    return [window.tally.count(Events.COMPARED) for window in windows]


class _LosesAnswers:
    """A Redis that does what it is told, and whose first answer is lost."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.asked = 0

    async def evalsha(self, *command: Any) -> Any:
        answer = await self._redis.evalsha(*command)
        self.asked += 1
        if self.asked == 1:
            raise RedisConnectionError("the answer is lost")
        return answer


async def lossy(plane: ControlPlane) -> tuple[Stats, _LosesAnswers]:
    """Asks again when an answer was lost. The server knows the scripts."""
    await add(plane, tenant="warm-up", x=1)
    await plane.stats.record("warm-up", [QUERY], most=1, retention=LONG)
    redis: Any = _LosesAnswers(plane.connections.commands)
    scripts = Scripts(redis, plane.keys, timeout=20, patience=20)
    stats = Stats(plane.connections, scripts, budget=LARGE)
    redis.asked = 1
    await stats.add(
        "warm-up", Tally({"x": 1}), window=AGE, retention=LONG
    )  # it has asked what the server may use
    redis.asked = 0
    return stats, redis


# -- counts


async def test_counts_of_all_processes_add_up(plane: ControlPlane, another: ControlPlane) -> None:
    await asyncio.gather(
        *(add(process, a=1, b=number) for process in (plane, another) for number in range(20))
    )
    assert await counts(plane) == {"a": 40, "b": 380}


async def test_a_tally_comes_back_as_it_was(plane: ControlPlane) -> None:
    tally = Tally()
    tally.answered(Side.OLD, 0.012)
    tally.failed(Side.NEW, "Łódź/timeout")
    tally.event(Events.SHED, 3)
    await plane.stats.add("acme", tally, window=LONG, retention=LONG)
    assert await counts(plane) == tally.counts


async def test_large_sums_are_exact(plane: ControlPlane) -> None:
    year = 365 * 86_400 * 1_000_000  # microseconds
    await add(plane, latency=year)
    await add(plane, latency=year + 1)
    assert await counts(plane) == {"latency": 2 * year + 1}


async def test_a_window_is_of_its_length_and_holds_the_time_of_redis(plane: ControlPlane) -> None:
    await add(plane, window=LONG, a=1)
    (window,) = await plane.stats.windows("acme")
    assert window.seconds == LONG
    assert window.start % LONG == 0
    assert window.start <= await plane.time() < window.start + 2 * LONG


async def test_windows_of_different_lengths_do_not_mix(plane: ControlPlane) -> None:
    await add(plane, window=LONG, a=1)
    await add(plane, window=AGE, a=2)
    windows = await plane.stats.windows("acme")
    assert {window.seconds: window.tally.counts for window in windows} == {LONG: {"a": 1}, AGE: {"a": 2}}


async def test_windows_come_oldest_first(plane: ControlPlane) -> None:
    await past_windows(plane, 30, 20, 50, 40)
    assert await compared(plane) == [50, 40, 30, 20]


async def test_windows_that_reach_into_the_last_seconds_are_told(plane: ControlPlane) -> None:
    await past_windows(plane, 400, 300, 200, 100)
    assert await compared(plane, seconds=250) == [200, 100]
    assert await compared(plane, seconds=320) == [300, 200, 100]
    assert await compared(plane, seconds=10) == []


async def test_an_empty_tally_and_counts_of_nothing_are_not_sent(plane: ControlPlane) -> None:
    stats, redis = await lossy(plane)
    await stats.add("acme", Tally(), window=LONG, retention=LONG)
    await stats.add("acme", Tally({"a": 0}), window=LONG, retention=LONG)
    assert redis.asked == 0
    assert await plane.stats.windows("acme") == []


async def test_tenants_are_counted_apart(plane: ControlPlane) -> None:
    await add(plane, tenant="acme", a=1)
    await add(plane, tenant="Łódź:{x}", a=2)
    assert await counts(plane) == {"a": 1}
    assert await counts(plane, "Łódź:{x}") == {"a": 2}


# -- once


async def test_counts_whose_answer_was_lost_are_counted_once(plane: ControlPlane) -> None:
    stats, redis = await lossy(plane)
    await stats.add("acme", Tally({"a": 1}), window=LONG, retention=LONG)
    assert redis.asked == 2
    assert await counts(plane) == {"a": 1}


async def test_queries_whose_answer_was_lost_are_recorded_once(plane: ControlPlane) -> None:
    stats, redis = await lossy(plane)
    await stats.record("acme", [QUERY], most=10, retention=LONG)
    assert redis.asked == 2
    assert await plane.stats.recorded("acme") == [QUERY]


async def test_the_same_counts_added_twice_count_twice(plane: ControlPlane) -> None:
    await add(plane, a=1)
    await add(plane, a=1)
    assert await counts(plane) == {"a": 2}


async def test_a_batch_that_comes_again_does_not_bring_back_what_was_cleared(plane: ControlPlane) -> None:
    batch = ("tally", "acme", "one", LARGE, 1000, 60_000, 10, 10, '{"a": 1}')
    await plane.scripts.run(*batch)
    await plane.stats.clear("acme")
    await plane.scripts.run(*batch)
    assert await plane.stats.windows("acme") == []


async def test_batches_are_forgotten_after_a_minute(plane: ControlPlane) -> None:
    redis: Any = plane.connections.commands
    key = plane.keys.batches
    await add(plane, a=1)
    ancient = (await plane.time() - 61) * 1000
    await redis.zadd(key, {"ancient": ancient})
    await add(plane, a=1)
    assert "ancient" not in await redis.zrange(key, 0, -1)
    assert await redis.zcard(key) == 2


# -- small


async def test_everything_is_forgotten_once_the_retention_is_over(plane: ControlPlane) -> None:
    redis: Any = plane.connections.commands
    await plane.stats.add("acme", Tally({"a": 1}), window=10, retention=100)
    await plane.stats.add_examples("acme", [EXAMPLE], retention=100)
    await plane.stats.record("acme", [QUERY], most=5, retention=100)
    keys = plane.keys
    for key in (keys.tallies("acme"), keys.batches, keys.examples("acme"), keys.recorded("acme")):
        assert 0 < await redis.pttl(key) <= 100_000


async def test_windows_older_than_the_retention_go_when_a_new_one_begins(plane: ControlPlane) -> None:
    await past_windows(plane, 150, 50)
    await plane.stats.add("acme", Tally({Events.COMPARED: 1}), window=10, retention=100)
    assert await compared(plane) == [50, 1]


async def test_of_too_many_windows_the_oldest_go(plane: ControlPlane) -> None:
    await past_windows(plane, *(20 + number for number in range(MOST_WINDOWS)))
    await add(plane, window=10, compared=1)
    found = await compared(plane)
    assert len(found) == MOST_WINDOWS
    assert found[:2] == [20 + MOST_WINDOWS - 2, 20 + MOST_WINDOWS - 3]
    assert found[-1] == 1


async def test_a_tally_of_too_many_names_is_refused_whole(plane: ControlPlane) -> None:
    with pytest.raises(InvalidInput, match=f"{MOST_NAMES + 1} names"):
        await add_all(plane, [f"name-{number}" for number in range(MOST_NAMES + 1)])
    assert await plane.stats.windows("acme") == []


async def test_a_tally_with_a_name_of_too_many_letters_is_refused(plane: ControlPlane) -> None:
    await add_all(plane, ["x" * MOST_LETTERS])
    with pytest.raises(InvalidInput, match=f"{MOST_LETTERS + 1} letters"):
        await add_all(plane, ["x" * (MOST_LETTERS + 1)])


async def test_names_that_a_window_has_no_room_for_are_left_out_and_known_ones_go_on(
    plane: ControlPlane,
) -> None:
    await add_all(plane, [f"name-{number}" for number in range(MOST_NAMES)])
    await add_all(plane, ["one more", "name-0"])
    found = await counts(plane)
    assert len(found) == MOST_NAMES
    assert found["name-0"] == 2


async def test_statistics_leave_the_map_alone(board: Board) -> None:
    before = await board.map()
    await add(board.plane, a=1)
    await board.plane.stats.add_examples("acme", [EXAMPLE], retention=LONG)
    await board.plane.stats.record("acme", [QUERY], most=5, retention=LONG)
    await board.plane.stats.clear("acme")
    assert await board.map() == before


# -- examples


async def test_an_example_comes_back_as_it_was(plane: ControlPlane) -> None:
    breach = replace(EXAMPLE, badness=2.0, other_seconds=0.5, note="")
    await plane.stats.add_examples("acme", [EXAMPLE, breach], retention=LONG)
    assert await plane.stats.examples("acme") == [breach, EXAMPLE]


async def test_the_worst_examples_stay_worst_first_and_of_equals_the_newest(
    plane: ControlPlane, another: ControlPlane
) -> None:
    given = [(0.5, 1), (1.0, 2), (0.5, 3), (2.0, 4), (0.25, 5), (0.5, 6), (1.0, 7)]
    for number, (badness, at) in enumerate(given):
        example = replace(EXAMPLE, digest=f"{9 - at:012}", badness=badness, at=EXAMPLE.at + at)
        await (plane, another)[number % 2].stats.add_examples("acme", [example], most=5, retention=LONG)
    found = [(one.badness, one.at - EXAMPLE.at) for one in await plane.stats.examples("acme")]
    assert found == [(2.0, 4), (1.0, 7), (1.0, 2), (0.5, 6), (0.5, 3)]


async def test_an_example_that_is_added_again_is_there_once(plane: ControlPlane) -> None:
    for _ in range(2):
        await plane.stats.add_examples("acme", [EXAMPLE], retention=LONG)
    assert await plane.stats.examples("acme") == [EXAMPLE]


async def test_of_long_answers_an_example_keeps_the_first_ids(plane: ControlPlane) -> None:
    ids = tuple(f"record-{number}" for number in range(10_000))
    long = replace(EXAMPLE, top_k=10_000, primary_ids=ids, other_ids=ids, note="x" * 10_000)
    await plane.stats.add_examples("acme", [long], retention=LONG)
    (found,) = await plane.stats.examples("acme")
    assert found.primary_ids == found.other_ids == ids[:MOST_IDS]
    assert (found.top_k, len(found.note)) == (10_000, MOST_LETTERS)


@pytest.mark.parametrize("most", [0, 3])
async def test_no_example_leaves_those_that_are_there(plane: ControlPlane, most: int) -> None:
    await plane.stats.add_examples("acme", [EXAMPLE], retention=LONG)
    await plane.stats.add_examples("acme", [EXAMPLE] if not most else [], most=most, retention=LONG)
    assert await plane.stats.examples("acme") == [EXAMPLE]


# -- recorded queries


QUERIES = {
    "everything": QUERY,
    "a vector alone": RecordedQuery((0.5, 0.25), 10),
    "sparse alone": RecordedQuery(None, 10, sparse_indices=(3,), sparse_values=(0.5,)),
    "text alone": RecordedQuery(None, 1, text="words"),
    "another dimension": replace(QUERY, vector=(0.5,) * 4096),
    "a filter of empty parts": RecordedQuery((1.0,), 1, raw_filter={"$or": [], "a": {"$in": []}, "b": {}}),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_recorded_query_comes_back_as_it_was(plane: ControlPlane, query: RecordedQuery) -> None:
    await plane.stats.record("acme", [query], most=5, retention=LONG)
    assert await plane.stats.recorded("acme") == [query]


async def test_numbers_of_a_recorded_vector_are_those_of_float32(plane: ControlPlane) -> None:
    await plane.stats.record("acme", [replace(QUERY, vector=(0.1, 1 / 3))], most=5, retention=LONG)
    (found,) = await plane.stats.recorded("acme")
    assert found.vector == (float(np.float32(0.1)), float(np.float32(1 / 3)))


async def test_a_recorded_vector_takes_six_bytes_a_number_at_most(plane: ControlPlane) -> None:
    redis: Any = plane.connections.commands
    vector = tuple(np.random.default_rng(7).normal(size=1536).tolist())
    await plane.stats.record("acme", [RecordedQuery(vector, 10)], most=5, retention=LONG)
    (text,) = await redis.lrange(plane.keys.recorded("acme"), 0, -1)
    assert len(text) < 6 * len(vector)


async def test_the_newest_recorded_queries_stay_oldest_first(
    plane: ControlPlane, another: ControlPlane
) -> None:
    queries = [replace(QUERY, at=float(number)) for number in range(12)]
    await plane.stats.record("acme", queries[:2], most=4, retention=LONG)
    await another.stats.record("acme", queries[2:5], most=4, retention=LONG)
    assert await plane.stats.recorded("acme") == queries[1:5]
    await plane.stats.record("acme", queries[5:], most=4, retention=LONG)
    assert await plane.stats.recorded("acme") == queries[-4:]


UNFIT = {
    "not JSON": replace(QUERY, raw_filter={"a": object()}),
    "larger than is kept": replace(QUERY, raw_filter={"id": {"$in": ["x" * 1000] * (MOST_BYTES // 1000)}}),
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
async def test_a_query_that_cannot_be_kept_is_left_out_and_others_stay(
    plane: ControlPlane, unfit: RecordedQuery
) -> None:
    await plane.stats.record("acme", [unfit, QUERY], most=5, retention=LONG)
    assert await plane.stats.recorded("acme") == [QUERY]


async def test_numbers_of_numpy_in_a_filter_are_numbers(plane: ControlPlane) -> None:
    query = replace(QUERY, raw_filter={"year": {"$gte": np.int64(2020)}})
    await plane.stats.record("acme", [query], most=5, retention=LONG)
    (found,) = await plane.stats.recorded("acme")
    assert found.raw_filter == {"year": {"$gte": 2020}}


async def test_none_are_recorded_where_none_are_kept(plane: ControlPlane) -> None:
    await plane.stats.record("acme", [QUERY], most=0, retention=LONG)
    assert await plane.stats.recorded("acme") == []


# -- all of it


async def test_clearing_forgets_one_tenants_statistics(plane: ControlPlane) -> None:
    for tenant in ("acme", "other"):
        await add(plane, tenant=tenant, a=1)
        await plane.stats.add_examples(tenant, [EXAMPLE], retention=LONG)
        await plane.stats.record(tenant, [QUERY], most=5, retention=LONG)
    await plane.stats.clear("acme")
    stats = plane.stats
    assert [await stats.windows("acme"), await stats.examples("acme"), await stats.recorded("acme")] == [
        []
    ] * 3
    assert await counts(plane, "other") == {"a": 1}
    assert await stats.examples("other") == [EXAMPLE]
    assert await stats.recorded("other") == [QUERY]


async def test_a_redis_that_is_away_is_said_to_be() -> None:
    away = ControlPlane.open(ControlConfig(url="redis://127.0.0.1:1", timeout=5))
    with pytest.raises(ControlPlaneUnavailable):
        await add(away, a=1)
    with pytest.raises(ControlPlaneUnavailable):
        await away.stats.examples("acme")
    await away.aclose()
