"""Qdrant's `AsyncQdrantClient`, served through the router: one client is one tenant of one collection."""

from __future__ import annotations

from typing import NoReturn

from qdrant_client import AsyncQdrantClient

from ._qdrant_base import FACADE
from ._qdrant_reads import Reads
from ._qdrant_writes import Writes
from .coverage import Coverage
from .never_awaited import answers_when_awaited


@answers_when_awaited
class RoutedClient(Reads, Writes):
    """An object with the methods of `qdrant_client.AsyncQdrantClient`, for one tenant's points.

    `collection` is the name under which the application knows its points; calls for another raise InvalidInput.
    `vector_name`, `sparse_name`: the application's names for a point's vectors. `tenant_field`: the payload field
    in which the application itself keeps the tenant's name; it is answered from the handle, in payloads and filters,
    and a point of another tenant is refused. `ignored` names arguments that are let go of; all others that are
    not covered raise NotCovered.

    Raises what `Tenant` raises; each error is an instance of the client's nearest class too. docs/facades.md says what
    is covered and what differs. A call that is not awaited does nothing: to use its answer raises NotAwaited.
    """

    def __getattr__(self, name: str) -> NoReturn:
        raise Coverage(FACADE, AsyncQdrantClient).missing(name)

    async def close(self, grpc_grace: float | None = None) -> None:
        """Nothing: the connections are the router's."""
