"""A collection: its settings, and the engine's shard that holds its points."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import qdrant_edge as engine
from qdrant_client import models

from shardroute.testing._qdrant_errors import bad_input, engine_errors, no_point
from shardroute.testing._qdrant_indexes import engine_schema, shown
from shardroute.testing._qdrant_limits import Rate, StrictMode
from shardroute.testing._qdrant_settings import (
    PLACEHOLDER,
    changed,
    check_vector_name,
    datatype,
    engine_config,
    modifier,
    multivectors,
    sparse_of,
    vectors_of,
)

Json = dict[str, Any]
SETTINGS = "settings.json"
SHARD = "shard"
WRITES_PER_FLUSH = 1000
"""Until it writes to its files, the engine keeps in memory what has changed: 0.3 KB for each point."""


class Collection:
    """One collection in a directory of its own. `create` and `load` make it.

    ``settings.json`` is written last and removed first: without it a directory is what a killed process left of a
    collection that was never acknowledged, or was deleted.
    """

    def __init__(self, directory: Path, state: Json, shard: engine.EdgeShard) -> None:
        self._directory = directory
        self._shard = shard
        self.name: str = state["name"]
        self.settings: Json = state["config"]
        self.indexes: dict[str, Json] = state["payload_schema"]
        self.shard_keys: list[int | str] = state["shard_keys"]
        self._unflushed = 0
        self._renew_limits(only_if_enabled=False)

    @classmethod
    def create(cls, directory: Path, name: str, settings: Json, *, durable: bool) -> Collection:
        """A new collection. `durable`: an acknowledged write outlives the death of this process."""
        shutil.rmtree(directory, ignore_errors=True)
        (directory / SHARD).mkdir(parents=True)
        with engine_errors():
            config = engine_config(settings, durable=durable)
            shard = engine.EdgeShard.create(str(directory / SHARD), config)
            if PLACEHOLDER in config.vectors and PLACEHOLDER not in vectors_of(settings):
                shard.update(engine.UpdateOperation.delete_vector_name(PLACEHOLDER))
        state = {"name": name, "config": settings, "payload_schema": {}, "shard_keys": []}
        created = cls(directory, state, shard)
        created.save()
        return created

    @classmethod
    def load(cls, directory: Path) -> Collection:
        """One that an earlier process made."""
        state = json.loads((directory / SETTINGS).read_text())
        return cls(directory, state, engine.EdgeShard.load(str(directory / SHARD)))

    def save(self) -> None:
        """Write the settings to disk."""
        state = {
            "name": self.name,
            "config": self.settings,
            "payload_schema": self.indexes,
            "shard_keys": self.shard_keys,
        }
        write_json(self._directory / SETTINGS, state)

    def close(self) -> None:
        """Let go of the files."""
        self._shard.close()

    def drop(self) -> None:
        """Delete it with its files."""
        (self._directory / SETTINGS).unlink()
        self.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def patch(self, wanted: models.UpdateCollection) -> None:
        """Change some settings."""
        self.settings = changed(self.settings, wanted)
        if wanted.strict_mode_config is not None:
            self._renew_limits(only_if_enabled=True)
        self.save()

    def _renew_limits(self, *, only_if_enabled: bool) -> None:
        # A real server looks at `enabled` for its rates only when strict mode is changed later, not at the start.
        config = self.settings.get("strict_mode_config") or {}
        rates = config if config.get("enabled") or not only_if_enabled else {}
        now = time.monotonic()
        self._reads = Rate("Read", rates.get("read_rate_limit"), now)
        self._writes = Rate("Write", rates.get("write_rate_limit"), now)

    @property
    def strict(self) -> StrictMode:
        """What its strict mode allows."""
        return StrictMode(self.settings.get("strict_mode_config"), self.indexes)

    @property
    def sizes(self) -> dict[str, int]:
        """The dimensions of its dense vectors by name."""
        return {name: params["size"] for name, params in vectors_of(self.settings).items()}

    def charge_read(self, cost: int) -> None:
        """Take from the bucket of reads."""
        self._reads.take(cost, time.monotonic())

    def charge_write(self, points: int) -> None:
        """Take from the bucket of writes: as much as points are concerned, one at least."""
        self._writes.take(max(1, points), time.monotonic())

    # What the engine does.

    def update(self, operation: engine.UpdateOperation) -> None:
        with engine_errors():
            self._shard.update(operation)
            self._unflushed += 1
            if self._unflushed >= WRITES_PER_FLUSH:
                self._shard.flush()
                self._unflushed = 0

    def query(self, wanted: engine.QueryRequest) -> list[engine.ScoredPoint]:
        with engine_errors():
            return self._shard.query(wanted)

    def scroll(self, wanted: engine.ScrollRequest) -> tuple[list[engine.Record], Any]:
        with engine_errors():
            return self._shard.scroll(wanted)

    def retrieve(self, ids: list[Any], payload: Any, vectors: Any) -> list[engine.Record]:
        with engine_errors():
            return self._shard.retrieve(ids, payload, vectors)

    def count(self, wanted: engine.Filter | None = None) -> int:
        with engine_errors():
            return self._shard.count(engine.CountRequest(exact=True, filter=wanted))

    def facet(self, wanted: engine.FacetRequest) -> list[engine.FacetHit]:
        with engine_errors():
            return self._shard.facet(wanted).hits

    def vector(self, name: str, point_id: Any) -> Any:
        """One vector of one point.

        Raises:
            Refusal: there is no such point, or it has no such vector.
        """
        check_vector_name(self.settings, name)
        found = self.retrieve([point_id], False, [name])
        if not found:
            raise no_point(point_id)
        vector: Any = found[0].vector
        if isinstance(vector, dict):
            vector = vector.get(name)
        if vector is None:
            raise bad_input(f"Vector with name {name} is missing on point {point_id}")
        return vector

    # Indexes and vectors by name.

    def index(self, field: str, schema: Any) -> None:
        """Make a payload index."""
        with engine_errors():
            self._shard.update(engine.UpdateOperation.create_field_index(field, engine_schema(schema)))
        self.indexes[field] = shown(schema)
        self.save()

    def unindex(self, field: str) -> None:
        """Drop a payload index, if it is there."""
        self.update(engine.UpdateOperation.delete_field_index(field))
        self.indexes.pop(field, None)
        self.save()

    def add_vector(self, name: str, config: Any) -> None:
        """Make a named vector, which no point has yet."""
        params = self.settings["params"]
        if isinstance(config, models.DenseVectorNameConfig):
            given = config.dense.model_dump(mode="json", exclude_none=True)
            with engine_errors():
                operation = engine.UpdateOperation.create_dense_vector(
                    name,
                    given["size"],
                    getattr(engine.Distance, given["distance"]),
                    multivectors(given.get("multivector_config")),
                    datatype(given.get("datatype")),
                )
            self.update(operation)
            params["vectors"] = {**vectors_of(self.settings), name: given}
        else:
            given = config.sparse.model_dump(mode="json", exclude_none=True)
            kept = {key: value for key, value in given.items() if key == "modifier"}
            if "datatype" in given:
                kept["index"] = {"datatype": given["datatype"]}
            self.update(
                engine.UpdateOperation.create_sparse_vector(
                    name, modifier(given.get("modifier")), datatype(given.get("datatype"))
                )
            )
            params["sparse_vectors"] = {**sparse_of(self.settings), name: kept}
        self.save()

    def remove_vector(self, name: str) -> None:
        """Drop a named vector from the collection and from all its points."""
        check_vector_name(self.settings, name)
        self.update(engine.UpdateOperation.delete_vector_name(name))
        for vectors in (vectors_of(self.settings), sparse_of(self.settings)):
            vectors.pop(name, None)
        self.save()

    def info(self) -> Json:
        """What GET /collections/{name} answers."""
        with engine_errors():
            info = self._shard.info()
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": info.indexed_vectors_count,
            "points_count": info.points_count,
            "segments_count": info.segments_count,
            "config": self.settings,
            "payload_schema": {
                field: index | {"points": info.payload_schema[field].points}
                for field, index in self.indexes.items()
            },
            "update_queue": {"length": 0},
        }


def write_json(path: Path, value: Any) -> None:
    """Write a file so that a reader finds the old or the new one, and never half of one."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(value))
    os.replace(beside, path)
