"""The Pinecone emulator's gRPC interface to its vector indexes, in the running event loop.

Each index has a port of its own: the SDK keeps no path of a host, and a name in front of `localhost` does not
resolve everywhere. A request becomes the `Call` that the HTTP interface makes of it, so both share their data.

`Faults` strike here too: `down` is UNAVAILABLE on a connection that stays open, and a `rate_limit` counts the
requests of each interface for itself. Positions stand in the initial metadata, before the answer; the SDK (10.2) does
not look at them: over gRPC its `response_info` is always None.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from starlette.types import Message, Receive, Scope, Send

from shardroute.testing import _pinecone_admin as admin
from shardroute.testing import _pinecone_checks as check
from shardroute.testing import _pinecone_vectors as vectors
from shardroute.testing._pinecone_app import OTHER_API
from shardroute.testing._pinecone_call import Call, Operation, Reply
from shardroute.testing._pinecone_errors import CODES, Refused
from shardroute.testing._pinecone_index import Project
from shardroute.testing._pinecone_proto import CLASSES, SERVICE, as_json, fill
from shardroute.testing.faults import ConnectionDropped, FaultMiddleware, Faults

STATUS = {code.value[0]: code for code in grpc.StatusCode}
OPERATIONS = {operation.names[0]: operation for operation in (*vectors.OPERATIONS, *admin.DATA_OPERATIONS)}
OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # what is too large is refused as Pinecone does, see below
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error
]


class Method(NamedTuple):
    """A method of the service: the operation behind it, and its messages."""

    operation: str
    request: str
    response: str


METHODS = {
    "Upsert": Method("upsert", "UpsertRequest", "UpsertResponse"),
    "Delete": Method("delete", "DeleteRequest", "DeleteResponse"),
    "Fetch": Method("fetch", "FetchRequest", "FetchResponse"),
    "FetchByMetadata": Method("fetch_by_metadata", "FetchByMetadataRequest", "FetchByMetadataResponse"),
    "List": Method("list", "ListRequest", "ListResponse"),
    "Query": Method("query", "QueryRequest", "QueryResponse"),
    "Update": Method("update", "UpdateRequest", "UpdateResponse"),
    "DescribeIndexStats": Method("stats", "DescribeIndexStatsRequest", "DescribeIndexStatsResponse"),
    "ListNamespaces": Method("list_namespaces", "ListNamespacesRequest", "ListNamespacesResponse"),
    "DescribeNamespace": Method("describe_namespace", "DescribeNamespaceRequest", "NamespaceDescription"),
    "CreateNamespace": Method("create_namespace", "CreateNamespaceRequest", "NamespaceDescription"),
    "DeleteNamespace": Method("delete_namespace", "DeleteNamespaceRequest", "DeleteResponse"),
}


class Answer(NamedTuple):
    """What goes back: a message in bytes, or why there is none. `metadata` is sent before it, or with the refusal."""

    content: bytes
    code: Any = grpc.StatusCode.OK
    details: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


def _handle(operation: Operation, call: Call) -> Reply:
    return operation.handle(call)


class GrpcPorts:
    """The ports that speak gRPC, opened one by one as they are asked for.

    Args:
        host: the address they listen on.
        api_key: the only key that is let in; without it any is.
        reply: what carries an operation out; here rates can be kept.
        seed: of the dice of the faults.
    """

    def __init__(
        self,
        project: Project,
        faults: Faults,
        *,
        host: str = "127.0.0.1",
        api_key: str | None = None,
        reply: Callable[[Operation, Call], Reply] = _handle,
        seed: int = 0,
    ) -> None:
        self._project = project
        self._host = f"[{host}]" if ":" in host else host
        self._api_key = api_key
        self._reply = reply
        self._faulty = FaultMiddleware(
            self._serve, faults, names=_names, error_body=lambda status, message: message, seed=seed
        )
        self._servers: dict[str, tuple[Any, str]] = {}
        self._running: set[asyncio.Task[Answer]] = set()

    async def host_of(self, name: str, port: int = 0) -> str:
        """Where an index listens, as for `GrpcIndex(host=…, secure=False)`; 0 picks a free port.

        Raises:
            ValueError: there is no such index.
            RuntimeError: the port is taken.
        """
        self._project.index(name)
        if name not in self._servers:
            server = grpc.aio.server(options=OPTIONS)
            server.add_generic_rpc_handlers((self._handlers(name),))
            bound = server.add_insecure_port(f"{self._host}:{port}")
            self._servers[name] = (server, f"{self._host}:{bound}")
            await server.start()
        return self._servers[name][1]

    async def close(self) -> None:
        """Let go of the requests that are being held, and stop listening."""
        self._faulty.close()
        await asyncio.gather(*(server.stop(None) for server, _ in self._servers.values()))
        await asyncio.gather(*self._running)
        self._servers.clear()

    def _handlers(self, index: str) -> Any:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._handler(index, method))
            for name, method in METHODS.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _handler(self, index: str, method: Method) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(request: bytes, context: Any) -> bytes:
            keys = [value for key, value in context.invocation_metadata() if key == "api-key"]
            scope = {"type": "grpc", "index": index, "method": method, "key": keys[0] if keys else None}
            task = asyncio.create_task(self._answer(scope, request))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            # Shielded: a server does what it was asked although the caller has given up.
            answer = await asyncio.shield(task)
            if answer.code is not grpc.StatusCode.OK:
                await context.abort(answer.code, answer.details, answer.metadata)
            await context.send_initial_metadata(answer.metadata)
            return answer.content

        return handle

    async def _answer(self, scope: Scope, request: bytes) -> Answer:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": request}

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await self._faulty(scope, receive, send)
        except ConnectionDropped:
            return Answer(b"", grpc.StatusCode.UNAVAILABLE, "The connection was closed")
        return _answer_of(*sent)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, in the form of ASGI for the sake of the faults."""
        try:
            status, headers, body = self._respond(scope, (await receive())["body"])
        except Refused as refused:
            status, headers, body = refused.status, refused.headers, json.dumps(refused.message).encode()
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    def _respond(self, scope: Scope, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if not scope["key"] or self._api_key not in (None, scope["key"]):
            raise Refused("Invalid API Key", 401)
        method: Method = scope["method"]
        operation, index = OPERATIONS[method.operation], self._project.index(scope["index"])
        if operation.kind not in (None, index.spec.kind):
            raise Refused(OTHER_API[operation.kind or ""])
        if method.operation == "upsert" and len(request) > check.MAX_UPSERT_BYTES:
            raise Refused(_too_large(len(request), check.MAX_UPSERT_BYTES), 413)
        given = as_json(CLASSES[method.request].FromString(request))
        # An operation takes what it wants from path, query or body: in gRPC they are one.
        reply = self._reply(operation, Call(index, given, given, tuple(given.get("ids", ())), given))
        content = fill(CLASSES[method.response](), reply.body).SerializeToString()
        if reply.position is not None and len(content) > check.MAX_RESULT_BYTES:
            raise Refused(_too_large(len(content), check.MAX_RESULT_BYTES))
        return 200, self._positions(reply), content

    def _positions(self, reply: Reply) -> dict[str, str]:
        named = {"x-pinecone-request-lsn": reply.lsn, "x-pinecone-max-indexed-lsn": reply.position}
        given = self._project.behaviour.positions
        return {name: str(value) for name, value in named.items() if given and value is not None}


def _names(scope: Scope) -> tuple[str, ...]:
    return OPERATIONS[scope["method"].operation].names


def _answer_of(start: Message, rest: Message) -> Answer:
    status, body = start["status"], rest["body"]
    headers = tuple((name.decode(), value.decode()) for name, value in start["headers"])
    metadata = tuple((name, value) for name, value in headers if not name.startswith("content-"))
    if status < 300:
        return Answer(body, metadata=metadata)
    return Answer(b"", STATUS[CODES.get(status, CODES[500])[1]], json.loads(body), metadata)


def _too_large(size: int, limit: int) -> str:
    return f"Error, message length too large: found {size} bytes, the limit is: {limit} bytes"
