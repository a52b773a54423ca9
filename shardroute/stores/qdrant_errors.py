"""Errors of qdrant-client, over REST, gRPC and in local mode, as shardroute's: the one place that knows them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from http import HTTPStatus

import grpc  # type: ignore[import-untyped]  # grpcio ships no types; three names of it are used here
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from ..errors import ClusterRejected, ClusterUnavailable, RateLimited, ShardrouteError
from ..truncation import quoted
from .qdrant_limits import Setting, never_passes, setting_named, smaller_helps


class About(StrEnum):
    """What a refused request was about, where the store goes on from there."""

    NO_COLLECTION = "the collection does not exist"
    NO_SHARD_KEY = "the shard key does not exist"
    NO_POINT = "a point does not exist"
    EXISTS = "it exists already"
    NO_INDEX = "a filter is on a key without an index"
    TOO_LARGE = "the request is larger than a limit of the cluster or the collection allows"
    NOT_EXACT = "the collection counts and searches approximately only"
    OTHER = ""


class QdrantRejected(ClusterRejected):
    """ClusterRejected, and what about."""

    def __init__(self, cluster: str, message: str) -> None:
        self.setting = setting = setting_named(quoted(message))
        super().__init__(cluster, message if setting is None else f"{message} [{setting}]")
        self.about = _about_setting(setting) or _about(quoted(message).lower())


# No code tells these apart: a missing collection, point or shard key are 404, 400 or a ValueError,
# depending on the version and on the way it was asked. The first that fits counts.
_MISSING = ("not found", "n't exist", "not exist")
_WORDINGS = {  # what is named, and what is said of it anywhere behind
    About.EXISTS: ("already exists", ("",)),
    About.NO_SHARD_KEY: ("shard key", _MISSING),
    About.NO_INDEX: ("index required", ("",)),
    About.NO_POINT: ("no point with id", ("",)),
    About.NO_COLLECTION: ("collection", _MISSING),
}


def _about_setting(setting: Setting | None) -> About:
    """OTHER where it is not a limit that a smaller or another request keeps to."""
    if setting is Setting.SEARCH_ALLOW_EXACT:
        return About.NOT_EXACT
    return About.TOO_LARGE if smaller_helps(setting) else About.OTHER


def _about(words: str) -> About:
    """By searches for plain words: a pattern with `.*` begins anew wherever a text repeats what it begins with."""
    for about, (named, said) in _WORDINGS.items():
        _, found, rest = words.partition(named)
        if found and any(one in rest for one in said):
            return about
    return About.OTHER


_CLIENT_ERRORS = (
    ApiException,
    QdrantException,
    httpx.HTTPError,
    grpc.RpcError,
    grpc.aio.UsageError,  # a channel that was closed
    OSError,  # TimeoutError among them
    ValueError,  # local mode refuses with these four
    KeyError,
    NotImplementedError,
    RuntimeError,
)

_RETRYABLE_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DATA_LOSS,
    }
)


@asynccontextmanager
async def request(cluster: str, timeout: float | None) -> AsyncIterator[None]:
    """Around one request: ends it after `timeout` seconds and raises only errors of ours."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except ShardrouteError:  # some are ValueErrors too
        raise
    except TimeoutError as error:
        raise ClusterUnavailable(cluster, f"no answer within {timeout} s") from error
    except _CLIENT_ERRORS as error:
        raise translated(cluster, error) from error


def translated(cluster: str, error: Exception) -> ShardrouteError:
    """The error of ours that says the same."""
    match error:
        case ResourceExhaustedResponse():
            return RateLimited(cluster, str(error), retry_after=float(error.retry_after_s))
        case UnexpectedResponse():
            return _of_status(cluster, error.status_code or 0, _reason(error))
        case QdrantException() if "Retry-After" in str(
            error
        ):  # a date, of a proxy: the client takes seconds only
            return RateLimited(cluster, str(error))
        case ResponseHandlingException(source=ShardrouteError() as refused):
            return refused  # before its last byte was sent
        case ResponseHandlingException():
            unsent = isinstance(error.source, httpx.ConnectError | httpx.ConnectTimeout)
            return ClusterUnavailable(
                cluster,
                f"{type(error.source).__name__}: {error.source}{_asked(error.source)}",
                may_land=not unsent,
            )
        case grpc.aio.AioRpcError():
            return _of_code(cluster, error.code(), error.details() or "")
        case httpx.HTTPError() | grpc.RpcError() | OSError():
            return ClusterUnavailable(cluster, f"{type(error).__name__}: {error}")
        case KeyError():  # local mode, of an id
            return QdrantRejected(cluster, f"no point with id {error}")
        case _:
            return QdrantRejected(cluster, str(error) or type(error).__name__)


def _asked(error: Exception) -> str:
    """Where it was sent, of an error of transport."""
    request = getattr(error, "_request", None)  # `request` raises where there is none
    return f" ({request.url.scheme}://{request.url.netloc.decode()})" if request is not None else ""


def _of_status(cluster: str, status: int, reason: str) -> ShardrouteError:
    if status == HTTPStatus.TOO_MANY_REQUESTS and not never_passes(reason):
        return RateLimited(cluster, reason)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ClusterUnavailable(cluster, f"{status}: {reason}")
    return QdrantRejected(cluster, f"{status}: {reason}")


def _of_code(cluster: str, code: grpc.StatusCode, details: str) -> ShardrouteError:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and not smaller_helps(setting_named(details)):
        return RateLimited(cluster, details)
    if code in _RETRYABLE_CODES:
        return ClusterUnavailable(cluster, f"{code.name}: {details}")
    return QdrantRejected(cluster, f"{code.name}: {details}")


def _reason(response: UnexpectedResponse) -> str:
    """The server's own words, or the beginning of whatever a proxy answered instead."""
    try:
        return str(json.loads(response.content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return f"{response.reason_phrase} {response.content[:200].decode(errors='replace')}".strip()
