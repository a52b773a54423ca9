"""A Pinecone for tests and demos: the real SDK talks HTTP to it, it lags behind its writes, and can be made to fail.

In this process and event loop::

    indexes = {"docs": IndexSpec.vectors(4, "cosine"), "pages": IndexSpec.documents(4)}
    async with PineconeServer(indexes=indexes, lag=Lag(search=0.5, fetch=0.1)) as server:
        index = AsyncIndex(host=server.index_url("docs"), api_key="any")
        client = AsyncPinecone(host=server.url, api_key="any")     # or by name, through the control plane
        server.lag = Lag()
        server.faults.error_rate = 0.2
        server.faults.only = {"upsert"}

The SDK's synchronous clients need it in another process, or thread. As a process of its own, which can be
killed, and keeps its data if it is given a `path`::

    async with PineconeProcess(path=directory, indexes=indexes) as process:
        await process.set_lag(Lag(search=2))
        await process.set_faults(rate_limit=50)
        process.kill()

Or from a shell, until SIGTERM or SIGINT::

    python -m shardroute.testing.pinecone --port 5080 --path data --index docs:vectors:4:cosine

It prints ``listening on http://127.0.0.1:5080`` when it is ready. That is the host of the control plane; an
index has the host ``http://127.0.0.1:5080/index/NAME``. Switches are read with GET and set with PUT, as JSON:
``/_faults`` (the fields of `Faults`; those left out return to their defaults), ``/_lag`` (the fields of `Lag`:
``{"search": 0.5, "fetch": null, "replicas": [0, 2]}``; null is never) and ``/_rates`` (requests a second to
each namespace, ``{"upsert": 100}``).

Over gRPC, without TLS, each vector index has a port of its own, opened by `grpc_host` or GET ``/_grpc/NAME``; the
control plane does not tell it. The SDK's client is synchronous, so for another thread or process::

    GrpcIndex(host=await server.grpc_host("docs"), api_key="any", secure=False)

It serves the vectors API, the documents API, namespaces, and indexes (create, list, describe, configure, delete),
as of API version 2026-07. As in Pinecone an index speaks one of the two data APIs and refuses the other.

How it lags: each namespace is a log. A write is answered with its position (LSN) and is seen by query and
search, which say how far they have come, when it is `Lag.search` seconds old, and by fetches when it is
`Lag.fetch` seconds old; lists of ids, fetches by metadata and counts each have a lag of their own if they are
given one. Always in the order of the log, filters included. What was seen stays seen when the lag is made
longer, unless there are replicas that differ (`Lag.replicas`): reads ask them in turn. A restart catches up
with the whole log.

What is different from the real service:

- Searches are exact. Text is stored, not searched: clauses of text, query string or embedding, and the filters
  `$match_…`, are refused; nothing is embedded. `store_text` is not looked at.
- No imports, backups, collections, integrated records, inference, nor pods. An index is ready at once.
- Usage is always one read unit. `size_bytes` and `indexed_fields` are not told.
- Limits of a request are enforced (records, bytes, ids, metadata, `top_k`, result size, values in a filter),
  those of a plan are not. Rates only if they are set.
- With a `path` an acknowledged write survives the end of the process, not of the machine: no fsync. The log
  (`pinecone.log`, a JSON document a line) only grows.

What is guessed, because documentation is silent or of two minds (arguments of `PineconeServer` where it matters):

- `$ne` and `$nin` match records that lack the field; in 2024 a user reported that they do not
  (haystack-core-integrations issue 590). `$exists` counts an empty list as there. `$not` negates a filter, though
  the SDK's filter builder has none.
- A delete in a namespace that does not exist is answered 404 by both APIs; an update there is a write without effect.
- `matched_records` is as fresh as fetches by metadata.
- A deleted namespace goes on with its positions when it is made again.
- A query by the id of a record that is not there matches nothing.
- A sparse search finds only what shares an index with the query; with a dense vector, the scores add up.
- The documents API scores euclidean as the vectors API does, by squared distance, and reads numbers back as
  floats unless the schema declares an integer.
- A required field of a document cannot be removed by an update.
- That the documents API tells positions in the headers of the vectors API. The words of most refusals: nobody should
  go by them, and `missing_namespace_message` shows whether somebody does.

`make pinecone-sdk` runs the integration tests of Pinecone's own SDK on it (docs/reliability.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from shardroute.testing._pinecone_app import PREFIX, PineconeApp, pinecone_app
from shardroute.testing._pinecone_arguments import arguments_parser, lag_arguments, lag_of
from shardroute.testing._pinecone_door import GrpcDoor, RemoteDoor
from shardroute.testing._pinecone_index import MISSING_NAMESPACE, Behaviour, Project
from shardroute.testing._pinecone_log import Lag
from shardroute.testing._pinecone_spec import IndexSpec
from shardroute.testing.faults import Faults
from shardroute.testing.serving import LISTENING, ChildServer, LoopServer, until_told_to_stop

__all__ = ["Faults", "IndexSpec", "Lag", "PineconeProcess", "PineconeServer"]


class PineconeServer:
    """Serves Pinecone's HTTP interfaces in the running event loop, from `async with` to its end.

    Args:
        port: 0 picks a free one; `url` says which.
        path: a directory to keep the data in; without it the data is in memory.
        indexes: made at the start unless they exist.
        lag: how far reads are behind writes; `lag` may be set at any time.
        rates: requests a second that each namespace is allowed, by operation: ``{"upsert": 100}``.
        api_key: the only key that is let in; without it any is.
        positions: whether answers say log positions (LSNs) in their headers.
        ne_matches_missing: whether ``$ne`` and ``$nin`` match records that lack the field.
        missing_namespace_is_404: whether a delete in a namespace that does not exist is refused.
        sparse_needs_dotproduct: whether a dense index of another metric refuses sparse values at once, or
            takes them and refuses only to query with them.
        missing_namespace_message: what is said of a namespace that does not exist; ``{namespace}`` is its name. For
            showing that nobody relies on the words.
        emptied_namespaces_go: whether a namespace without records is one that does not exist.
        clock: seconds; for tests that do not want to wait.
        seed: of the dice that draw jitter and errors.
    """

    def __init__(
        self,
        port: int = 0,
        path: str | Path | None = None,
        indexes: Mapping[str, IndexSpec] | None = None,
        *,
        host: str = "127.0.0.1",
        lag: Lag | None = None,
        rates: Mapping[str, float] | None = None,
        api_key: str | None = None,
        positions: bool = True,
        ne_matches_missing: bool = True,
        missing_namespace_is_404: bool = True,
        sparse_needs_dotproduct: bool = False,
        missing_namespace_message: str = MISSING_NAMESPACE,
        emptied_namespaces_go: bool = False,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
    ) -> None:
        self._address = (host, port)
        self._path = path
        self._indexes = dict(indexes or {})
        self._lag = lag or Lag()
        self._behaviour = Behaviour(
            positions,
            ne_matches_missing,
            missing_namespace_is_404,
            sparse_needs_dotproduct,
            missing_namespace_message,
            emptied_namespaces_go,
        )
        self._faults = Faults()
        self._rates = dict(rates or {})
        self._api_key = api_key
        self._clock = clock
        self._seed = seed
        self._project: Project | None = None

    @property
    def faults(self) -> Faults:
        """What goes wrong at the moment: set its fields, or `update` and `clear` it."""
        return self._faults

    @property
    def behaviour(self) -> Behaviour:
        """What documentation leaves open, as it was given; its fields may be set at any time."""
        return self._behaviour

    @property
    def lag(self) -> Lag:
        """How far reads are behind writes. A longer one takes nothing back that was seen."""
        return self._lag if self._project is None else self._project.lag

    @lag.setter
    def lag(self, lag: Lag) -> None:
        self._lag = lag
        if self._project is not None:
            self._project.lag = lag

    @property
    def rates(self) -> dict[str, float]:
        """Requests a second that each namespace is allowed, by operation; it may be changed."""
        return self._rates

    @property
    def url(self) -> str:
        """Where the control plane listens, as for `AsyncPinecone(host=…)`."""
        return self._server.url

    def index_url(self, name: str) -> str:
        """Where an index listens, as for `AsyncIndex(host=…)`."""
        return f"{self.url}{PREFIX}{name}"

    async def grpc_host(self, name: str, port: int = 0) -> str:
        """Where an index listens for gRPC, as for `GrpcIndex(host=…, secure=False)`; 0 picks a free port.

        Raises:
            ValueError: there is no such index.
            RuntimeError: the port is taken.
        """
        return await self._door.host_of(name, port)

    async def __aenter__(self) -> Self:
        host, port = self._address
        project = Project(self._path, lag=self._lag, behaviour=self._behaviour, clock=self._clock)
        app = PineconeApp(project, self._faults, api_key=self._api_key)
        app.rates = self._rates
        self._app = pinecone_app(app, self._faults, seed=self._seed)
        shared = {"host": host, "api_key": self._api_key, "reply": app._reply_of_index, "seed": self._seed}
        self._door = GrpcDoor(project, self._faults, **shared)
        self._server = LoopServer(self._door.beside(self._app), host=host, port=port)
        try:
            for name, spec in self._indexes.items():
                if name not in project.indexes:
                    project.create(name, spec)
            await self._server.start()
        except BaseException:
            project.close()
            raise
        self._project = project
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._project is not None
        self._app.close()
        await self._door.close()
        await self._server.stop()
        self._project.close()
        self._lag, self._project = self._project.lag, None


class PineconeProcess(ChildServer):
    """The same server as a child process, from `async with` to its end or the end of this process.

    Args:
        path: a directory to keep the data in over `kill` and `start`; without it the data is in memory.
        indexes: made at the start unless they exist.
        lag: how far reads are behind writes, from each start on.
        port: 0 picks a free one at the first start and keeps it.
        options: more arguments of the command, such as ``"--no-positions"``.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        indexes: Mapping[str, IndexSpec] | None = None,
        *,
        lag: Lag | None = None,
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        arguments = [] if path is None else ["--path", str(path)]
        for name, spec in (indexes or {}).items():
            arguments += ["--schema", f"{name}={json.dumps(spec.fields)}"]
        if lag is not None:
            arguments += lag_arguments(lag)
        super().__init__("shardroute.testing.pinecone", [*arguments, *options], port=port)
        self._door = RemoteDoor()

    def index_url(self, name: str) -> str:
        """Where an index listens, as for `AsyncIndex(host=…)`."""
        return f"{self.url}{PREFIX}{name}"

    async def grpc_host(self, name: str, port: int = 0) -> str:
        """Where an index listens for gRPC. After another `start` ask again: the port is the same."""
        return await self._door.host_of(self.url, name, port)

    async def set_faults(self, **settings: Any) -> None:
        """Set the faults; those left out return to their defaults, so without any it is healthy again."""
        await self._put("/_faults", Faults(**settings).as_json())

    async def set_lag(self, lag: Lag) -> None:
        """Set how far reads are behind writes."""
        await self._put("/_lag", lag.as_json())

    async def set_rates(self, rates: Mapping[str, float]) -> None:
        """Set the requests a second that each namespace is allowed, by operation; ``{}`` is no limit."""
        await self._put("/_rates", dict(rates))

    async def _put(self, path: str, settings: Mapping[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.put(path, json=settings)).raise_for_status()


def _server(given: argparse.Namespace) -> PineconeServer:
    return PineconeServer(
        given.port,
        given.path,
        dict([*given.index, *given.schema]),
        host=given.host,
        lag=lag_of(given),
        api_key=given.api_key,
        positions=given.positions,
        ne_matches_missing=given.ne_matches_missing,
        missing_namespace_is_404=given.missing_namespace_is_404,
        sparse_needs_dotproduct=given.sparse_needs_dotproduct,
        missing_namespace_message=given.missing_namespace_message,
        emptied_namespaces_go=given.emptied_namespaces_go,
    )


async def _serve(given: argparse.Namespace) -> None:
    async with until_told_to_stop(watch_stdin=given.until_stdin_closes) as stop, _server(given) as server:
        print(f"{LISTENING}{server.url}", flush=True)  # noqa: T201 - what the starter waits for
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run the server until a signal ends it."""
    asyncio.run(_serve(arguments_parser(__doc__).parse_args(arguments)))


if __name__ == "__main__":
    main()
