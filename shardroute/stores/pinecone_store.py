"""What both kinds of Pinecone index have in common as a store; each kind adds its own requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Self, TypeVar

from pinecone import AsyncIndex
from pinecone.models.namespaces.models import NamespaceDescription

from ..errors import (
    ClusterRejected,
    ConfigError,
    InvalidFilter,
    InvalidRecord,
    TenantBreach,
)
from ..filters import Filter
from ..ports import Change, Cursor, Limits, Page, Unnamed
from ..records import Match, Query, Record
from ..schema import Description, End
from ..topology import Place, Placement, TenancyKind
from .batches import by_bytes, halves, in_pages
from .pinecone_api import PineconeApi, Wire
from .pinecone_batches import MAX_BYTES, PAGE, one_for_each
from .pinecone_connection import Connection
from .pinecone_errors import About, PineconeRejected, all_written
from .pinecone_filters import Clause, translate
from .pinecone_freshness import SAFE_LAG, Freshness
from .pinecone_namespaces import tenants
from .pinecone_records import METRICS, empty_list_misfit, possible_id
from .pinecone_scan import cursor_of, scan_ids, token_of

_T = TypeVar("_T")

_BY_ID, _BY_FILTER = "ids", "where"
_DELETED_AT_ONCE = 1000


class PineconeStore(PineconeApi):
    """A `ports.Store` on Pinecone, but for the requests that differ between its two APIs."""

    system = "pinecone"
    can_insert_only = False
    can_hold_named_vectors = False
    limits = Limits(upsert_bytes=2_000_000, scan_records=1000, best_upsert_records=100)

    def __init__(
        self, name: str, connection: Connection, *, lag: float, timeout: float, empty_lists: bool = False
    ) -> None:
        if lag < 0:
            raise ValueError(f"lag is {lag:g}; it is a number of seconds")
        if not isinstance(empty_lists, bool):
            raise TypeError(f"empty_lists is {empty_lists!r}; it is true or false")
        self.name = name
        self._freshness = Freshness(name, lag)
        self.address = connection.address
        self._connection = connection
        self._timeout = timeout
        self._empty_lists = empty_lists

    @property
    def lag(self) -> float:
        """As configured, or longer where searches were seen to lag."""
        return self._freshness.lag

    @classmethod
    def connect(
        cls,
        name: str,
        *,
        api_key: str = "",
        host: str | None = None,
        control_host: str | None = None,
        timeout: float = 10.0,
        lag: float = SAFE_LAG,
        rate: float = 100.0,
        empty_lists: bool = False,
    ) -> Self:
        """A store with clients of its own; nothing is sent before the first request.

        `host`: of the one index that is this cluster. Without it, a place's collection is the name of an
        index, found at `control_host`. `timeout`: seconds for each request. `lag`: seconds after which every read
        surely sees a write; docs/pinecone-documents.md says how to measure it. `rate`: requests a second to each
        namespace, for each operation; less after a 429.
        `empty_lists`: whether metadata may hold them. Pinecone's `$exists` takes them as there, other stores as
        absent: so either they are refused, or that operator.
        """
        connection = Connection(
            name, api_key=api_key, host=host, control_host=control_host, timeout=timeout, rate=rate
        )
        return cls(name, connection, lag=lag, timeout=timeout, empty_lists=empty_lists)

    def filter_misfit(self, condition: Filter) -> str | None:
        try:
            self._translated(None, condition)
        except InvalidFilter as error:
            return str(error)
        return None

    def misfit(self, place: Place, record: Record) -> str | None:
        """Stricter than `upsert`: an empty list that the cluster held before is written back when debt is paid."""
        reason = self._record_misfit(place, record)
        return reason if reason or self._empty_lists else empty_list_misfit(record.metadata)

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        """Split by bytes where Pinecone would refuse the size; the parts go at once, in no order."""
        if insert_only:
            raise ClusterRejected(self.name, "Pinecone has no insert_only")
        last = {record.id: record for record in records}  # parts may overtake each other
        for record in last.values():
            self._require(record.id, self._record_misfit(place, record))
        wires = [self._to_wire(place, record) for record in last.values()]
        await all_written(self._upsert_halved(place, batch) for batch in by_bytes(wires, MAX_BYTES))

    async def _upsert_halved(self, place: Place, batch: list[Wire]) -> None:
        try:
            await self._upsert(place, batch)
        except PineconeRejected as error:
            if error.about is not About.TOO_LARGE or len(batch) == 1:
                raise
            await all_written(self._upsert_halved(place, half) for half in halves(batch))

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        for change in changes:
            self._require(change.id, self._change_misfit(place, change))
        known = [change for change in one_for_each(changes) if possible_id(change.id)]
        if known:
            await self._reached(place.collection, self._update(place, known), None)

    @staticmethod
    def _require(record_id: str, misfit: str | None) -> None:
        if misfit is not None:
            raise InvalidRecord(f"record {record_id!r}: {misfit}")

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        known = [name for name in ids if possible_id(name)]
        parts = in_pages(known, _DELETED_AT_ONCE)
        await all_written(self._reached(place.collection, self._delete(place, part), None) for part in parts)

    async def query(self, place: Place, query: Query) -> list[Match]:
        clause = self._translated(place, query.filter)
        if clause is False:
            return []
        return await self._reached(place.collection, self._query(place, query, _sent(clause)), [])

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        known = [name for name in dict.fromkeys(ids) if possible_id(name)]
        return (
            await self._reached(place.collection, self._fetch(place, known, vectors=vectors), {})
            if known
            else {}
        )

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        """In the order of ids ("C" collation); the cursor wraps Pinecone's own, which holds the last id.

        Ids are listed 100 a page, and fetched while the next ones are listed. Whether a token runs out is not
        documented; those that the documentation shows are nothing but the last id.
        """
        clause = self._translated(place, condition)
        if clause is False:
            return Page([], None)
        kind = _BY_ID if clause is True else _BY_FILTER
        token = token_of(kind, cursor)
        if clause is True:
            read = self._scan_ids(place, token, limit, vectors)
        else:
            filtered: Mapping[str, Any] = _sent(clause) or {}
            read = self._fetch_where(place, filtered, token, min(limit, PAGE), vectors=vectors)
        records, following = await self._reached(place.collection, read, ([], None))
        return Page(records, cursor_of(kind, following))

    async def _scan_ids(
        self, place: Place, token: str | None, limit: int, vectors: bool
    ) -> tuple[list[Record], str | None]:
        return await scan_ids(
            lambda token, size: self._list(place.collection, self._namespace(place), token, size),
            lambda ids: self._fetch(place, ids, vectors=vectors),
            token,
            limit,
        )

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        """By listing ids, 100 a request: the counts that Pinecone keeps itself lag for a time it does not tell."""
        clause = self._translated(place, condition)
        if clause is False:
            return 0
        return await self._reached(place.collection, self._count(place, _sent(clause)), 0)

    async def _count(self, place: Place, clause: Mapping[str, Any] | None) -> int:
        total, token = 0, None
        while True:
            found: Sequence[object]
            if clause is None:
                found, token = await self._list(place.collection, self._namespace(place), token, PAGE)
            else:
                found, token = await self._fetch_where(place, clause, token, PAGE, vectors=False)
            total += len(found)
            if token is None:
                return total

    async def estimate(self, place: Place) -> int:
        """Pinecone's own count of the namespace, which lags."""
        found = await self._reached(place.collection, self._namespace_told(place), None)
        return 0 if found is None else found.record_count

    async def fresh(self, place: Place) -> None:
        """Waits for a write that changes nothing to be seen by a search, and in any case for `lag` seconds."""
        await self._freshness.caught_up(
            lambda: self._reached(place.collection, self._write_fence(place), None),
            lambda: self._reached(place.collection, self._seen(place), None),
        )

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        """By id, as `delete`: Pinecone has no condition that would let through what was written in between."""
        await self.delete(place, ids)

    async def _namespace_told(self, place: Place) -> NamespaceDescription:
        return await self._ask(
            place, "describe_namespace", lambda index: index.describe_namespace(name=place.namespace)
        )

    async def describe(self, place: Place) -> Description | None:
        """By name from the control plane; by host from the index's statistics, as far as they go."""
        if not self._connection.host:
            model = await self._connection.model(place.collection)
            return None if model is None else self._described(place, model)
        try:
            stats = await self._ask(place, "stats", lambda index: index.describe_index_stats())
        except PineconeRejected as error:
            if error.about is not About.NOT_FOUND:
                raise
            return None
        metric = METRICS.get(stats.metric or "")
        return Description(stats.dimension, metric, self._may_be_sparse(place, metric))

    async def prepare(self, place: Place, like: End | None = None) -> None:
        """Makes nothing: an index is its owner's to make and to pay for. Raises ClusterRejected if it is missing.

        Namespaces come into being with their first record.
        """
        if self._connection.host:
            return await self._probe(place)
        model = await self._connection.model(place.collection)
        reason = self._how_to_make(place) if model is None else self._unfit(place, model)
        if reason is not None:
            raise ClusterRejected(self.name, f"index {place.collection!r} {reason}")

    async def _probe(self, place: Place) -> None:
        """An index speaks one of the two APIs, and refuses whatever is asked of it in the other.

        With whatever status: so it is asked about a namespace that is there, if there is any.
        """
        try:
            known = await self._connection.some_namespace(place.collection)
            if known is None:
                await self._holds_any(place.collection, self._namespace(place))
            else:
                await self._list(place.collection, known, None, 1)
        except PineconeRejected as error:
            if error.about not in (About.OTHER, About.NOT_FOUND):
                raise
            raise ClusterRejected(
                self.name, f"the index at {self.address[0]} is not of kind {self.kind!r}: {error}"
            ) from error

    def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        """Those of the namespaces that the placement's pattern could have named, if they hold records."""
        return tenants(self._connection, placement, collections, self._holds_any)

    async def _holds_any(self, collection: str, namespace: str) -> bool:
        ids, _ = await self._reached(collection, self._list(collection, namespace, None, 1), ([], None))
        return bool(ids)

    async def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        """Nothing: `doctor` looks at the default namespace by itself, and other namespaces are no tenants'."""
        nothing: tuple[Unnamed, ...] = ()
        for one in nothing:
            yield one

    async def ping(self) -> None:
        await self._connection.ping()

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _translated(self, place: Place | None, condition: Filter | None) -> Clause:
        return translate(condition, lambda key: self._is_hidden(place, key), can_exist=not self._empty_lists)

    async def _ask(self, place: Place, operation: str, call: Callable[[AsyncIndex], Awaitable[_T]]) -> _T:
        return await self._connection.ask(place.collection, self._namespace(place), operation, call)

    @staticmethod
    def _namespace(place: Place) -> str:
        if place.tenancy.kind is not TenancyKind.NAMESPACE:
            raise ConfigError(f"tenancy {place.tenancy.kind.value!r} is not Pinecone's, which is 'namespace'")
        return place.namespace

    def _require_own(self, place: Place, namespace: str | None) -> None:
        """Raises TenantBreach where an answer says that it is of another namespace. Some do not say."""
        if namespace and namespace != place.namespace:
            raise TenantBreach(
                self.name,
                f"an answer to tenant {place.tenant!r} in {place.collection!r} is of another namespace",
            )

    async def _reached(self, collection: str, answer: Awaitable[_T], empty: _T) -> _T:
        """The answer; `empty` where the tenant's namespace is not there yet.

        A namespace that is missing and an index that is missing are told in one way, and an index that is gone must
        never pass for a tenant without records: so the index itself is asked whether it is there.
        """
        try:
            return await answer
        except PineconeRejected as error:
            if error.about is not About.NOT_FOUND or not await self._connection.exists(collection):
                raise
            return empty


def _sent(clause: Clause) -> Mapping[str, Any] | None:
    return None if isinstance(clause, bool) else clause
