"""An OTLP/HTTP receiver, as a collector has one: what was sent to it, decoded."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from google.protobuf.message import Message  # type: ignore[import-untyped]  # protobuf ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shardroute.testing.serving import LoopServer

_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True)
class Sent:
    """A span as it arrived. `links` and `parent`: ids of spans."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    links: tuple[str, ...]
    failed: bool
    events: int


@dataclass
class Receiver:
    """Serves in this event loop; `url` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    status: int = 200

    def __post_init__(self) -> None:
        routes = [Route(f"/v1/{signal}", self._take, methods=["POST"]) for signal in ("traces", "metrics")]
        self._server = LoopServer(Starlette(routes=routes))

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def spans(self) -> list[Sent]:
        return [span for request in self.traces for span in _spans(request)]

    def named(self, name: str) -> list[Sent]:
        return [span for span in self.spans if span.name == name]

    def below(self, above: Sent) -> list[Sent]:
        """Its children, all in its own trace."""
        return [span for span in self.spans if (span.trace, span.parent) == (above.trace, above.id)]

    @property
    def measured(self) -> dict[str, set[str]]:
        """Names of metrics, and by which attributes each is told apart."""
        found: dict[str, set[str]] = {}
        for request in self.metrics:
            for resource in request.resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    points = getattr(metric, str(metric.WhichOneof("data"))).data_points
                    keys = {pair.key for point in points for pair in point.attributes}
                    found[metric.name] = found.get(metric.name, set()) | keys
        return found

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert request.headers["content-type"] == "application/x-protobuf"
        if self.status == 200:
            self.payloads.append(body)
            if request.url.path.endswith("traces"):
                self.traces.append(_parsed(ExportTraceServiceRequest(), body))
            else:
                self.metrics.append(_parsed(ExportMetricsServiceRequest(), body))
        return Response(status_code=self.status)


def _parsed(message: _Message, body: bytes) -> _Message:
    message.ParseFromString(body)
    return message


def _spans(request: ExportTraceServiceRequest) -> Iterator[Sent]:
    for resource in request.resource_spans:
        service = str(_attributes(resource.resource.attributes)["service.name"])
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _sent(service, span)


def _sent(service: str, span: Span) -> Sent:
    return Sent(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        links=tuple(link.span_id.hex() for link in span.links),
        failed=span.status.code == 2,
        events=len(span.events),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, str(pair.value.WhichOneof("value")))

    return {pair.key: value(pair) for pair in pairs}
