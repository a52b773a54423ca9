"""The tenant handle: what an application reads and writes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from . import filters
from .encoding import Encoding
from .errors import InvalidFilter, InvalidInput, Unavailable
from .filters import Filter, FilterLike
from .operations import Delete, Operation, Update, Upsert, check_ids
from .phases import Phase, Side
from .ports import Change, Cursor, Page
from .questions import Lookup, Search
from .reads import Reader
from .recording import Recorder
from .records import (
    EMPTY,
    Match,
    Metric,
    Query,
    Record,
    SparseVector,
    VectorLike,
    as_vector,
    check_dimension,
    check_id,
)
from .routing import Route, Sides, Target
from .shardmap import ShardMap
from .view import View
from .writes import Writer

_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")

_CATCH_UP = 10.0  # seconds beyond its lag that a cluster's reads get to catch up
_SCAN_PAGE = 256


@dataclass(slots=True)
class _Cached:
    """The route by the map it was made for."""

    shard_map: ShardMap
    route: Route


class Tenant:
    """One tenant's records, wherever they are at the moment. Made by `Router.tenant`; cheap to keep or to make anew.

    Every method raises `ClusterUnavailable` or `RateLimited` (retryable) and `ClusterRejected` as the cluster
    answers; `InvalidInput` before anything is sent (with `ids = "native"` for an id in another spelling than Qdrant's,
    too). Writes return when every process reads them, and also raise `TenantHeld` or `LeaseLost` (retryable) when their
    deadline comes first, and `MapLost`. `timeout` is in seconds.
    """

    __slots__ = (
        "_cached", "_encoding", "_has_data", "_reader", "_recorder", "_sides", "_view", "_writer", "name",
    )  # fmt: skip

    def __init__(
        self, sides: Sides, view: View, reader: Reader, writer: Writer, recorder: Recorder | None = None
    ) -> None:
        self.name = sides.tenant
        self._recorder = recorder
        self._has_data = False
        self._sides = sides
        self._encoding = sides.encoding
        self._view = view
        self._reader = reader
        self._writer = writer
        self._cached = _Cached(view.map, sides.route(view.standing(self.name)))

    @property
    def phase(self) -> Phase:
        """Where the tenant stands, by this process's map."""
        return self._route().standing.phase

    @property
    def metric(self) -> Metric:
        """What the scores of its matches are."""
        return self._route().primary.place.metric

    def _route(self) -> Route:
        cached, current = self._cached, self._view.map
        if cached.shard_map is not current:
            standing = self._view.standing(self.name)
            if standing != cached.route.standing:
                cached.route = self._sides.route(standing)
            cached.shard_map = current
        return cached.route

    # -- writes ----------------------------------------------------------------------------------------------

    async def upsert(self, records: Iterable[Record], *, timeout: float | None = None) -> None:
        """Inserts or replaces whole records; of several with one id the last counts.

        More than a cluster takes at once go in several requests: if one fails, others may have been written.
        Where the topologies have encoders, the vectors are made here and records bring none.
        """
        unique = list(_by_id(records).values())
        if self._encoding is not None:
            await self._upsert_encoded(self._encoding, unique, timeout)
            return
        route = self._route()
        largest = route.largest("upsert_records")
        if 0 < len(unique) <= largest:  # nearly always, so without the detour
            await self._writer.write(self._sides, route, Upsert(unique), timeout)
            return
        for batch in _batches(unique, largest):
            await self._write(Upsert(batch), timeout)

    async def _upsert_encoded(
        self, encoding: Encoding, records: Sequence[Record], timeout: float | None
    ) -> None:
        for record in records:
            encoding.check(f"record {record.id!r}", record.vector)
        for batch in _batches(records, self._largest("upsert_records")):
            encoded, left = await _timed(encoding.records(batch), timeout)
            await self._write(Upsert(encoded), left)

    async def update(
        self,
        id: str | None = None,  # noqa: A002 - the field's name in every vendor's API
        *,
        filter: FilterLike | None = None,  # noqa: A002 - as above
        metadata: Mapping[str, Any] | None = None,
        vector: VectorLike | None = None,
        sparse_vector: SparseVector | None = None,
        timeout: float | None = None,
    ) -> None:
        """Changes what is given and leaves the rest; metadata is merged key by key. An unknown id has no effect.

        With `filter`, the metadata of all records that match on the primary at this moment. Where the topologies have
        encoders, changing the text changes the vector.
        """
        if metadata is None and vector is None and sparse_vector is None:
            raise InvalidInput("update needs metadata, a vector or a sparse vector to set")
        if filter is not None and (vector is not None or sparse_vector is not None):
            raise InvalidInput(
                "update by filter sets metadata only: one vector for many records is surely a mistake"
            )
        if self._encoding is not None:
            self._encoding.check("update", vector)
            vector, timeout = await _timed(self._encoding.changed(metadata or EMPTY), timeout)
        async for ids in self._chosen(None if id is None else [id], filter, timeout):
            changes = [Change(record_id, metadata, vector, sparse_vector) for record_id in ids]
            await self._write(Update(changes), timeout)

    async def delete(
        self,
        ids: Iterable[str] | None = None,
        *,
        filter: FilterLike | None = None,  # noqa: A002 - the field's name in every vendor's API
        timeout: float | None = None,
    ) -> None:
        """Deletes by id, or what matches `filter` on the primary at this moment. Unknown ids are passed over.

        By `filter` where reads lag behind writes (Pinecone), it first waits for them: for the cluster's `lag`.
        """
        if ids is not None and (isinstance(ids, str) or not isinstance(ids, Iterable)):
            raise InvalidInput(f"delete takes a list of ids, not {ids!r}")
        async for batch in self._chosen(None if ids is None else list(ids), filter, timeout):
            await self._write(Delete(batch), timeout)

    def _write(self, operation: Operation, timeout: float | None) -> Awaitable[None]:
        return self._writer.write(self._sides, self._route(), operation, timeout)

    def _largest(self, limit: str) -> int:
        return self._route().largest(limit)

    async def _chosen(
        self, ids: Sequence[str] | None, condition: FilterLike | None, timeout: float | None
    ) -> AsyncIterator[Sequence[str]]:
        """The ids to write, in batches: those given, or those that match on the primary."""
        if (ids is None) == (condition is None):
            raise InvalidInput("give either ids or a filter")
        largest = self._largest("delete_ids")
        if ids is None:
            ids = await self._matching(condition, timeout)
        for batch in _batches(list(dict.fromkeys(map(check_id, ids))), largest):
            yield batch

    async def _matching(self, condition: FilterLike | None, timeout: float | None) -> list[str]:
        if filters.parse(condition) is None:
            raise InvalidFilter(
                "an empty filter would match every record; name the ids, or purge the tenant", path=""
            )
        # What was written a moment ago matches as well.
        primary, awaited = self._route().primary, set[Side]()
        while primary.store.lag and primary.side not in awaited:
            awaited = {primary.side}
            patience = _CATCH_UP + 2 * primary.store.lag if timeout is None else timeout
            await _within(primary.store.fresh(primary.place), patience)
            primary = self._route().primary  # reads may have crossed meanwhile
        return [record.id async for record in self.scan(filter=condition, vectors=False)]

    # -- reads -----------------------------------------------------------------------------------------------

    async def query(
        self,
        vector: VectorLike | None = None,
        *,
        text: str | None = None,
        top_k: int = 10,
        filter: FilterLike | None = None,  # noqa: A002 - the field's name in every vendor's API
        sparse_vector: SparseVector | None = None,
        include_metadata: bool = True,
        include_vector: bool = False,
        timeout: float | None = None,
        sticky: str | None = None,
    ) -> list[Match]:
        """The nearest records, best first. Scores: cosine and dot as they are, euclidean the distance (L2).

        `text` instead of a vector where the topologies have encoders; where these differ, nothing else will do.
        `sticky`: for whom, a user say. While the new cluster answers a share of the reads, they stay on one side.
        """
        if text is not None or self._encoding is not None:
            (vector, text), timeout = await _timed(_asked(self._encoding, vector, text), timeout)
        route = self._route()
        place = route.primary.place
        dense = None if vector is None else as_vector(vector)
        check_dimension(dense, place.dimension, place.metric, what="query")
        query = Query(
            dense,
            top_k,
            None if filter is None else self._condition(route, filter),
            sparse_vector,
            include_metadata,
            include_vector,
            text,
        )
        if route.secondary is None:
            call = self._reader.read("query", route, route.primary.store.query(place, query))
        else:
            call = self._reader.ask(route, Search(query), sticky)
        if self._recorder is not None:
            call = self._recorded(self._recorder, call, query, filter)
        return await (call if timeout is None else _within(call, timeout))

    async def _recorded(
        self,
        recorder: Recorder,
        call: Awaitable[list[Match]],
        query: Query,
        condition: FilterLike | None,
    ) -> list[Match]:
        """Keeps the query of a tenant: of one with a record in the map, or of which this handle has found something."""
        taken = recorder.taken(self.name, query, filters.as_raw(condition))
        found = await call
        self._has_data = self._has_data or bool(found)
        if taken is not None and (self._has_data or self.name in self._view.map.tenants):
            recorder.keep(taken)
        return found

    async def fetch(
        self,
        ids: Iterable[str],
        *,
        vectors: bool = True,
        timeout: float | None = None,
        sticky: str | None = None,
    ) -> dict[str, Record]:
        """Records by id; ids that are not there are left out. `sticky`: as in `query`."""
        if isinstance(ids, str):
            raise InvalidInput(f"fetch takes a list of ids, not the string {ids!r}")
        found: dict[str, Record] = {}
        left = list(dict.fromkeys(map(check_id, ids)))
        while left:
            route = self._route()  # for each batch: the tenant may leave a cluster and be purged there
            largest = self._largest("fetch_ids")
            batch, left = left[:largest], left[largest:]
            check_ids(route, batch)
            call = self._reader.ask(route, Lookup(batch, vectors), sticky)
            found |= await (call if timeout is None else _within(call, timeout))
        return found

    async def count(
        self,
        *,
        filter: FilterLike | None = None,  # noqa: A002 - the field's name in every vendor's API
        timeout: float | None = None,
    ) -> int:
        """How many records there are, or match."""
        route = self._route()
        condition = self._condition(route, filter)
        call = self._reader.read("count", route, route.primary.store.count(route.primary.place, condition))
        return await (call if timeout is None else _within(call, timeout))

    async def scan(
        self,
        *,
        filter: FilterLike | None = None,  # noqa: A002 - the field's name in every vendor's API
        vectors: bool = True,
    ) -> AsyncIterator[Record]:
        """Every record, in an order of the cluster's own. Not a snapshot: writes meanwhile may or may not show.

        A scan stays on the cluster it began on. If the tenant leaves that cluster for good on the way,
        it ends in Unavailable (retryable): begin it again.
        """
        first = self._route()
        target, cursor = first.primary, None
        condition = self._condition(first, filter)
        while True:
            page = await self._page(target, cursor, _SCAN_PAGE, condition, vectors=vectors)
            for record in page.records:
                yield record
            if (cursor := page.cursor) is None:
                return

    async def page(
        self,
        cursor: str | None = None,
        *,
        limit: int = _SCAN_PAGE,
        filter: FilterLike | None = None,  # noqa: A002 - the field's name in every vendor's API
        vectors: bool = True,
        timeout: float | None = None,
    ) -> Page:
        """A scan page by page: `limit` records at most, and the cursor of the next page, None on the last.

        A page may be short, or empty, before the last one. A cursor is text that any process can go on from; like a
        scan it stays on its cluster, and ends in Unavailable (retryable) once the tenant has left that.
        """
        if limit < 1:
            raise InvalidInput(f"limit is {limit}; it must be 1 or more")
        route = self._route()
        side, inner = (route.primary.side, None) if cursor is None else _side_of(cursor)
        target, condition = self._sides[side], self._condition(route, filter)
        largest = min(limit, target.store.limits.scan_records)
        call = self._page(target, inner, largest, condition, vectors=vectors)
        page = await (call if timeout is None else _within(call, timeout))
        return Page(page.records, None if page.cursor is None else f"{side}:{page.cursor}")

    async def _page(
        self, target: Target, cursor: Cursor | None, limit: int, condition: Filter | None, *, vectors: bool
    ) -> Page:
        route, store = self._route(), target.store
        if not route.held and target.side not in [one.side for one in route.targets]:
            raise Unavailable(f"tenant {self.name!r} has left cluster {store.name!r}; begin the scan again")
        call = store.scan(target.place, cursor=cursor, limit=limit, condition=condition, vectors=vectors)
        return await self._reader.read("scan", route, call)

    @staticmethod
    def _condition(route: Route, raw: FilterLike | None) -> Filter | None:
        """The filter, if all clusters that the tenant is on can evaluate it."""
        condition = None if raw is None else filters.parse(raw)
        if condition is not None:
            for target in route.targets:
                reason = target.store.filter_misfit(condition)
                if reason is not None:
                    raise InvalidFilter(
                        f"cluster {target.store.name!r} cannot evaluate it: {reason}", path=""
                    )
        return condition


