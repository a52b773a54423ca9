"""How an error is answered over HTTP: one table for all frameworks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ..errors import (
    ClusterRejected,
    EncoderMismatch,
    InvalidInput,
    InvalidTenant,
    MapLost,
    MigrationError,
    ShardrouteError,
    Unavailable,
)

_STATUS: tuple[tuple[type[ShardrouteError], HTTPStatus], ...] = (
    (InvalidTenant, HTTPStatus.NOT_FOUND),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (MapLost, HTTPStatus.SERVICE_UNAVAILABLE),
    (MigrationError, HTTPStatus.CONFLICT),
    (ClusterRejected, HTTPStatus.BAD_GATEWAY),
    (EncoderMismatch, HTTPStatus.BAD_GATEWAY),
)
"""The first that fits; every other error is a 500."""

_SAID = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT})
"""Statuses with which the error's own words go out: they are about what the caller sent. Others name clusters."""

_WORDS = {
    HTTPStatus.NOT_FOUND: "no such tenant",
    HTTPStatus.SERVICE_UNAVAILABLE: "not available at the moment; please try again",
    HTTPStatus.BAD_GATEWAY: "a cluster refused the request",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal error",
}

_RETRY_AFTER = 1.0
"""Seconds, where a retryable error does not know."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer: status, headers, and a JSON document with `detail`, `type` and, for a filter, `path`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)


def problem(error: ShardrouteError) -> Problem:
    """How `error` is told to whoever asked. What is wrong inside is not told; log the error for that."""
    status = next(
        (code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    document: dict[str, Any] = {"type": type(error).__name__}
    document["detail"] = _writable(str(error)) if status in _SAID else _WORDS[status]
    if path := getattr(error, "path", ""):
        document["path"] = _writable(path)
    headers = {}
    if error.retryable and status is HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = _RETRY_AFTER if error.retry_after is None else error.retry_after
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))  # whole seconds: RFC 9110, 10.2.3
    return Problem(int(status), headers, document)


def _writable(words: str) -> str:
    """What quotes a caller may hold what UTF-8 cannot."""
    return words.encode("utf-8", "backslashreplace").decode()
