"""What Pinecone's two data APIs do each in their own way: what a store adds to `pinecone_store`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pinecone.models.indexes.index import IndexModel

from ..ports import Change
from ..records import Match, Metric, Query, Record
from ..schema import Description
from ..topology import Place
from .batches import Sized

Wire = Any
"""A record as the SDK takes it."""


class PineconeApi(ABC):
    """One kind of index. Requests raise `PineconeRejected` where the namespace is not there yet."""

    kind: ClassVar[str]
    """As in the configuration."""

    @abstractmethod
    def _record_misfit(self, place: Place, record: Record) -> str | None: ...

    @abstractmethod
    def _change_misfit(self, place: Place, change: Change) -> str | None: ...

    @abstractmethod
    def _is_hidden(self, place: Place | None, key: str) -> bool:
        """Whether no record can have metadata under the key."""

    @abstractmethod
    def _to_wire(self, place: Place, record: Record) -> Sized[Wire]: ...

    @abstractmethod
    async def _upsert(self, place: Place, batch: list[Wire]) -> None: ...

    @abstractmethod
    async def _update(self, place: Place, changes: Sequence[Change]) -> None:
        """One change for each id, all of which Pinecone can have."""

    @abstractmethod
    async def _delete(self, place: Place, ids: Sequence[str]) -> None: ...

    @abstractmethod
    @abstractmethod
    async def _query(self, place: Place, query: Query, clause: Mapping[str, Any] | None) -> list[Match]: ...

    @abstractmethod
    async def _fetch(self, place: Place, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]: ...

    @abstractmethod
    async def _fetch_where(
        self, place: Place, clause: Mapping[str, Any], token: str | None, limit: int, *, vectors: bool
    ) -> tuple[list[Record], str | None]: ...

    @abstractmethod
    async def _list(
        self, collection: str, namespace: str, token: str | None, limit: int
    ) -> tuple[list[str], str | None]: ...

    @abstractmethod
    async def _write_fence(self, place: Place) -> int | None: ...

    @abstractmethod
    async def _seen(self, place: Place) -> int | None: ...

    @abstractmethod
    def _described(self, place: Place, model: IndexModel) -> Description: ...

    @abstractmethod
    def _may_be_sparse(self, place: Place, metric: Metric | None) -> bool: ...

    @abstractmethod
    def _unfit(self, place: Place, model: IndexModel) -> str | None:
        """Why the index is not one for this kind of store, or None."""

    @abstractmethod
    def _how_to_make(self, place: Place) -> str: ...
