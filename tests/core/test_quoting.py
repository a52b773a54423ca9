"""What a server says is cut before it is matched, logged or shown, whoever it is and whichever way it comes."""

from __future__ import annotations

from collections.abc import Callable

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import httpx
import pytest
from pinecone.errors.exceptions import (
    ApiError,
    PineconeConnectionError,
    PineconeValueError,
    RateLimitError,
    ResponseParsingError,
)
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from shardroute.cli.output import Screen
from shardroute.control.redis_errors import translated as of_redis
from shardroute.encoding import Encoder
from shardroute.errors import (
    ClusterRejected,
    ClusterUnavailable,
    ControlPlaneUnavailable,
    EncoderMismatch,
    EncoderUnavailable,
    RateLimited,
    ShardrouteError,
    TenantBreach,
)
from shardroute.stores import pinecone_errors, qdrant_errors
from shardroute.topology import Placement, Topology
from shardroute.truncation import LONGEST, quoted

LONG = "collection " * 5000
FIRST, LAST = f"first {LONG}", f"{LONG} last"
REPLY = httpx.Headers()


def test_a_text_that_is_short_enough_is_left_as_it_is() -> None:
    assert quoted("a" * LONGEST) == "a" * LONGEST
    assert quoted(ValueError("so it is")) == "so it is"


@pytest.mark.parametrize("longest", [0, 1, 20, 100, LONGEST])
def test_a_longer_one_keeps_its_beginning_and_its_end(longest: int) -> None:
    short = quoted(f"first {LONG} last", longest)
    assert len(short) <= longest
    if longest >= 100:
        assert short.startswith("first coll")
        assert "more …]" in short
        assert short.endswith("collection  last")


def test_what_was_cut_is_not_cut_again() -> None:
    assert quoted(quoted(LONG)) == quoted(LONG)


def _redis(error: Exception) -> Exception:
    with pytest.raises(ShardrouteError) as caught, of_redis():
        raise error
    return caught.value


def _rpc(code: grpc.StatusCode) -> Exception:
    none = grpc.aio.Metadata()
    return qdrant_errors.translated("q", grpc.aio.AioRpcError(code, none, none, LONG))


def _qdrant(error: Exception) -> Exception:
    return qdrant_errors.translated("q", error)


def _pinecone(error: Exception) -> Exception:
    return pinecone_errors.translated("p", error)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClusterUnavailable("a", LONG),
        lambda: RateLimited("a", LONG),
        lambda: ClusterRejected("a", LONG),
        lambda: TenantBreach("a", LONG),
        lambda: EncoderUnavailable("a", LONG),
        lambda: EncoderMismatch("a", LONG),
        lambda: ControlPlaneUnavailable(LONG),
        lambda: _qdrant(UnexpectedResponse(400, "Bad Request", f'{{"status":{{"error":"{LONG}"}}}}'.encode(), REPLY)),
        lambda: _qdrant(UnexpectedResponse(503, LONG, LONG.encode(), REPLY)),
        lambda: _qdrant(UnexpectedResponse(429, "", LONG.encode(), REPLY)),
        lambda: _qdrant(ResourceExhaustedResponse(LONG, 1)),
        lambda: _qdrant(ResponseHandlingException(httpx.ReadError(LONG))),
        lambda: _qdrant(ValueError(LONG)),
        lambda: _qdrant(KeyError(LONG)),
        lambda: _rpc(grpc.StatusCode.INVALID_ARGUMENT),
        lambda: _rpc(grpc.StatusCode.RESOURCE_EXHAUSTED),
        lambda: _rpc(grpc.StatusCode.UNAVAILABLE),
        lambda: _pinecone(ApiError(LONG, status_code=400)),
        lambda: _pinecone(ApiError(LONG, status_code=404)),
        lambda: _pinecone(ApiError(LONG, status_code=503)),
        lambda: _pinecone(RateLimitError(LONG)),
        lambda: _pinecone(PineconeConnectionError(LONG)),
        lambda: _pinecone(ResponseParsingError(LONG)),
        lambda: _pinecone(PineconeValueError(LONG)),
        lambda: _redis(ResponseError(LONG)),
        lambda: _redis(OutOfMemoryError(LONG)),
        lambda: _redis(RedisConnectionError(LONG)),
    ],
)  # fmt: skip
def test_an_error_of_ours_is_short_however_much_was_said(make: Callable[[], Exception]) -> None:
    error = make()
    assert isinstance(error, ShardrouteError)
    assert len(str(error)) < LONGEST + 100


async def test_an_encoder_that_fails_with_a_long_text_is_quoted_in_short() -> None:
    def failing(texts: list[str]) -> None:
        raise ValueError(LONG)

    topology = Topology("v1", 1, Placement("a", "docs"), 3, encoder="a:b", source_field="text")
    encoder = Encoder(topology, failing)
    with pytest.raises(EncoderUnavailable) as caught:
        await encoder.vectors(["a"])
    assert len(str(caught.value)) < LONGEST + 100


@pytest.mark.parametrize("verbose", [False, True])
def test_the_script_shows_an_error_in_short_and_its_trace_too(
    verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    screen, error = Screen(verbose=verbose), ClusterRejected("a", LONG)
    error.__cause__ = ValueError(LONG)
    screen.error(error)
    screen.error(ValueError(LONG))
    shown = capsys.readouterr().err
    assert LONGEST < len(shown) < 8 * LONGEST


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (f"Bad request: Shard key {LONG} not found in {LONG}", qdrant_errors.About.OTHER),
        (f"Bad request: Shard key {LONG} not found", qdrant_errors.About.NO_SHARD_KEY),
        (f"Not found: Collection {LONG} doesn't exist!", qdrant_errors.About.NO_COLLECTION),
        (f"{LONG} already exists!", qdrant_errors.About.EXISTS),
        (LONG, qdrant_errors.About.OTHER),
    ],
)
def test_what_is_said_at_either_end_is_still_understood(words: str, about: qdrant_errors.About) -> None:
    assert qdrant_errors.QdrantRejected("q", words).about is about
