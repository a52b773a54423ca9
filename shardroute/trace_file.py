"""Spans as a file that Jaeger's page opens with *Upload*: one OTLP/JSON document. Needs the extra `otel`.

The document is an ExportTraceServiceRequest as the OTLP specification has it in JSON: ids in hexadecimal, enumerations
as numbers, 64-bit numbers as strings (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # protobuf ships no types
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_IDS: Final = ("traceId", "spanId", "parentSpanId")
_TOGETHER: Final = 512
"""Spans that are encoded at a time: their resource is then written once."""


class TraceFileExporter(SpanExporter):
    """Writes spans to `path` when it is shut down, as the provider does at exit. Until then `path` is as it was.

    What is exported goes to a hidden file beside it, which takes its place in the end: a move that lasts a day does not
    fill the memory. OSError where there cannot be such a file: at once, and not after the day.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).resolve()
        self._lock = Lock()
        self._waiting: list[ReadableSpan] = []
        self._wrote = False
        self._closed = False
        self._failure: OSError | None = None
        _check_replaceable(self.path)
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        self._part = Path(name)
        self._file = open(number, "w", encoding="utf-8")  # noqa: SIM115 - until shutdown
        self._file.write('{"resourceSpans":[')

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """A disk that is full ends the file, not what is traced: `shutdown` says it."""
        with self._lock:
            if self._closed or self._failure:
                return SpanExportResult.FAILURE
            self._waiting.extend(spans)
            if len(self._waiting) >= _TOGETHER:
                self._write()
            return SpanExportResult.FAILURE if self._failure else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Completes the document and puts it at `path`. OSError if any of it failed; `path` is then as it was."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._complete()
            finally:
                with suppress(OSError):
                    self._file.close()
                self._part.unlink(missing_ok=True)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing to do: there is no document before the end."""
        return True

    def _complete(self) -> None:
        self._write()
        if self._failure:
            raise self._failure
        self._file.write("]}\n")
        self._file.close()
        self._part.replace(self.path)

    def _write(self) -> None:
        """What waits, after what is there."""
        groups, self._waiting = as_json(self._waiting)["resourceSpans"], []
        try:
            for group in groups:
                self._file.write(f"{',' if self._wrote else ''}\n{json.dumps(group, separators=(',', ':'))}")
                self._wrote = True
            self._file.flush()
        except OSError as error:
            self._failure = error


def as_json(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """An ExportTraceServiceRequest of these spans, as OTLP has it in JSON."""
    document: dict[str, Any] = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    document.setdefault("resourceSpans", [])
    for span in spans_of(document):
        for holder in (span, *span.get("links", ())):
            # Protobuf's own JSON has bytes in base64; OTLP wants these in hexadecimal.
            holder.update({key: b64decode(holder[key]).hex() for key in _IDS if key in holder})
    return document


def spans_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All spans of an OTLP/JSON document."""
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            yield from scope["spans"]


def _check_replaceable(path: Path) -> None:
    """Only a file may be replaced: not a folder, nor a device such as /dev/stdout, nor what is protected."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "this is not a file", str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
