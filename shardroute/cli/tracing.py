"""Where the script's own spans and metrics go: to whom OpenTelemetry's variables name, and to `--trace-file`.

The library sets no provider, an application does. Here the script is the application.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from ..addresses import shown
from ..errors import InvalidInput
from ..truncation import quoted

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

SERVICE: Final = "shardroute-admin"
LAST: Final = 3.0
"""Seconds in which what is left has to be delivered at the end."""

_INSTALL: Final = "pip install 'shardroute[otel]'"

Say = Callable[[str], None]
End = Callable[[], None]


@contextmanager
def traced(file: Path | None, say: Say) -> Iterator[None]:
    """Exports what happens inside, and delivers it at the end whatever the end is.

    `file`: InvalidInput before anything is done if it cannot be written. What is not delivered over the net is said in
    one sentence by `say`, and fails nothing.
    """
    signals = [signal for signal in _EXPORTS if asked_for(signal, os.environ)]
    if obstacle := _obstacle(signals, os.environ):
        say(obstacle)
        signals = []
    write = _to_file(file) if file else None
    with _delivered(signals, say):
        try:
            yield
        finally:
            if write:
                _written(write, say)


def asked_for(signal: str, environment: Mapping[str, str]) -> bool:
    """Whether TRACES or METRICS are to be exported: by name, or, where nothing is named, by an address.

    The variables are those of OpenTelemetry's specification.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if named := environment.get(f"OTEL_{signal}_EXPORTER", "").strip():
        return "otlp" in (name.strip() for name in named.split(","))
    addresses = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(environment.get(name, "").strip() for name in addresses)


def _obstacle(signals: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Why what is asked for cannot be done, in one sentence."""
    for name in (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        *(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL" for signal in signals),
    ):
        if signals and environment.get(name, "").strip() not in ("", "http/protobuf"):
            return (
                f"no traces are exported: {name}={environment[name]} is not known here, only http/protobuf is"
            )
    if signals and not _installed():
        return f"no traces are exported: OpenTelemetry's exporter is not installed; {_INSTALL}"
    return None


def _installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # a part of the path before the last
        return False


# -- beginning ---------------------------------------------------------------------------------------------------------


def _to_file(path: Path) -> End:
    if not _installed():
        raise InvalidInput(f"--trace-file needs OpenTelemetry's exporter: {_INSTALL}")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from ..trace_file import TraceFileExporter

    try:
        exporter = TraceFileExporter(path)
    except OSError as error:
        raise InvalidInput(f"--trace-file {path}: {error.strerror or error}") from error
    # Not the batch processor: it drops spans when its queue is full, and the exporter gathers them itself.
    _listen(SimpleSpanProcessor(exporter))
    return exporter.shutdown


def _traces() -> End:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return _listen(BatchSpanProcessor(OTLPSpanExporter()))


def _metrics() -> End:
    from opentelemetry import metrics
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return lambda: None  # a process has one for good, and somebody has set it
    provider = MeterProvider(
        [PeriodicExportingMetricReader(OTLPMetricExporter())], resource=_resource(), shutdown_on_exit=False
    )
    metrics.set_meter_provider(provider)
    return provider.shutdown


_EXPORTS: Final[dict[str, Callable[[], End]]] = {"TRACES": _traces, "METRICS": _metrics}


def _listen(processor: SpanProcessor) -> End:
    """From now on `processor` hears of all spans. A process has one provider for good, so it may be there."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    provider.add_span_processor(processor)
    return processor.shutdown


def _resource() -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win."""
    from opentelemetry.sdk.resources import (
        SERVICE_INSTANCE_ID,
        SERVICE_NAME,
        OTELResourceDetector,
        Resource,
    )

    # Two scripts at the same time count apart: without an instance one's counters would overwrite the other's.
    ours = Resource({SERVICE_NAME: SERVICE, SERVICE_INSTANCE_ID: str(uuid4())})
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())


# -- the end -----------------------------------------------------------------------------------------------------------


def _written(write: End, say: Say) -> None:
    try:
        write()
    except OSError as error:
        say(f"there is no trace file: {error}")


@contextmanager
def _delivered(signals: Sequence[str], say: Say) -> Iterator[None]:
    """Exports over the net what happens inside; at the end waits `LAST` seconds for what is still under way.

    In threads, for the exporters keep to no deadline: they connect and retry for as long as they like.
    """
    complaints = _Complaints()
    logger = logging.getLogger("opentelemetry")
    handlers, logger.handlers = logger.handlers, [complaints] if signals else logger.handlers
    propagate, logger.propagate = logger.propagate, logger.propagate and not signals
    try:
        ends = _begun(signals, say)
        try:
            yield
        finally:
            late = _late(ends, complaints) and f"not all of it was taken within {LAST:g} s of the end"
            if problem := complaints.worst or late:
                say(f"export to {_address(os.environ)}: {problem}")
    finally:
        logger.handlers, logger.propagate = handlers, propagate


def _begun(signals: Sequence[str], say: Say) -> list[End]:
    try:
        return [_EXPORTS[signal]() for signal in signals]
    except Exception as error:  # a variable with a value that the exporter does not understand
        say(f"not all traces and metrics are exported: {quoted(error)}")
        return []


def _late(ends: Sequence[End], complaints: _Complaints) -> bool:
    """Ends them all at the same time; whether one of them did not end in time."""

    def run(end: End) -> None:
        try:
            end()
        except Exception as error:
            complaints.worst = complaints.worst or quoted(error)

    threads = [Thread(target=run, args=(end,), daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    deadline = monotonic() + LAST
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return any(thread.is_alive() for thread in threads)


def _address(environment: Mapping[str, str]) -> str:
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    found = next((environment[name] for name in names if environment.get(name)), "http://localhost:4318")
    return shown(found)


class _Complaints(logging.Handler):
    """What the exporters log, which would be in the middle of the progress; `worst` is kept for one sentence."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.worst: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # An exporter's warning says that it tries again; what it gives up is an error.
        if record.levelno >= logging.ERROR or not record.name.startswith("opentelemetry.exporter"):
            self.worst = self.worst or quoted(record.getMessage())
