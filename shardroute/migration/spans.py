"""Spans of a migration. A long one is not one endless trace: each batch is a root of its own, linked to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span

from .. import telemetry as names
from ..telemetry import tracer


@contextmanager
def stage_span(name: str, tenant: str) -> Iterator[Span]:
    """A part of a verb, below the verb's own span."""
    with (
        tracer.start_as_current_span(
            name,
            kind=SpanKind.INTERNAL,
            attributes={names.TENANT: tenant},
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _failing(span),
    ):
        yield span


@contextmanager
def batch_span(name: str, tenant: str, points: int) -> Iterator[Span]:
    """One batch of a stage: a new root, linked to the stage."""
    with (
        tracer.start_as_current_span(
            name,
            context=Context(),
            kind=SpanKind.INTERNAL,
            attributes={names.TENANT: tenant, names.POINTS: points},
            links=[Link(get_current_span().get_span_context())],
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _failing(span),
    ):
        yield span


@contextmanager
def _failing(span: Span) -> Iterator[None]:
    """A failed stage names its error and no more: the error's text may name ids or quote a value."""
    try:
        yield
    except BaseException as error:
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
