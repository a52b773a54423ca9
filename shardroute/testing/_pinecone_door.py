"""Opens gRPC ports of the Pinecone emulator when they are asked for, also by those who are in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import httpx
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shardroute.testing._pinecone_errors import Refused, data_error
from shardroute.testing._pinecone_index import Project
from shardroute.testing.faults import Faults

if TYPE_CHECKING:
    from shardroute.testing._pinecone_grpc import GrpcPorts

PATH = "/_grpc/"
"""Before the name of an index: GET opens its port and answers ``{"host": "127.0.0.1:50051"}``."""


class GrpcDoor:
    """The gRPC side of a server, which costs nothing before it is used.

    Args:
        settings: more arguments of `GrpcPorts`.
    """

    def __init__(self, project: Project, faults: Faults, **settings: Any) -> None:
        self._project = project
        self._faults = faults
        self._settings = settings
        self._ports: GrpcPorts | None = None

    async def host_of(self, name: str, port: int = 0) -> str:
        """Where an index listens; its port stays open until `close`. 0 picks a free one.

        Raises:
            ValueError: there is no such index.
            RuntimeError: the port is taken.
        """
        if self._ports is None:
            from shardroute.testing._pinecone_grpc import GrpcPorts  # grpcio is for those who ask for it

            self._ports = GrpcPorts(self._project, self._faults, **self._settings)
        return await self._ports.host_of(name, port)

    async def close(self) -> None:
        """Stop listening."""
        if self._ports is not None:
            await self._ports.close()
            self._ports = None

    def beside(self, app: ASGIApp) -> ASGIApp:
        """The application, and the door beside it."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith(PATH):
                await app(scope, receive, send)
                return
            response = await self._answer(scope)
            await response(scope, receive, send)

        return serve

    async def _answer(self, scope: Scope) -> JSONResponse:
        port = parse_qs(scope["query_string"].decode()).get("port", ["0"])[0]
        try:
            host = await self.host_of(unquote(scope["path"].removeprefix(PATH)), int(port))
        except Refused as refused:
            return JSONResponse(data_error(refused.status, refused.message), refused.status)
        except (ValueError, RuntimeError) as error:
            return JSONResponse(data_error(400, str(error)), 400)
        return JSONResponse({"host": host})


class RemoteDoor:
    """The same from another process; it remembers the ports, for when the server is started again."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}

    async def host_of(self, url: str, name: str, port: int = 0) -> str:
        """Where an index of the server at that URL listens; 0 picks the port it had, or a free one.

        Raises:
            httpx.HTTPStatusError: there is no such index, or the port is taken.
        """
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.get(f"{PATH}{name}", params={"port": port or self._ports.get(name, 0)})
        host: str = answer.raise_for_status().json()["host"]
        self._ports[name] = int(host.rpartition(":")[2])
        return host
