"""Pinecone's `AsyncIndex`, served through the router: a namespace is a tenant."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Self

from pinecone import AsyncIndex

from ._pinecone_base import FACADE
from ._pinecone_reads import Reads
from ._pinecone_writes import Writes
from .coverage import Coverage
from .never_awaited import answers_when_awaited


@answers_when_awaited
class RoutedIndex(Reads, Writes):
    """An object with the methods of `pinecone.AsyncIndex`, over a router that stays its owner's to close.

    `tenant_of` says which tenant a namespace is; without it, the one of the same name. The default namespace
    (none given, "" or "__default__") is `default_tenant`, or the tenant that the old topology's placement names in
    `default_namespace`. Where neither names one, a call there raises UnknownTenant.
    `ignored` names arguments that are let go of; all others that are not covered raise NotCovered.

    Raises what `Tenant` raises; each error is an instance of the SDK's nearest class too. docs/facades.md says what
    is covered and what differs. A call that is not awaited does nothing: to use its answer raises NotAwaited.

    Raises ConfigError for a `default_tenant` whose records are in another namespace of the old cluster.
    """

    def __getattr__(self, name: str) -> NoReturn:
        raise Coverage(FACADE, AsyncIndex).missing(name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing: the connections are the router's."""
