"""shardroute's errors as answers: `shardroute.web.problem` decides, this speaks ASGI."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from shardroute import ShardrouteError
from shardroute.web import for_log, problem

log = logging.getLogger(__name__)

_CLOSING = {
    HTTPStatus.SERVICE_UNAVAILABLE: 1013,
    HTTPStatus.NOT_FOUND: 1008,
    HTTPStatus.UNPROCESSABLE_ENTITY: 1007,
}
"""Codes of a WebSocket's end (RFC 6455, 7.4.1, and IANA's registry); 1011, an internal error, for all others."""


async def answer(connection: Request | WebSocket, error: Exception) -> Response | None:
    """An exception handler for Starlette and FastAPI: the status, headers and document of a ShardrouteError.

    What is 500 and above is logged, without what a tenant wrote or asked. A WebSocket that has been accepted is closed.
    """
    assert isinstance(error, ShardrouteError)
    found = problem(error)
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %r: %d, %s", _verb(connection), connection.scope["path"], found.status, for_log(error))
    response = JSONResponse(found.document, found.status, found.headers)
    if isinstance(connection, Request):
        return response
    await _end(connection, response, type(error).__name__)
    return None


async def _end(socket: WebSocket, response: Response, reason: str) -> None:
    if WebSocketState.DISCONNECTED in (socket.client_state, socket.application_state):
        return
    if (
        socket.application_state is WebSocketState.CONNECTING
        and "websocket.http.response" in socket.scope.get("extensions", {})
    ):
        await socket.send_denial_response(response)
    else:
        await socket.close(_CLOSING.get(HTTPStatus(response.status_code), 1011), reason)


def _verb(connection: Request | WebSocket) -> str:
    return connection.method if isinstance(connection, Request) else "websocket"


EXCEPTION_HANDLERS: dict[Any, Any] = {ShardrouteError: answer}
"""For ``FastAPI(exception_handlers=…)``; typed as loosely as both frameworks take it."""