def _by_id(records: Iterable[Record]) -> dict[str, Record]:
    if not hasattr(records, "__iter__"):  # at a tenth of what `isinstance(…, Iterable)` costs
        raise InvalidInput(f"upsert takes several Records, not one {type(records).__name__}")
    found: dict[str, Record] = {}
    for record in records:
        if not isinstance(record, Record):
            raise InvalidInput(f"upsert takes Records, not {type(record).__name__}")
        found[record.id] = record
    return found


def _side_of(cursor: object) -> tuple[Side, Cursor]:
    side, colon, inner = cursor.partition(":") if isinstance(cursor, str) else ("", "", "")
    if not colon or side not in set(Side):
        raise InvalidInput(f"cursor {cursor!r:.42} was not given out by `page`")
    return Side(side), inner


async def _asked(
    encoding: Encoding | None, vector: VectorLike | None, text: str | None
) -> tuple[VectorLike | None, str | None]:
    if encoding is None:
        raise InvalidInput(
            "a query by `text` needs topologies with an encoder (topologies.NAME.encoder); give a vector"
        )
    if text is not None and not isinstance(text, str):
        raise InvalidInput(f"a query's text must be a string, not {type(text).__name__}")
    return await encoding.asked(vector, text)


async def _timed(call: Awaitable[_Answer], timeout: float | None) -> tuple[_Answer, float | None]:
    """The answer, and what is left of the timeout."""
    if timeout is None:
        return await call, None
    began = monotonic()
    answer = await _within(call, timeout)
    return answer, max(0.0, timeout - (monotonic() - began))


async def _within(call: Awaitable[_Answer], timeout: float) -> _Answer:
    try:
        async with asyncio.timeout(timeout):
            return await call
    except TimeoutError as error:
        raise Unavailable(f"no answer within {timeout:g} s") from error


def _batches(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    if len(items) <= size:
        return [items] if items else []
    return [items[start : start + size] for start in range(0, len(items), size)]
