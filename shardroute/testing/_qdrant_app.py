"""Qdrant's REST interface as an ASGI application: envelopes, errors, and the switches of the faults."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from shardroute.testing._qdrant_operations import OPERATIONS, Call, Operation
from shardroute.testing._qdrant_store import QdrantStore
from shardroute.testing.faults import FaultMiddleware, Faults

NAMES = {name for operation in OPERATIONS for name in (operation.name, operation.kind)}
ERRORS = (
    (
        re.compile(r"^Collection (?P<name>.+) not found$"),
        404,
        "Not found: Collection `{name}` doesn't exist!",
    ),
    (
        re.compile(r"^Collection (?P<name>.+) already exists$"),
        409,
        "Wrong input: Collection `{name}` already exists!",
    ),
    (re.compile(r"^Point (?P<name>.+) is not found"), 404, "Not found: No point with id {name} found"),
)
"""What local mode says, and the status and words of a real server for it."""


def qdrant_app(store: QdrantStore, faults: Faults, *, seed: int = 0) -> FaultMiddleware:
    """The application that serves `store` with `faults`."""
    routes = [(_route(store, operation), operation) for operation in OPERATIONS]
    app = Starlette(routes=[*(route for route, _ in routes), *_fault_routes(faults)])

    def names(scope: Scope) -> tuple[str, ...]:
        if scope["path"] == "/_faults":
            return ()
        for route, operation in routes:
            if route.matches(scope)[0] is Match.FULL:
                return operation.name, operation.kind
        return ("unknown",)

    return FaultMiddleware(app, faults, names=names, error_body=_error_body, seed=seed)


def _route(store: QdrantStore, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        call = Call(store, request.path_params, request.query_params, await request.body())
        try:
            result = operation.handle(call)
        except Exception as error:
            return _refusal(*_status_and_message(error))
        if operation.name == "info":
            return _answer(result)
        return _answer({"result": result, "status": "ok", "time": time.perf_counter() - began})

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


def _fault_routes(faults: Faults) -> list[Route]:
    async def show(request: Request) -> Response:
        return _answer(faults.as_json())

    async def change(request: Request) -> Response:
        try:
            wanted = from_json(await request.body())
            _check_names(wanted.get("only") or ())
            faults.update(wanted)
        except (ValueError, TypeError, AttributeError) as error:
            return _refusal(400, str(error))
        return _answer(faults.as_json())

    handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {"GET": show, "PUT": change}
    return [Route("/_faults", handler, methods=[method]) for method, handler in handlers.items()]


def _check_names(names: Collection[str]) -> None:
    if unknown := set(names) - NAMES:
        raise ValueError(f"no such operation: {', '.join(map(str, unknown))}")


def _status_and_message(error: Exception) -> tuple[int, str]:
    if isinstance(error, ValidationError):
        return 400, f"Format error in JSON body: {error}"
    if isinstance(error, KeyError):  # how local mode names a point that is not there
        return 404, f"Not found: No point with id {error.args[0]} found"
    if isinstance(error, NotImplementedError):
        return 501, str(error)
    for pattern, status, message in ERRORS:
        if found := pattern.match(str(error)):
            return status, message.format(**found.groupdict())
    if isinstance(error, ValueError | TypeError):
        return 400, str(error)
    return 500, f"Service internal error: {error!r}"


def _error_body(status: int, message: str) -> Any:
    return {"status": {"error": message}, "time": 0.0}


def _refusal(status: int, message: str) -> Response:
    return _answer(_error_body(status, message), status)


def _answer(body: Any, status: int = 200) -> Response:
    return Response(_json(body), status, media_type="application/json")


def _json(body: Any) -> bytes:
    """As JSON. Vectors are arrays of float32, and their digits no more than those of a real server."""
    try:
        return orjson.dumps(body, default=_model_json, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # a whole number beyond 64 bits
        return to_json(body, fallback=np.ndarray.tolist)


def _model_json(value: Any) -> orjson.Fragment:
    return orjson.Fragment(to_json(value))
