"""Requests to a cluster as spans and durations. Costs next to nothing while nobody listens."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, use_span

from . import telemetry as names
from .routing import Route, Target
from .telemetry import duration, tracer

_Answer = TypeVar("_Answer")


async def request(
    operation: str,
    role: str,
    route: Route,
    target: Target,
    call: Awaitable[_Answer],
    extra: Mapping[str, Any] | None = None,
) -> _Answer:
    """Awaits one request to one cluster inside its CLIENT span, named by the operation alone.

    The cluster is an attribute and never part of the name, so that both paths line up side by side.
    """
    began = perf_counter()
    span = tracer.start_span(operation, kind=SpanKind.CLIENT)
    failure: str | None = None
    try:
        if not span.is_recording():
            return await call
        span.set_attributes(
            {**target.attributes, **route.attributes, names.DB_OPERATION: operation, names.ROLE: role}
        )
        if extra:
            span.set_attributes(extra)
        with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            return await call
    except BaseException as error:
        failure = type(error).__name__
        span.set_attribute(names.ERROR_TYPE, failure)
        # The error's text may quote a value of the request, which no span may hold.
        span.set_status(Status(StatusCode.ERROR, failure))
        raise
    finally:
        span.end()
        _measure(perf_counter() - began, operation, role, route, target, failure)


def _measure(
    seconds: float, operation: str, role: str, route: Route, target: Target, failure: str | None
) -> None:
    attributes = route.measured.get((operation, role))
    if attributes is None:
        attributes = route.measured[operation, role] = _metric_attributes(operation, role, route, target)
    if failure is not None:
        attributes = {**attributes, names.ERROR_TYPE: failure}
    duration.record(seconds, attributes)


def _metric_attributes(operation: str, role: str, route: Route, target: Target) -> dict[str, Any]:
    """By path and phase, never by tenant."""
    return {
        names.DB_SYSTEM: target.attributes[names.DB_SYSTEM],
        names.DB_OPERATION: operation,
        names.PATH: target.attributes[names.PATH],
        names.ROLE: role,
        names.PHASE: route.attributes[names.PHASE],
    }


@contextmanager
def both_paths(operation: str, route: Route, extra: Mapping[str, Any]) -> Iterator[Span]:
    """The INTERNAL span above the two requests of an operation that touches both clusters."""
    with tracer.start_as_current_span(
        f"shardroute.{operation}",
        kind=SpanKind.INTERNAL,
        attributes={**route.attributes, **extra},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span
