"""A Qdrant server for tests and demos: the real client talks HTTP to it, and it can be made to fail.

Behind it is Qdrant's own local mode, which alone serves one process only. In this process and event loop::

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

What is different from a real server: every search is exact, shard keys are accepted and ignored,
``wait=false`` is applied at once, and there are no snapshots, no gRPC and no telemetry.
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

from shardroute.testing._qdrant_app import qdrant_app
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
        seed: of the dice that draw jitter and errors.
    """

    def __init__(
        self,
        port: int = 0,
        path: str | Path | None = None,
        collections: Mapping[str, CollectionSpec] | None = None,
        *,
        host: str = "127.0.0.1",
        seed: int = 0,
    ) -> None:
        self._faults = Faults()
        self._address = (host, port)
        self._path = path
        self._collections = dict(collections or {})
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
        self._app = qdrant_app(self._store, self._faults, seed=self._seed)
        self._server = LoopServer(self._app, host=host, port=port)
        try:
            for name, spec in self._collections.items():
                if not self._store.collection_exists(name):
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
    """

    def __init__(self, path: str | Path | None = None, *, port: int = 0) -> None:
        arguments = () if path is None else ("--path", str(path))
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


async def _serve(host: str, port: int, path: str | None, *, until_stdin_closes: bool) -> None:
    async with (
        until_told_to_stop(watch_stdin=until_stdin_closes) as stop,
        QdrantServer(port, path, host=host) as server,
    ):
        print(f"{LISTENING}{server.url}", flush=True)  # noqa: T201 - what the starter waits for
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run the server until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.testing.qdrant", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6333, help="0 picks a free one")
    parser.add_argument("--path", help="a directory to keep the data in; without it, in memory")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    given = parser.parse_args(arguments)
    asyncio.run(_serve(given.host, given.port, given.path, until_stdin_closes=given.until_stdin_closes))


if __name__ == "__main__":
    main()
