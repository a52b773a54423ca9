"""Qdrant's local mode, made fast enough for a server and closer to a real one where it matters here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local.distances import DistanceOrder, calculate_distance, distance_to_order
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import check_filter, validate_filter
from qdrant_client.local.qdrant_local import QdrantLocal
from qdrant_client.local.utils import normalize_point_id

from shardroute.testing._qdrant_index import IndexedPayloads, PointId, Selection

INDEXES_FILE = "payload_indexes.json"
Flags = NDArray[Any]


class FastCollection(LocalCollection):
    """A collection whose filters and scrolls look at candidates from an index, not at every point."""

    LARGE_DATA_THRESHOLD = sys.maxsize
    payload: IndexedPayloads

    def prepare(self) -> None:
        """Turn a collection that local mode has just made or loaded into one of this class."""
        self.payload = IndexedPayloads(self.payload, self.ids_inv)
        for name in self.vectors:
            self.vectors[name] = self._normalised(name, np.asarray(self.vectors[name], dtype=np.float32))
        if self.storage is not None:
            # A commit for each point: quick, and safe against the death of the process if not of the machine.
            self.storage.storage.execute("PRAGMA journal_mode=WAL")
            self.storage.storage.execute("PRAGMA synchronous=OFF")

    def _normalised(self, name: str, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors under cosine: local mode stores them as they came, and reads them back so."""
        if self.vectors_config[name].distance != models.Distance.COSINE:
            return vectors
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return vectors / np.where(norms > np.finfo(np.float32).eps, norms, 1.0)

    def _select(self, payload_filter: models.Filter | None) -> Selection:
        validate_filter(payload_filter)
        return self.payload.index.select(payload_filter, self.ids)

    def _matches(self, payload_filter: models.Filter, place: int) -> bool:
        has_vector = self._calculate_has_vector(place)
        return check_filter(payload_filter, self.payload[place], self.ids_inv[place], has_vector)

    def _payload_and_non_deleted_mask(
        self, payload_filter: models.Filter | None, vector_name: str | None = None
    ) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.deleted == 0
        if vector_name is not None:
            mask &= self.deleted_per_vector[vector_name] == 0
        points, rest = self._select(payload_filter)
        selected = np.zeros_like(mask)
        selected[list(points.places())] = True
        mask &= selected
        if rest is not None:
            for place in np.flatnonzero(mask).tolist():
                mask[place] = self._matches(rest, place)
        return mask

    def _filter_to_ids(self, delete_filter: models.Filter) -> list[PointId]:
        mask = self._payload_and_non_deleted_mask(delete_filter)
        return [self.ids_inv[place] for place in np.flatnonzero(mask)]

    def _scroll_by_id(
        self,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        offset: PointId | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
    ) -> tuple[list[models.Record], PointId | None]:
        points, rest = self._select(scroll_filter)
        page: list[models.Record] = []
        for place in points.since(None if offset is None else normalize_point_id(offset)):
            if self.deleted[place] or (rest is not None and not self._matches(rest, place)):
                continue
            if len(page) == limit:
                return page, self.ids_inv[place]
            page.append(self._record(place, with_payload, with_vectors))
        return page, None

    def search(
        self,
        query_vector: Any,
        query_filter: models.Filter | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        idf_corpus: models.Filter | None = None,
    ) -> list[models.ScoredPoint]:
        """Nearest points to a dense vector, looking only at those that match; else as local mode does."""
        name, query = self._resolve_query_vector_name(query_vector)
        if not (isinstance(query, np.ndarray) and query.ndim == 1 and name in self.vectors):
            return super().search(
                query_vector, query_filter, limit, offset, with_payload, with_vectors, score_threshold, idf_corpus
            )
        places, scores = self._scores(name, query, query_filter)
        bigger_is_better = self._bigger_is_better(name)
        order = np.argsort(-scores if bigger_is_better else scores, kind="stable")
        if score_threshold is not None:
            kept = scores[order] > score_threshold if bigger_is_better else scores[order] < score_threshold
            order = order[kept]
        first = offset or 0
        return [
            self._scored(places[each], scores[each], with_payload, with_vectors)
            for each in order[first : first + limit].tolist()
        ]

    def _bigger_is_better(self, name: str) -> bool:
        return distance_to_order(self.vectors_config[name].distance) is DistanceOrder.BIGGER_IS_BETTER

    def _scores(
        self, name: str, query: NDArray[Any], query_filter: models.Filter | None
    ) -> tuple[list[int], NDArray[Any]]:
        places = np.flatnonzero(self._payload_and_non_deleted_mask(query_filter, vector_name=name))
        everything = len(places) == len(self.payload)
        vectors = self.vectors[name][: len(places)] if everything else self.vectors[name][places]
        distance = self.vectors_config[name].distance
        if distance is models.Distance.COSINE:
            # The stored vectors have length 1. Local mode would normalise them again, in place.
            norm = np.linalg.norm(query)
            query, distance = query / (norm if norm else 1.0), models.Distance.DOT
        return places.tolist(), calculate_distance(query, vectors, distance)

    def _scored(self, place: int, score: Any, with_payload: Any, with_vectors: Any) -> models.ScoredPoint:
        return models.ScoredPoint.model_construct(
            id=self.ids_inv[place],
            version=0,
            score=float(score),
            payload=self._get_payload(place, with_payload),
            vector=self._get_vectors(place, with_vectors),
        )

    def _record(self, place: int, with_payload: Any, with_vectors: Any) -> models.Record:
        return models.Record.model_construct(
            id=self.ids_inv[place],
            payload=self._get_payload(place, with_payload),
            vector=self._get_vectors(place, with_vectors),
        )

    def upsert(
        self,
        points: Any,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
    ) -> None:
        """Write points; all of them are checked before the first is written."""
        self._reserve(len(points.ids if isinstance(points, models.Batch) else points))
        super().upsert(points, update_filter=update_filter, update_mode=update_mode)

    def _reserve(self, points: int) -> None:
        """Make room in one go: local mode's own way of growing takes much longer."""
        wanted = len(self.ids) + points
        for name, vectors in self.vectors.items():
            if len(vectors) < wanted:
                self.vectors[name] = np.ones((2 * wanted, vectors.shape[1]), dtype=np.float32)
                self.vectors[name][: len(vectors)] = vectors

    def _get_payload(self, idx: int, with_payload: Any = True, return_copy: bool = True) -> Any:
        # Never a copy: the answer is written out before anything can change.
        return self._process_payload(self.payload[idx], with_payload)


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
