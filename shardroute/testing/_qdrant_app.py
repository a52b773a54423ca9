"""Qdrant's REST interface as an ASGI application: envelopes, errors, and the switches of the faults."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import orjson
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from shardroute.testing._qdrant_access import ApiKeys
from shardroute.testing._qdrant_errors import Refusal, refusal_of
from shardroute.testing._qdrant_operations import OPERATIONS, Call, Operation
from shardroute.testing._qdrant_store import QdrantStore
from shardroute.testing.faults import FaultMiddleware, Faults

NAMES = {name for operation in OPERATIONS for name in (operation.name, operation.kind)}
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes: `service.max_request_size_mb` of a real server, if it is not configured."""


def qdrant_app(
    store: QdrantStore,
    faults: Faults,
    *,
    keys: ApiKeys | None = None,
    largest: int = LARGEST_BODY,
    seed: int = 0,
) -> FaultMiddleware:
    """The application that serves `store` with `faults` to who has one of the `keys`. `largest`: bytes of a body."""
    routes = [(_route(store, operation, keys or ApiKeys(), largest), operation) for operation in OPERATIONS]
    app = Starlette(routes=[*(route for route, _ in routes), *_fault_routes(faults)])

    def names(scope: Scope) -> tuple[str, ...]:
        if scope["path"] == "/_faults":
            return ()
        for route, operation in routes:
            if route.matches(scope)[0] is Match.FULL:
                return operation.name, operation.kind
        return ("unknown",)

    return FaultMiddleware(app, faults, names=names, error_body=_error_body, seed=seed)


def _route(store: QdrantStore, operation: Operation, keys: ApiKeys, largest: int) -> Route:
    changes = operation.method != "GET" and operation.kind != "read"

    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        if operation.name != "info" and (refused := keys.refuse_unknown(request)):
            return PlainTextResponse(refused, 401)
        try:
            body = await _body(request, largest)
            if changes:
                keys.check_write(request)
            result = operation.handle(Call(store, request.path_params, request.query_params, body))
        except Exception as error:
            return _refused(refusal_of(error))
        if operation.name == "info":
            return _answer(result)
        return _answer({"result": result, "status": "ok", "time": time.perf_counter() - began})

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


async def _body(request: Request, largest: int) -> bytes:
    """The whole body.

    One that is too large is read to its end, and refused then: a real server answers at once and closes the
    connection, which many clients report as a broken one.
    """
    announced = int(request.headers.get("content-length", 0))
    body = bytearray()
    received = 0
    async for part in request.stream():
        received += len(part)
        if max(announced, received) <= largest:
            body += part
    if announced > largest:
        message = f"JSON payload ({announced} bytes) is larger than allowed (limit: {largest} bytes)."
        raise Refusal(400, message)
    if received > largest:
        raise Refusal(400, f"JSON payload has exceeded limit ({largest} bytes).")
    return bytes(body)


def _fault_routes(faults: Faults) -> list[Route]:
    async def show(request: Request) -> Response:
        return _answer(faults.as_json())

    async def change(request: Request) -> Response:
        try:
            wanted = from_json(await request.body())
            _check_names(wanted.get("only") or ())
            faults.update(wanted)
        except (ValueError, TypeError, AttributeError) as error:
            return _refused(Refusal(400, str(error)))
        return _answer(faults.as_json())

    handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {"GET": show, "PUT": change}
    return [Route("/_faults", handler, methods=[method]) for method, handler in handlers.items()]


def _check_names(names: Collection[str]) -> None:
    if unknown := set(names) - NAMES:
        raise ValueError(f"no such operation: {', '.join(map(str, unknown))}")


def _error_body(status: int, message: str) -> Any:
    return {"status": {"error": message}, "time": 0.0}


def _refused(refusal: Refusal) -> Response:
    response = _answer(_error_body(refusal.status, refusal.message), refusal.status)
    response.headers.update(refusal.headers)
    return response


def _answer(body: Any, status: int = 200) -> Response:
    """Vectors are arrays of float32, and their digits no more than those of a real server."""
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json"
    )
