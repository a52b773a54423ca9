"""A Qdrant server for tests and demos: the real client talks HTTP to it, and it can be made to fail.

Behind it is Qdrant's own engine (the package `qdrant-edge-py`): filters, floats, conditions and scores are those of a
real server. In this process and event loop::

    async with QdrantServer(collections={"docs": VectorParams(size=4, distance=Distance.COSINE)}) as server:
        client = AsyncQdrantClient(url=server.url)
        server.faults.error_rate = 0.2
        server.faults.only = {"upsert"}

As a process of its own, which can be killed, and keeps its data if it is given a `path`::

    async with QdrantProcess(path=directory) as process:
        await process.set_faults(latency=0.05)
        process.kill()

Or from a shell: ``python -m shardroute.testing.qdrant --port 6333 --path data``. It prints
``listening on http://127.0.0.1:6333`` when it is ready and ends with SIGTERM or SIGINT. Its faults are read
with GET and set with PUT on ``/_faults``, as JSON with the fields of `Faults`; those left out return to
their defaults, so ``{}`` heals it.

Around the engine are the limits of Qdrant 1.18, read in its source: the 32 MiB that a request may have, strict mode
with its rates (429 and `Retry-After`), API keys and one that may only read, aliases, and the settings as they are
shown. A server of your own, which the tests of this package can be pointed at, tells whether they were read right.

What is different from a real server:

- Every search is exact: graphs and quantization are settings that are kept and shown, no more. There is one segment.
  Points with equal scores come in any order, as from a real one: on two servers in two.
- There is one shard. Shard keys are accepted and ignored, and so are replicas and consistency.
- ``wait=false`` is applied at once, and what the engine then refuses is acknowledged, as by a real server.
- A request above 32 MiB is read to its end before it is refused. A real server answers at once and hangs up.
- Strict mode's limits in bytes and in shares of memory or disk are kept and shown, not checked; nor are the fields that
  a formula uses. Of the rates, a search by the id of a point costs as much as one by a dense vector, and a write by a
  filter as much as there are points that match.
- Requests are read as qdrant-client writes them: a field that it does not know is refused, where a real server
  overlooks it. The words of such refusals are others, and some are 400 that are 422 there.
- Not there (404, or 501 with a name): snapshots, gRPC, telemetry, cluster and issues; queries in groups, the distance
  matrix, the older search and recommend; vectors made from text; ranks of texts and other matches that came after 1.18;
  changing the modifier of a sparse vector.
- The engine is that of a later Qdrant (1.20): `match.text` on a field without an index looks for whole words there, in
  1.18 for any part of the text.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from qdrant_client import models

from shardroute.testing._qdrant_access import ApiKeys
from shardroute.testing._qdrant_app import LARGEST_BODY, qdrant_app
from shardroute.testing._qdrant_store import QdrantStore
from shardroute.testing.faults import Faults
from shardroute.testing.serving import LISTENING, ChildServer, LoopServer, until_told_to_stop

__all__ = ["Faults", "QdrantProcess", "QdrantServer"]

CollectionSpec = models.CreateCollection | models.VectorParams


class QdrantServer:
    """Serves Qdrant's REST interface in the running event loop, from `async with` to its end.

    Args:
        port: 0 picks a free one; `url` says which.
        path: a directory to keep the data in; without it the data is in memory.
        collections: made at the start unless they exist, from `VectorParams` or whole `CreateCollection`s.
        api_key: what requests have to show; without this and the next one, everybody may do everything.
        read_only_api_key: with this one, nothing may be changed.
        max_request_bytes: that a request may have; 32 MiB as in a real server, if it is not configured.
        seed: of the dice that draw jitter and errors.
    """

    def __init__(
        self,
        port: int = 0,
        path: str | Path | None = None,
        collections: Mapping[str, CollectionSpec] | None = None,
        *,
        host: str = "127.0.0.1",
        api_key: str | None = None,
        read_only_api_key: str | None = None,
        max_request_bytes: int = LARGEST_BODY,
        seed: int = 0,
    ) -> None:
        self._faults = Faults()
        self._address = (host, port)
        self._path = path
        self._collections = dict(collections or {})
        self._keys = ApiKeys(api_key, read_only_api_key)
        self._largest = max_request_bytes
        self._seed = seed

    @property
    def faults(self) -> Faults:
        """What goes wrong at the moment: set its fields, or `update` and `clear` it."""
        return self._faults

    @property
    def url(self) -> str:
        """Where it listens, as for `AsyncQdrantClient(url=…)`."""
        return self._server.url

    async def __aenter__(self) -> Self:
        host, port = self._address
        self._store = QdrantStore(self._path)
        self._app = qdrant_app(
            self._store, self._faults, keys=self._keys, largest=self._largest, seed=self._seed
        )
        self._server = LoopServer(self._app, host=host, port=port)
        try:
            for name, spec in self._collections.items():
                if name not in self._store:
                    self._store.create(name, _whole(spec))
            await self._server.start()
        except BaseException:
            self._store.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app.close()
        await self._server.stop()
        self._store.close()


class QdrantProcess(ChildServer):
    """The same server as a child process, from `async with` to its end or the end of this process.

    Args:
        path: a directory to keep the data in over `kill` and `start`; without it the data is in memory.
        port: 0 picks a free one at the first start and keeps it.
        api_key, read_only_api_key: as of `QdrantServer`.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        port: int = 0,
        api_key: str | None = None,
        read_only_api_key: str | None = None,
    ) -> None:
        given = {"--path": path, "--api-key": api_key, "--read-only-api-key": read_only_api_key}
        arguments = [f"{name}={value}" for name, value in given.items() if value is not None]
        super().__init__("shardroute.testing.qdrant", arguments, port=port)

    async def set_faults(self, **settings: Any) -> None:
        """Set the faults; those left out return to their defaults, so without any it is healthy again."""
        settings = Faults(**settings).as_json()
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.put("/_faults", json=settings)).raise_for_status()


def _whole(spec: CollectionSpec) -> models.CreateCollection:
    if isinstance(spec, models.CreateCollection):
        return spec
    return models.CreateCollection(vectors=spec)


async def _serve(server: QdrantServer, *, until_stdin_closes: bool) -> None:
    async with until_told_to_stop(watch_stdin=until_stdin_closes) as stop, server:
        print(f"{LISTENING}{server.url}", flush=True)  # noqa: T201 - what the starter waits for
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run the server until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.testing.qdrant", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6333, help="0 picks a free one")
    parser.add_argument("--path", help="a directory to keep the data in; without it, in memory")
    parser.add_argument("--api-key", help="requests have to show it")
    parser.add_argument("--read-only-api-key", help="with this one nothing may be changed")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    given = parser.parse_args(arguments)
    server = QdrantServer(
        given.port,
        given.path,
        host=given.host,
        api_key=given.api_key,
        read_only_api_key=given.read_only_api_key,
    )
    asyncio.run(_serve(server, until_stdin_closes=given.until_stdin_closes))


if __name__ == "__main__":
    main()
