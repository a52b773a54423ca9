"""Qdrant's gRPC interface in front of local mode: as much of it as a store uses.

It shows that what the store sends survives the translation to gRPC and back. A real server decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc as rpc  # type: ignore[import-untyped]  # grpcio ships no types
from qdrant_client import AsyncQdrantClient, grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

Handler = Callable[[Any, Any, Any], Awaitable[Any]]


def _refusing(handler: Handler) -> Handler:
    """Local mode's errors with the codes and words of a server."""

    async def handle(self: Any, request: Any, context: Any) -> Any:
        try:
            return await handler(self, request, context)
        except KeyError as error:
            await context.abort(rpc.StatusCode.NOT_FOUND, f"Not found: No point with id {error} found")
        except ValueError as error:
            missing = "not found" in str(error)
            code = rpc.StatusCode.NOT_FOUND if missing else rpc.StatusCode.INVALID_ARGUMENT
            await context.abort(code, str(error))

    return handle


def _filter(request: Any, name: str = "filter") -> Any:
    return GrpcToRest.convert_filter(getattr(request, name)) if request.HasField(name) else None


def _wanted(request: Any) -> dict[str, Any]:
    return {
        "with_payload": GrpcToRest.convert_with_payload_interface(request.with_payload),
        "with_vectors": GrpcToRest.convert_with_vectors_selector(request.with_vectors),
    }


def _retrieved(point: models.Record) -> grpc.RetrievedPoint:
    point.payload = point.payload or {}  # gRPC knows no difference
    return RestToGrpc.convert_retrieved_point(point)


_DONE = grpc.UpdateResult(operation_id=1, status=grpc.UpdateStatus.Completed)


class _Points(grpc.PointsServicer):
    def __init__(self, local: AsyncQdrantClient) -> None:
        self.local = local

    @_refusing
    async def Upsert(self, request: Any, context: Any) -> Any:
        await self.local.upsert(
            request.collection_name,
            [GrpcToRest.convert_point_struct(point) for point in request.points],
            update_filter=_filter(request, "update_filter"),
            update_mode=GrpcToRest.convert_update_mode(request.update_mode),
        )
        return grpc.PointsOperationResponse(result=_DONE)

    @_refusing
    async def UpdateBatch(self, request: Any, context: Any) -> Any:
        operations = [GrpcToRest.convert_points_update_operation(each) for each in request.operations]
        await self.local.batch_update_points(request.collection_name, operations)
        return grpc.UpdateBatchResponse(result=[_DONE for _ in operations])

    @_refusing
    async def Delete(self, request: Any, context: Any) -> Any:
        await self.local.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return grpc.PointsOperationResponse(result=_DONE)

    @_refusing
    async def Get(self, request: Any, context: Any) -> Any:
        ids = [GrpcToRest.convert_point_id(each) for each in request.ids]
        found = await self.local.retrieve(request.collection_name, ids, **_wanted(request))
        return grpc.GetResponse(result=[_retrieved(point) for point in found])

    @_refusing
    async def Scroll(self, request: Any, context: Any) -> Any:
        offset = GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None
        wanted = {
            key: value
            for key, value in _wanted(request).items()
            if key == "with_payload" or request.HasField(key)
        }
        found, following = await self.local.scroll(
            request.collection_name, _filter(request), request.limit, offset=offset, **wanted
        )
        return grpc.ScrollResponse(
            result=[_retrieved(point) for point in found],
            next_page_offset=None if following is None else RestToGrpc.convert_extended_point_id(following),
        )

    @_refusing
    async def Query(self, request: Any, context: Any) -> Any:
        query = GrpcToRest.convert_query_points(request)
        [answer] = await self.local.query_batch_points(request.collection_name, [query])
        return grpc.QueryResponse(result=[RestToGrpc.convert_scored_point(point) for point in answer.points])

    @_refusing
    async def Count(self, request: Any, context: Any) -> Any:
        answer = await self.local.count(request.collection_name, _filter(request))
        return grpc.CountResponse(result=RestToGrpc.convert_count_result(answer))

    @_refusing
    async def Facet(self, request: Any, context: Any) -> Any:
        answer = await self.local.facet(
            request.collection_name, request.key, _filter(request), limit=request.limit
        )
        return grpc.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in answer.hits])

    @_refusing
    async def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        return grpc.PointsOperationResponse(result=_DONE)


class _Collections(grpc.CollectionsServicer):
    def __init__(self, local: AsyncQdrantClient) -> None:
        self.local = local

    @_refusing
    async def Get(self, request: Any, context: Any) -> Any:
        info = await self.local.get_collection(request.collection_name)
        return grpc.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    @_refusing
    async def List(self, request: Any, context: Any) -> Any:
        listed = (await self.local.get_collections()).collections
        return grpc.ListCollectionsResponse(
            collections=[grpc.CollectionDescription(name=collection.name) for collection in listed]
        )

    @_refusing
    async def Create(self, request: Any, context: Any) -> Any:
        made = await self.local.create_collection(
            request.collection_name,
            vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
            sparse_vectors_config=GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config),
        )
        return grpc.CollectionOperationResponse(result=made)

    @_refusing
    async def Delete(self, request: Any, context: Any) -> Any:
        gone = await self.local.delete_collection(request.collection_name)
        return grpc.CollectionOperationResponse(result=gone)


class _Root(grpc.QdrantServicer):
    async def HealthCheck(self, request: Any, context: Any) -> Any:
        return grpc.HealthCheckReply(title="qdrant", version="1.20.0")


@asynccontextmanager
async def grpc_server() -> AsyncIterator[int]:
    """Serves in this event loop; the port."""
    local = AsyncQdrantClient(location=":memory:")
    server = rpc.aio.server()
    grpc.add_PointsServicer_to_server(_Points(local), server)  # type: ignore[no-untyped-call]  # generated
    grpc.add_CollectionsServicer_to_server(_Collections(local), server)  # type: ignore[no-untyped-call]  # generated
    grpc.add_QdrantServicer_to_server(_Root(), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0.1)
        await local.close()
