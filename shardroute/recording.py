"""Queries kept for replays: taken on the way (`Recorder`), and as lines of a file (`to_line`, `from_line`)."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from .comparisons import RecordedQuery
from .config import RecordingConfig
from .control import Stats
from .errors import InvalidInput, ShardrouteError
from .filters import parse
from .records import Query, SparseVector, as_vector

log = logging.getLogger("shardroute")

_BUFFER = 1000  # queries of one process that wait to be sent; the oldest go
_FLUSH = 1.0  # seconds
_AT_ONCE = 100  # queries in one request


@dataclass(slots=True)
class Taken:
    """A query as it was asked; what its caller may change afterwards is copied."""

    tenant: str
    query: Query
    raw_filter: Mapping[str, Any] | None
    at: float


class Recorder:
    """Keeps a share of the queries of one process, and sends them to Redis every second.

    `choose` draws from 0 to 1.
    """

    def __init__(
        self, stats: Stats, config: RecordingConfig, choose: Callable[[], float] = random.random
    ) -> None:
        self._stats = stats
        self._config = config
        self._choose = choose
        self._taken: deque[Taken] = deque(maxlen=_BUFFER)

    def taken(self, tenant: str, query: Query, raw_filter: Mapping[str, Any] | None) -> Taken | None:
        """The query, if it is one of the share. Neither waits nor raises."""
        if self._choose() >= self._config.share:
            return None
        return Taken(tenant, _copied(query), deepcopy(raw_filter), time.time())

    def keep(self, taken: Taken) -> None:
        """Of a tenant that has data: anybody can ask for tenants that are not there, as many as they like."""
        self._taken.append(taken)

    async def flush(self) -> None:
        """Sends what was taken. If Redis is away it is lost: recordings are samples."""
        by_tenant: dict[str, list[RecordedQuery]] = defaultdict(list)
        while self._taken:
            taken = self._taken.popleft()
            by_tenant[taken.tenant].append(_recorded(taken))
        for tenant, queries in by_tenant.items():
            for start in range(0, len(queries), _AT_ONCE):
                await self._stats.record(
                    tenant,
                    queries[start : start + _AT_ONCE],
                    most=self._config.most,
                    retention=self._config.retention,
                )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Flushes while the block runs, and once more at its end."""
        task = asyncio.create_task(self._forever(), name="shardroute recording")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._try_flush()

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH)
            await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except ShardrouteError as error:
            log.warning("recorded queries are lost: %s", error)


def _copied(query: Query) -> Query:
    vector = None if query.vector is None else query.vector.copy()
    return Query(vector, query.top_k, query.filter, query.sparse_vector, text=query.text)


def _recorded(taken: Taken) -> RecordedQuery:
    query, sparse = taken.query, taken.query.sparse_vector
    return RecordedQuery(
        vector=None if query.vector is None else tuple(query.vector.tolist()),
        top_k=query.top_k,
        raw_filter=taken.raw_filter,
        sparse_indices=() if sparse is None else tuple(sparse.indices.tolist()),
        sparse_values=() if sparse is None else tuple(sparse.values.tolist()),
        text=query.text,
        at=taken.at,
    )


# -- as queries and as lines -----------------------------------------------------------------------------------------


def as_query(recorded: RecordedQuery) -> Query:
    """Ready to be asked. Raises InvalidInput (InvalidRecord, InvalidFilter) where a value makes no sense."""
    sparse = (
        SparseVector(list(recorded.sparse_indices), list(recorded.sparse_values))
        if recorded.sparse_indices
        else None
    )
    vector = None if recorded.vector is None else as_vector(list(recorded.vector), what="query")
    return Query(vector, recorded.top_k, parse(recorded.raw_filter), sparse, text=recorded.text)


def to_line(recorded: RecordedQuery) -> str:
    """One JSON object, without a line break. What is not there is left out."""
    sparse = {"indices": recorded.sparse_indices, "values": recorded.sparse_values}
    parts = {
        "top_k": recorded.top_k,
        "vector": recorded.vector,
        "sparse_vector": sparse if recorded.sparse_indices else None,
        "text": recorded.text,
        "filter": recorded.raw_filter,
        "at": recorded.at or None,
    }
    return json.dumps({key: value for key, value in parts.items() if value is not None})


def from_line(line: str) -> RecordedQuery:
    """A query of a line. Raises InvalidInput, saying what is wrong with it."""
    try:
        values = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"no JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput("a query is a JSON object")
    unknown = values.keys() - _KEYS
    if unknown:
        raise InvalidInput(f"unknown keys: {', '.join(sorted(unknown))}; known are {', '.join(_KEYS)}")
    try:
        return _checked(values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"no query: {error!r}") from error


_KEYS = ("vector", "top_k", "filter", "sparse_vector", "text", "at")


def _checked(values: Mapping[str, Any]) -> RecordedQuery:
    vector, sparse, text = values.get("vector"), values.get("sparse_vector") or {}, values.get("text")
    if text is not None and not isinstance(text, str):
        raise InvalidInput("`text` is a string")
    recorded = RecordedQuery(
        vector=None if vector is None else tuple(float(number) for number in vector),
        top_k=int(values.get("top_k", 10)),
        raw_filter=values.get("filter"),
        sparse_indices=tuple(sparse["indices"]) if sparse else (),
        sparse_values=tuple(sparse["values"]) if sparse else (),
        text=text,
        at=float(values.get("at", 0.0)),
    )
    as_query(recorded)
    return recorded
