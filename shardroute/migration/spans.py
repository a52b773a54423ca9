"""Spans of a migration. A long one is not one endless trace: each batch is a root of its own, linked to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, get_current_span

from .. import telemetry as names
from ..telemetry import tracer


@contextmanager
def stage_span(name: str, tenant: str) -> Iterator[Span]:
    """A part of a verb, below the verb's own span."""
    with tracer.start_as_current_span(
        name, kind=SpanKind.INTERNAL, attributes={names.TENANT: tenant}
    ) as span:
        yield span


@contextmanager
def batch_span(name: str, tenant: str, points: int) -> Iterator[Span]:
    """One batch of a stage: a new root, linked to the stage."""
    with tracer.start_as_current_span(
        name,
        context=Context(),
        kind=SpanKind.INTERNAL,
        attributes={names.TENANT: tenant, names.POINTS: points},
        links=[Link(get_current_span().get_span_context())],
    ) as span:
        yield span
