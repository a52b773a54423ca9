"""Requests to a cluster as spans and durations. Costs next to nothing while nobody listens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
    use_span,
)

from . import telemetry as names
from .errors import TenantBreach
from .routing import Route, Target
from .telemetry import duration, tracer

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


async def request(
    operation: str,
    role: str,
    route: Route,
    target: Target,
    call: Awaitable[_Answer],
    extra: Mapping[str, Any] | None = None,
    span: Span | None = None,
) -> _Answer:
    """Awaits one request to one cluster inside its CLIENT span, named by the operation alone.

    The cluster is an attribute and never part of the name, so that both paths line up side by side. `span`: one that
    was begun for it. A record of another tenant in the answer is logged here, whoever asked.
    """
    began = perf_counter()
    if span is None:
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
        if isinstance(error, TenantBreach):
            log.error("tenant %s: %s (%s) is thrown away: %s", route.tenant, operation, role, error)
        raise
    finally:
        span.end()
        _measure(perf_counter() - began, operation, role, route, target, failure)


def _measure(
    seconds: float, operation: str, role: str, route: Route, target: Target, failure: str | None
) -> None:
    key = operation, role, target.side
    attributes = route.measured.get(key)
    if attributes is None:
        attributes = route.measured[key] = _metric_attributes(operation, role, route, target)
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
    span = tracer.start_span(
        f"shardroute.{operation}", kind=SpanKind.INTERNAL, attributes={**route.attributes, **extra}
    )
    if not span.get_span_context().is_valid:
        yield span  # nobody listens: there is nothing that spans could be below
        return
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the spans of a shadow belong: below the root of the read, with a link to the request that was answered."""

    root: Context
    links: tuple[Link, ...]

    @classmethod
    def of(cls, root: Span, answered: Span) -> Trace | None:
        """None where nobody listens."""
        context = answered.get_span_context()
        return cls(set_span_in_context(root), (Link(context),)) if context.is_valid else None


def client_span(operation: str, trace: Trace | None = None) -> Span:
    """The span of a request that is about to be made, below the current span or, of a shadow, in its trace."""
    if trace is None:
        return tracer.start_span(operation, kind=SpanKind.CLIENT)
    return tracer.start_span(operation, context=trace.root, kind=SpanKind.CLIENT, links=trace.links)


@contextmanager
def comparison(route: Route, trace: Trace | None) -> Iterator[Span]:
    """The INTERNAL span of a comparison, which holds what it found and nothing of the answers."""
    context = None if trace is None else trace.root
    span = tracer.start_span(names.COMPARE, context=context, attributes={**route.attributes})
    try:
        yield span
    finally:
        span.end()
