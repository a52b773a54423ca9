"""Errors of the Pinecone SDK as shardroute's: the one place that knows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

import httpx
from pinecone.errors.exceptions import (
    ApiError,
    PineconeConnectionError,
    PineconeError,
    PineconeTimeoutError,
    RateLimitError,
    ResponseParsingError,
)

from ..errors import ClusterRejected, ClusterUnavailable, RateLimited, ShardrouteError

_T = TypeVar("_T")

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.LocalProtocolError)


class About(StrEnum):
    """What a refused request was about, where the store goes on from there."""

    NOT_FOUND = "the namespace or the index does not exist: the answer is the same"
    TOO_LARGE = "the request is too large"
    NOT_ALLOWED = "the key is wrong, or may not do this"
    OTHER = ""


_ABOUT: dict[int, About] = {
    HTTPStatus.UNAUTHORIZED: About.NOT_ALLOWED,
    HTTPStatus.FORBIDDEN: About.NOT_ALLOWED,
    HTTPStatus.NOT_FOUND: About.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: About.TOO_LARGE,
}


class PineconeRejected(ClusterRejected):
    """ClusterRejected, and what about: by the status alone. Pinecone's words are for people, and they change."""

    def __init__(self, cluster: str, message: str, status: int = 0) -> None:
        super().__init__(cluster, f"{status}: {message}" if status else message)
        self.about = _ABOUT.get(status, About.OTHER)


@asynccontextmanager
async def request(cluster: str, timeout: float) -> AsyncIterator[None]:
    """Around one request: ends it after `timeout` seconds and raises only errors of ours."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except ShardrouteError:  # some are ValueErrors too
        raise
    except (PineconeError, httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, RuntimeError) as error:
        raise translated(cluster, error) from error
    except TimeoutError as error:
        raise ClusterUnavailable(cluster, f"no answer within {timeout:g} s") from error
    except OSError as error:
        raise translated(cluster, error) from error


def translated(cluster: str, error: Exception) -> ShardrouteError:
    """The error of ours that says the same. What the SDK itself finds wrong was never sent."""
    match error:
        case RateLimitError():
            return RateLimited(cluster, error.message, retry_after=error.retry_after)
        case ApiError():
            return _of_status(cluster, error.status_code, error.message)
        case PineconeTimeoutError() | PineconeConnectionError():
            unsent = isinstance(error.__cause__, _UNSENT)
            return ClusterUnavailable(cluster, str(error), may_land=not unsent)
        case ResponseParsingError() | httpx.HTTPError() | OSError():
            return ClusterUnavailable(cluster, f"{type(error).__name__}: {error}")
        case _:
            return PineconeRejected(cluster, str(error) or type(error).__name__)


def _of_status(cluster: str, status: int, message: str) -> ShardrouteError:
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ClusterUnavailable(cluster, f"{status}: {message}")
    return PineconeRejected(cluster, message, status)


async def all_written(writes: Iterable[Awaitable[None]]) -> None:
    """All of them at once, and all waited for.

    Raises the error that says most about what may still land: a write that was let go of could do so unseen.
    """
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    errors = [outcome for outcome in outcomes if outcome is not None]
    if errors:
        raise max(errors, key=lambda error: bool(getattr(error, "may_land", False)))


async def all_read(reads: Iterable[Awaitable[_T]]) -> list[_T]:
    """The answers, in order; the first error ends them all."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
