"""Qdrant's local mode as the store behind the server, closer to a real one where it matters here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from qdrant_client import models
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.qdrant_local import QdrantLocal

from shardroute.testing._qdrant_collection import FastCollection

INDEXES_FILE = "payload_indexes.json"


class QdrantStore(QdrantLocal):
    """What is behind the server: local mode with fast collections, payload indexes that are remembered,
    and the settings of a collection as they were given."""

    LARGE_DATA_THRESHOLD = sys.maxsize

    def __init__(self, path: str | Path | None = None) -> None:
        self.payload_indexes: dict[str, dict[str, Any]] = {}
        self.shard_keys: dict[str, list[int | str]] = {}
        super().__init__(":memory:" if path is None else str(path))

    def _load(self) -> None:
        super()._load()
        for collection in self.collections.values():
            _make_fast(collection)
        if self.persistent and self._indexes_file().exists():
            self.payload_indexes = json.loads(self._indexes_file().read_text())

    def create(self, name: str, settings: models.CreateCollection) -> bool:
        """Create a collection. Settings that local mode does not act on are shown by its info all the same."""
        self.create_collection(
            name,
            vectors_config=settings.vectors,
            sparse_vectors_config=settings.sparse_vectors,
            metadata=settings.metadata,
        )
        collection = self.collections[name]
        collection.config = settings.model_copy(update={"vectors": collection.config.vectors})
        _make_fast(collection)
        self._save()
        return True

    def drop(self, name: str) -> bool:
        """Delete a collection with its files."""
        if name in self.collections:
            self.collections[name].close()
        self.payload_indexes.pop(name, None)
        self.shard_keys.pop(name, None)
        self._save_indexes()
        return self.delete_collection(name)

    def index_field(self, name: str, field: str, schema: Any) -> None:
        """Remember a payload index. (Filters are indexed on demand; local mode does text scoring only.)"""
        self._get_collection(name).create_payload_index(field, schema)
        self.payload_indexes.setdefault(name, {})[field] = _index_info(schema)
        self._save()
        self._save_indexes()

    def unindex_field(self, name: str, field: str) -> None:
        """Forget a payload index."""
        self._get_collection(name).delete_payload_index(field)
        self.payload_indexes.get(name, {}).pop(field, None)
        self._save()
        self._save_indexes()

    def info_of(self, name: str) -> dict[str, Any]:
        """What GET /collections/{name} answers."""
        collection = self._get_collection(name)
        info: dict[str, Any] = collection.info().model_dump(mode="json")
        given = collection.config.model_dump(mode="json", exclude_none=True)
        info["config"]["hnsw_config"] |= given.get("hnsw_config", {})
        info["config"]["params"] |= {key: given[key] for key in ("sharding_method",) if key in given}
        points = info["points_count"]
        indexes = self.payload_indexes.get(name, {})
        info["payload_schema"] = {field: index | {"points": points} for field, index in indexes.items()}
        return info

    def _indexes_file(self) -> Path:
        return Path(self.location) / INDEXES_FILE

    def _save_indexes(self) -> None:
        if self.persistent:
            self._indexes_file().write_text(json.dumps(self.payload_indexes))


def _make_fast(collection: LocalCollection) -> None:
    # Local mode names the class of its collections itself; changing it afterwards spares a second load.
    collection.__class__ = FastCollection
    assert isinstance(collection, FastCollection)
    collection.prepare()


def _index_info(schema: Any) -> dict[str, Any]:
    if isinstance(schema, models.PayloadSchemaType):
        return {"data_type": schema.value}
    params = schema.model_dump(mode="json", exclude_none=True)
    return {"data_type": params["type"], "params": params}
