"""Encoders: loaded by name, called in batches, and what they answer is looked at."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shardroute.encoding import Encoder, as_vectors, encoding_of, load, source_misfit
from shardroute.errors import ConfigError, EncoderMismatch, EncoderUnavailable, InvalidRecord
from shardroute.shardmap import Migration
from shardroute.topology import Placement, Topology
from tests.support import encoders
from tests.support.encoders import LARGE, SMALL
from tests.support.patience import patience

NAMES = "tests.support.encoders:"


def topology(name: str = "v1", encoder: str = NAMES + "small", **more: Any) -> Topology:
    values: dict[str, Any] = {"dimension": SMALL, "source_field": "text", **more}
    return Topology(name, 1, Placement("a", f"docs_{name}"), encoder=encoder, **values)


def encoder(function: Callable[[list[str]], Any], **more: Any) -> Encoder:
    return Encoder(topology(**{"dimension": 2, **more}), function)


def pairs(texts: list[str]) -> list[list[float]]:
    """A model of two dimensions that can be read: the length of the text, and 1."""
    return [[float(len(text)), 1.0] for text in texts]


# -- loading -------------------------------------------------------------------------------------------------


def test_an_encoder_is_loaded_by_name_and_once() -> None:
    found = load(topology())
    assert found is not None
    assert (found.name, found.source_field, found.dimension) == (NAMES + "small", "text", SMALL)
    assert load(topology()) is found
    assert load(topology(dimension=SMALL + 1)) is not found


def test_a_topology_without_an_encoder_has_none() -> None:
    assert load(topology(encoder="", source_field="")) is None


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("tests.support.nowhere:small", "importing tests.support.nowhere failed"),
        (NAMES + "tiny", "has no tiny"),
        (NAMES + "large.tiny", "has no large.tiny"),
        (NAMES + "SMALL", "no function"),
        (NAMES + "Model", "no function"),
    ],
)
def test_an_encoder_that_is_not_there_is_named_by_its_key(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(topology(encoder=name))
    assert "topologies.v1.encoder" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["small", "tests.support.encoders", ":small", "a:", "a b:c", "a:b()", "../a:b"]
)
def test_an_encoder_is_written_as_module_and_function(name: str) -> None:
    with pytest.raises(ConfigError, match=r"topologies\.v1\.encoder .* 'module:function'"):
        topology(encoder=name)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"source_field": ""}, "source_field is missing"),
        ({"encoder": "", "source_field": "text"}, "encoder is missing"),
        ({"encoder_batch": 0}, "encoder_batch"),
        ({"encoder_concurrency": 0}, "encoder_concurrency"),
        ({"encoder_timeout": 0.0}, "encoder_timeout"),
    ],
)
def test_what_does_not_make_sense_is_named_by_its_key(more: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"topologies\.v1\.{key}"):
        topology(**more)


def test_encoders_that_differ_are_each_sides_own_and_equal_ones_are_shared() -> None:
    old, new = topology(), topology("v2", NAMES + "large", dimension=LARGE)
    apart = encoding_of(Migration(old, new))
    together = encoding_of(Migration(old, topology("v2")))
    other_field = encoding_of(Migration(old, topology("v2", source_field="title")))
    assert apart is not None
    assert apart.shared is None
    assert together is not None
    assert together.shared is load(old)
    assert other_field is not None
    assert other_field.shared is None


def test_one_side_with_an_encoder_and_one_without_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"topologies\.v2\.encoder is missing.*both ways"):
        encoding_of(Migration(topology(), topology("v2", encoder="", source_field="")))


# -- what there is to encode, and what is answered -----------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"text": "some"}, None),
        ({"text": ""}, None),
        ({}, "'text' is missing"),
        ({"title": "some"}, "'text' is missing"),
        ({"text": None}, "must be a string.*NoneType"),
        ({"text": ["some"]}, "must be a string.*list"),
        ({"text": 7}, "must be a string.*int"),
    ],
)
def test_a_record_without_a_string_in_the_field_has_nothing_to_encode(
    metadata: dict[str, Any], complaint: str | None
) -> None:
    reason = source_misfit(metadata, "text")
    assert (reason is None) if complaint is None else re.search(complaint, str(reason))


@pytest.mark.parametrize(
    "answer", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.float64), ([1, 2], (3, 4))]
)
def test_vectors_are_taken_as_lists_or_arrays(answer: object) -> None:
    first, second = as_vectors(answer, 2, 2, "e")
    assert first.dtype == second.dtype == np.dtype(np.float32)
    assert (first.tolist(), second.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ([[1, 2]], r"shape \(1, 2\); \(2, 2\)"),
        ([[1, 2, 3], [4, 5, 6]], r"shape \(2, 3\); \(2, 2\)"),
        ([1, 2], r"shape \(2,\); \(2, 2\)"),
        ([[1, 2], [3]], "no table of numbers"),
        ([["a", "b"], ["c", "d"]], "no table of numbers"),
        (None, "shape"),
        ([[1, 2], [3, float("nan")]], "NaN or infinity"),
        ([[1, 2], [3, 1e300]], "NaN or infinity"),
    ],
)
def test_any_other_answer_is_refused_and_says_whose_it_is(answer: object, complaint: str) -> None:
    with pytest.raises(EncoderMismatch, match=complaint) as caught:
        as_vectors(answer, 2, 2, "models:mine")
    assert caught.value.encoder == "models:mine"
    assert not caught.value.retryable


def test_an_encoder_may_use_its_buffer_again() -> None:
    buffer = np.ones((1, 2), np.float32)
    (kept,) = as_vectors(buffer, 1, 2, "e")
    buffer[:] = 7
    assert kept.tolist() == [1, 1]


# -- calling -------------------------------------------------------------------------------------------------


async def awaited_pairs(texts: list[str]) -> list[list[float]]:
    await asyncio.sleep(0)
    return pairs(texts)


class Served:
    async def __call__(self, texts: list[str]) -> list[list[float]]:
        return await awaited_pairs(texts)

    async def method(self, texts: list[str]) -> list[list[float]]:
        return await awaited_pairs(texts)


@pytest.mark.parametrize("function", [pairs, awaited_pairs, Served(), Served().method])
async def test_plain_functions_and_coroutine_functions_are_encoders(
    function: Callable[[list[str]], Any],
) -> None:
    texts = ["one", "three", "one", "", "seven"]
    found = await encoder(function, encoder_batch=2).vectors(texts)
    assert [vector.tolist() for vector in found] == pairs(texts)


async def test_a_plain_function_does_not_block_the_loop() -> None:
    goes_on = threading.Event()

    def waits(texts: list[str]) -> list[list[float]]:
        assert goes_on.wait(10)
        return pairs(texts)

    encoding = asyncio.create_task(encoder(waits).vectors(["a"]))
    await asyncio.sleep(0.01)
    assert not encoding.done()
    goes_on.set()
    assert len(await encoding) == 1


async def test_texts_come_in_batches_and_equal_ones_once() -> None:
    asked: list[list[str]] = []

    async def notes(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return pairs(texts)

    await encoder(notes, encoder_batch=3).vectors(["a", "bb", "a", "ccc", "dddd", "bb"])
    assert sorted(asked) == [["a", "bb", "ccc"], ["dddd"]]


async def test_no_text_asks_nothing() -> None:
    assert await encoder(lambda texts: 1 / 0).vectors([]) == []


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "async"])
async def test_so_many_calls_are_under_way_at_once_and_no_more(plain: bool) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def enter(change: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += change
            most = max(most, under_way)

    def in_thread(texts: list[str]) -> list[list[float]]:
        enter(1)
        threading.Event().wait(0.01)
        enter(-1)
        return pairs(texts)

    async def in_loop(texts: list[str]) -> list[list[float]]:
        enter(1)
        await asyncio.sleep(0.01)
        enter(-1)
        return pairs(texts)

    one = encoder(in_thread if plain else in_loop, encoder_batch=1, encoder_concurrency=2)
    await asyncio.gather(*(one.vectors([f"{number}-{part}" for part in range(3)]) for number in range(4)))
    assert most == 2


async def test_what_an_encoder_raises_can_be_tried_again() -> None:
    with pytest.raises(EncoderUnavailable, match=r"v1:e.*ZeroDivisionError") as caught:
        await encoder(lambda texts: 1 / 0, encoder="v1:e").vectors(["a"])
    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_typed_error_of_an_encoder_is_passed_on_as_it_is() -> None:
    def refuses(texts: list[str]) -> None:
        raise InvalidRecord("this text is too long")

    with pytest.raises(InvalidRecord, match="too long"):
        await encoder(refuses).vectors(["a"])


async def test_an_encoder_that_does_not_answer_is_given_up() -> None:
    async def hangs(texts: list[str]) -> None:
        await asyncio.Event().wait()

    one = encoder(hangs, encoder_timeout=0.02, encoder_concurrency=1)
    for _ in range(2):
        with pytest.raises(EncoderUnavailable, match=r"no answer within 0\.02 s"):
            await one.vectors(["a"])


async def test_a_timeout_of_the_encoders_own_is_told_apart() -> None:
    def times_out(texts: list[str]) -> None:
        raise TimeoutError("the model's server is asleep")

    with pytest.raises(EncoderUnavailable, match="TimeoutError: the model's server"):
        await encoder(times_out).vectors(["a"])


async def test_a_failure_cancels_the_other_batches() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def one_fails(texts: list[str]) -> None:
        if texts == ["bad"]:
            await begun.wait()
            raise ConnectionError
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(EncoderUnavailable):
        await encoder(one_fails, encoder_batch=1).vectors(["good", "bad"])
    async with patience():
        await cancelled.wait()


def test_an_encoder_serves_one_event_loop_after_the_other() -> None:
    one = encoder(awaited_pairs, encoder_batch=1, encoder_concurrency=1)
    for _ in range(2):
        assert len(asyncio.run(one.vectors(["a", "b", "c"]))) == 3


async def test_the_toy_models_are_told_apart() -> None:
    small, large = load(topology()), load(topology("v2", NAMES + "large", dimension=LARGE))
    assert small is not None
    assert large is not None
    (one,), (two,) = await small.vectors(["a b"]), await large.vectors(["a b"])
    assert (one.size, two.size) == (SMALL, LARGE)
    assert np.array_equal(one, encoders.hashed("a b", SMALL, "small"))
