"""Opens gRPC ports of the Pinecone emulator when they are asked for, also by those who are in another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shardroute.testing._pinecone_errors import Refused, data_error

if TYPE_CHECKING:
    from shardroute.testing._pinecone_grpc import GrpcPorts

PATH = "/_grpc/"
"""Before the name of an index: GET opens its port and answers ``{"host": "127.0.0.1:50051"}``."""


class GrpcDoor:
    """The gRPC side of a server, which costs nothing before it is used.

    Args:
        make: makes the ports: so that grpcio is imported by those only who want it.
    """

    def __init__(self, make: Callable[[], GrpcPorts]) -> None:
        self._make = make
        self._ports: GrpcPorts | None = None

    async def host_of(self, name: str, port: int = 0) -> str:
        """Where an index listens; its port stays open until `close`. 0 picks a free one.

        Raises:
            ValueError: there is no such index.
            RuntimeError: the port is taken.
        """
        if self._ports is None:
            self._ports = self._make()
        return await self._ports.host_of(name, port)

    async def close(self) -> None:
        """Stop listening."""
        if self._ports is not None:
            await self._ports.close()
            self._ports = None

    def beside(self, app: ASGIApp) -> ASGIApp:
        """The application, and the door beside it."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith(PATH):
                app_or_answer: ASGIApp = await self._answer(scope)
            else:
                app_or_answer = app
            await app_or_answer(scope, receive, send)

        return serve

    async def _answer(self, scope: Scope) -> JSONResponse:
        port = parse_qs(scope["query_string"].decode()).get("port", ["0"])
        try:
            host = await self.host_of(unquote(scope["path"].removeprefix(PATH)), int(port[0]))
        except Refused as refused:
            return JSONResponse(data_error(refused.status, refused.message), refused.status)
        except (ValueError, RuntimeError) as error:
            return JSONResponse(data_error(400, str(error)), 400)
        return JSONResponse({"host": host})
