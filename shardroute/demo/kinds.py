"""The kinds of cluster that the demo moves tenants between: how each is started, and what the configuration says.

Pinecone's reads lag behind writes, and here they are made to: searches by one part of the lag that the configuration
gives as the longest, fetches by another.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..testing.pinecone import IndexSpec, Lag, PineconeProcess
from ..testing.qdrant import QdrantProcess
from ..testing.serving import ChildServer
from .encoder import DIMENSION

COLLECTION = "docs"
METRIC = "cosine"
_SEARCH_LAG, _FETCH_LAG = 0.5, 0.8  # parts of the lag
_RATE = 1000.0  # requests a second: the clusters are on this machine, and limit nothing
_VECTOR_FIELD = "embedding"
TIMEOUT = 30.0
"""Seconds that a request may take: whoever has to wait so long has a slow machine, and nothing is lost by it."""

Options = Mapping[str, str | float]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, and its options in the configuration."""

    server: ChildServer
    options: Options


@dataclass(frozen=True, slots=True)
class Kind:
    """How clusters of a kind are made.

    `start`: a cluster that runs for as long as the context; it is given the lag, and a file with an API key.
    `shards`: of a topology that tenants are moved to. `placement`: what it says beyond cluster and collection.
    `lags`: whether reads are behind writes at all.
    """

    start: Callable[[float, Path], AbstractAsyncContextManager[Cluster]]
    shards: int = 1
    placement: Options = field(default_factory=dict)
    lags: bool = False

    def topology(self, cluster: str, *, shards: int = 1) -> str:
        """The body of a topology's table, as TOML. With several shards, each has a collection of its own."""
        collection = COLLECTION if shards == 1 else f"{COLLECTION}_{{shard}}"
        placed = ", ".join(
            lines({"cluster": cluster, "collection": collection, **self.placement}).splitlines()
        )
        return (
            lines({"shards": shards, "dimension": DIMENSION, "metric": METRIC})
            + f"placement = {{ {placed} }}"
        )


def lines(table: Options) -> str:
    """A table's keys as TOML, a line each: JSON's strings and numbers are TOML's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


@asynccontextmanager
async def _qdrant(lag: float, api_key: Path) -> AsyncIterator[Cluster]:
    async with QdrantProcess() as server:
        yield Cluster(server, {"url": server.url, "timeout": TIMEOUT})


@asynccontextmanager
async def _pinecone(spec: IndexSpec, lag: float, api_key: Path) -> AsyncIterator[Cluster]:
    lags = Lag(search=_SEARCH_LAG * lag, fetch=_FETCH_LAG * lag)
    async with PineconeProcess(indexes={COLLECTION: spec}, lag=lags) as server:
        options: Options = {
            "host": server.index_url(COLLECTION),
            "api_key_file": str(api_key),
            "lag": lag,
            "rate": _RATE,
            "timeout": TIMEOUT,
        }
        yield Cluster(server, options)


def _pinecone_kind(spec: IndexSpec, **placement: str) -> Kind:
    return Kind(partial(_pinecone, spec), placement=placement, lags=True)


KINDS: Mapping[str, Kind] = {
    "qdrant": Kind(_qdrant, shards=4, placement={"tenancy": "payload:tenant"}),
    "pinecone-vectors": _pinecone_kind(IndexSpec.vectors(DIMENSION, METRIC)),
    "pinecone-documents": _pinecone_kind(
        IndexSpec.documents(DIMENSION, METRIC, vector_field=_VECTOR_FIELD), vector_name=_VECTOR_FIELD
    ),
}
"""By the name that the configuration has for them."""
