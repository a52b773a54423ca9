"""The Pinecone emulator as an ASGI application: routes, headers, errors, and its switches."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shardroute.testing import _pinecone_admin as admin
from shardroute.testing import _pinecone_checks as check
from shardroute.testing import _pinecone_documents as documents
from shardroute.testing import _pinecone_vectors as vectors
from shardroute.testing._pinecone_call import AdminCall, Call, Operation, Reply
from shardroute.testing._pinecone_errors import Refused, control_error, data_error
from shardroute.testing._pinecone_index import Index, Project
from shardroute.testing._pinecone_log import Lag
from shardroute.testing.faults import FaultMiddleware, Faults, TokenBucket

PREFIX = "/index/"
"""Before the name of an index in its host: the SDK keeps a path in a host."""

DATA = [*vectors.OPERATIONS, *documents.OPERATIONS, *admin.DATA_OPERATIONS]
NAMES = {name for operation in (*DATA, *admin.CONTROL_OPERATIONS) for name in operation.names}
OTHER_API = {
    "vectors": "This operation is not supported on a document index. Use the documents API instead.",
    "documents": "This operation is not supported on a vector index. Use the vectors API instead.",
}


class Route(NamedTuple):
    """An operation, the index it is for (none: the control plane), and what its path says."""

    operation: Operation
    index_name: str | None
    params: dict[str, str]


def route(method: str, raw_path: str) -> Route | None:
    """Where a request goes. Segments are decoded one by one: a namespace may hold a slash."""
    segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
    index = None
    operations = admin.CONTROL_OPERATIONS
    if len(segments) > 1 and segments[0] == PREFIX.strip("/"):
        index, segments, operations = segments[1], segments[2:], DATA
    for operation in operations:
        if operation.method == method and (params := _params(operation.path, segments)) is not None:
            return Route(operation, index, params)
    return None


def _params(path: str, segments: list[str]) -> dict[str, str] | None:
    wanted = path.strip("/").split("/")
    if len(wanted) != len(segments):
        return None
    params = {}
    for name, segment in zip(wanted, segments, strict=True):
        if name.startswith("{"):
            params[name[1:-1]] = segment
        elif name != segment:
            return None
    return params


class PineconeApp:
    """Serves a project.

    Args:
        api_key: the only key that is let in; without it any is.
        rates: requests a second to each namespace, by the first name of an operation.
    """

    def __init__(
        self,
        project: Project,
        faults: Faults,
        *,
        api_key: str | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self._project = project
        self._faults = faults
        self._api_key = api_key
        self.rates = dict(rates or {})
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._switches: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
            "/_faults": (faults.as_json, self._set_faults),
            "/_lag": (lambda: project.lag.as_json(), self._set_lag),
            "/_rates": (lambda: self.rates, self._set_rates),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        body = await request.body()
        if scope["path"] in self._switches:
            response = self._switch(scope["path"], request.method, body)
        else:
            response = self._serve(request, body)
        await response(scope, receive, send)

    def _serve(self, request: Request, body: bytes) -> Response:
        raw_path = request.scope["raw_path"].decode()
        found = route(request.method, raw_path)
        error = data_error if raw_path.startswith(PREFIX) else control_error
        try:
            self._check_key(request)
            if found is None:
                raise Refused(f"No such operation: {request.method} {request.url.path}", 404)  # noqa: TRY301 - answered below, like any refusal
            return self._answer(found, self._reply(found, request, body))
        except Refused as refused:
            return _json(error(refused.status, refused.message), refused.status, refused.headers)

    def _check_key(self, request: Request) -> None:
        key = request.headers.get("api-key")
        if not key or (self._api_key is not None and key != self._api_key):
            raise Refused("Invalid API Key", 401)

    def _reply(self, found: Route, request: Request, raw: bytes) -> Reply:
        body = _read(raw)
        if found.index_name is None:
            base = str(request.base_url).rstrip("/")
            call = AdminCall(self._project, body, found.params, lambda name: f"{base}{PREFIX}{name}")
            return found.operation.handle(call)
        index = self._project.index(found.index_name)
        if found.operation.kind not in (None, index.spec.kind):
            raise Refused(OTHER_API[found.operation.kind or ""])
        if "upsert" in found.operation.names and len(raw) > check.MAX_UPSERT_BYTES:
            raise _too_large(len(raw))
        query = request.query_params
        return self._reply_of_index(found.operation, _call(index, body, query, found.params))

    def _reply_of_index(self, operation: Operation, call: Call) -> Reply:
        if (rate := self.rates.get(operation.names[0])) is not None:
            bucket = self._buckets.setdefault(
                (call.index.name, call.namespace, operation.names[0]), TokenBucket()
            )
            if not bucket.take(rate, time.monotonic()):
                what = f"{operation.names[0]} requests to namespace '{call.namespace}': {rate:g} a second"
                raise Refused(f"Too many {what}", 429, {"retry-after": "1"})
        return operation.handle(call)

    def _answer(self, found: Route, reply: Reply) -> Response:
        headers = {}
        if self._project.behaviour.positions:
            positions = {"x-pinecone-request-lsn": reply.lsn, "x-pinecone-max-indexed-lsn": reply.position}
            headers = {name: str(value) for name, value in positions.items() if value is not None}
        response = _json(reply.body, reply.status, headers)
        if reply.position is not None and len(response.body) > check.MAX_RESULT_BYTES:
            raise Refused(
                f"Query result size {len(response.body)} exceeds the limit of {check.MAX_RESULT_BYTES} bytes"
            )
        return response

    def _switch(self, path: str, method: str, body: bytes) -> Response:
        show, change = self._switches[path]
        try:
            if method == "PUT":
                change(_read(body))
        except (Refused, ValueError, TypeError) as error:
            return _json(data_error(400, str(error)), 400)
        return _json(show())

    def _set_faults(self, wanted: Any) -> None:
        if unknown := set(wanted.get("only") or ()) - NAMES:
            raise ValueError(f"no such operation: {', '.join(map(str, unknown))}")
        self._faults.update(wanted)

    def _set_lag(self, wanted: Any) -> None:
        self._project.lag = Lag.from_json(wanted)

    def _set_rates(self, wanted: Any) -> None:
        if unknown := set(wanted) - NAMES:
            raise ValueError(f"no such operation: {', '.join(map(str, unknown))}")
        self.rates = dict(wanted)


def pinecone_app(app: PineconeApp, faults: Faults, *, seed: int = 0) -> FaultMiddleware:
    """The application behind its faults."""

    def names(scope: Scope) -> Collection[str]:
        if scope["path"].startswith("/_"):
            return ()
        found = route(scope["method"], scope["raw_path"].decode())
        return ("unknown",) if found is None else found.operation.names

    return FaultMiddleware(app, faults, names=names, error_body=data_error, seed=seed)


def _call(index: Index, body: Mapping[str, Any], query: QueryParams, params: Mapping[str, str]) -> Call:
    return Call(index, body, query, tuple(query.getlist("ids")), params)


def _too_large(size: int) -> Refused:
    return Refused(
        f"Request size {size} bytes exceeds the maximum supported size of {check.MAX_UPSERT_BYTES} bytes", 413
    )


def _read(raw: bytes) -> dict[str, Any]:
    try:
        return check.mapping(orjson.loads(raw) if raw else {}, "The request body")
    except orjson.JSONDecodeError as error:
        raise Refused(f"Invalid JSON: {error}") from None


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, headers, media_type="application/json")
