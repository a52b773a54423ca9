"""The seam between the library and a vector database: one small Protocol.

A store knows nothing of phases, routers or other stores. It translates its client's errors into
`errors.ClusterUnavailable`, `RateLimited` (retryable) and `ClusterRejected` (not), and it never lets
two tenants of one collection meet: every method works within the `Place` it is given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .filters import Filter
from .records import Match, Query, Record, SparseVector, VectorLike
from .schema import Description, End
from .topology import Place, Placement

Cursor = str
"""Where a scan goes on: opaque, JSON-safe, valid across restarts of the process."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a scan. `cursor` is None on the last one. `records` may be empty before that.

    `shared`: ids of those records that another tenant has too.
    """

    records: list[Record]
    cursor: Cursor | None
    shared: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Records that no tenant has: where they say whose they are, there is `value`, which is no tenant's name here."""

    collection: str
    value: str
    records: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store takes in one request, and which size to begin with."""

    upsert_records: int = 1000
    upsert_bytes: int = 2_000_000
    fetch_ids: int = 1000
    delete_ids: int = 1000
    scan_records: int = 1000
    best_upsert_records: int = 256


def limits_at(store: Store, place: Place) -> Limits:
    """What a store takes in one request there. No I/O.

    Its `limits`, or what a store that has a method of this name has learned of the collection by now.
    """
    learned: Callable[[Place], Limits] | None = getattr(store, "limits_at", None)
    return store.limits if learned is None else learned(place)


@dataclass(frozen=True, slots=True)
class Change:
    """A partial update of one record: what is None stays.

    Metadata is merged key by key, at the top level; a null in it removes the key (Qdrant knows no other way).
    """

    id: str
    metadata: Mapping[str, Any] | None = None
    vector: VectorLike | None = None
    sparse_vector: SparseVector | None = None


class Store(Protocol):
    """One cluster. Every method may raise ClusterUnavailable, RateLimited or ClusterRejected."""

    @property
    def name(self) -> str:
        """The cluster's name in the configuration."""

    @property
    def system(self) -> str:
        """OpenTelemetry's `db.system.name`."""

    @property
    def address(self) -> tuple[str, int | None]:
        """Host and port for spans; ("", None) where there is no network."""

    @property
    def limits(self) -> Limits: ...

    @property
    def lag(self) -> float:
        """Seconds after which reads see a write for certain where the cluster does not say; 0: at once."""

    @property
    def can_insert_only(self) -> bool:
        """Whether `upsert(insert_only=True)` leaves records that exist as they are (rule 12)."""

    @property
    def can_hold_named_vectors(self) -> bool:
        """Whether a record may have vectors beside those that the place names."""

    def misfit(self, place: Place, record: Record) -> str | None:
        """Why this store cannot hold the record, or None. Pure; called before anything is written."""

    def filter_misfit(self, condition: Filter) -> str | None:
        """Why this store cannot evaluate the filter, or None. Pure."""

    async def upsert(self, place: Place, records: Sequence[Record], *, insert_only: bool = False) -> None:
        """Insert or replace whole records. At most `limits` a call.

        Visible to reads when it returns; where the store has a `lag`, after `fresh`. So for all writes.
        """

    async def update(self, place: Place, changes: Sequence[Change]) -> None:
        """Partial updates; ids that are not there are passed over without effect."""

    async def delete(self, place: Place, ids: Sequence[str]) -> None:
        """Delete by id; ids that are not there are passed over."""

    async def query(self, place: Place, query: Query) -> list[Match]:
        """The nearest records, best first. Cosine and dot: higher is nearer; euclidean: true L2."""

    async def fetch(self, place: Place, ids: Sequence[str], *, vectors: bool = True) -> dict[str, Record]:
        """Records by id; absent ids are absent. `vectors=False` leaves vectors out (None)."""

    async def scan(
        self,
        place: Place,
        *,
        cursor: Cursor | None = None,
        limit: int = 256,
        condition: Filter | None = None,
        vectors: bool = True,
    ) -> Page:
        """All records in a stable order of ids, page by page. A cursor, not a snapshot."""

    async def count(self, place: Place, condition: Filter | None = None) -> int:
        """Exact number of records."""

    async def estimate(self, place: Place) -> int:
        """About how many records there are, in one request: for progress, not for decisions."""

    async def fresh(self, place: Place) -> None:
        """Returns once every read of the tenant sees what was acknowledged, by anyone, before the call.

        At once where `lag` is 0. The wait ends with the caller's patience: cancelling it does no harm.
        """

    async def remove(self, place: Place, ids: Sequence[str], mark: str) -> None:
        """Delete by id what is there now. At most `limits.delete_ids` a call.

        For purges: where the store has conditions for that, a request of this call that lands late cannot delete what
        was written in between. `mark`: a word that no other purge uses; readers never see it.
        """

    async def describe(self, place: Place) -> Description | None:
        """What the collection is; None if it does not exist yet (a first upsert would make it, or fail)."""

    async def prepare(self, place: Place, like: End | None = None) -> None:
        """Make what the tenant needs on this cluster and may not exist yet. Repeatable.

        `like`: the tenant's other side; where that is of the same vendor, what is made is made like it.
        """

    def tenants(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[str]:
        """Every tenant with data, in any order: within `collections`, or by the placement's own pattern."""

    def unnamed(self, placement: Placement, collections: Collection[str]) -> AsyncIterator[Unnamed]:
        """What else there is, where `tenants` looks."""

    async def ping(self) -> None:
        """Returns if the cluster answers."""

    async def aclose(self) -> None: ...
