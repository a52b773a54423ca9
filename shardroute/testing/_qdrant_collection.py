"""A collection of Qdrant's local mode, made fast enough for a server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local.distances import DistanceOrder, calculate_distance, distance_to_order
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import check_filter, validate_filter
from qdrant_client.local.utils import normalize_point_id

from shardroute.testing._qdrant_index import IndexedPayloads, PointId, Selection


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
        norms[norms <= np.finfo(np.float32).eps] = 1.0
        unit: NDArray[np.float32] = vectors / norms
        return unit

    def _select(self, payload_filter: models.Filter | None) -> Selection:
        validate_filter(payload_filter)
        return self.payload.points.select(payload_filter, self.ids)

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
                query_vector,
                query_filter,
                limit,
                offset,
                with_payload,
                with_vectors,
                score_threshold,
                idf_corpus,
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
        few = len(places) < len(self.payload) / 4  # fewer than that are worth a copy of their vectors
        vectors = self.vectors[name][places] if few else self.vectors[name][: len(self.payload)]
        query, distance = query.astype(np.float32), self.vectors_config[name].distance
        if distance is models.Distance.COSINE:
            # The stored vectors have length 1. Local mode would normalise them again, in place.
            norm = np.linalg.norm(query)
            query, distance = query / (norm or 1.0), models.Distance.DOT
        scores = calculate_distance(query, vectors, distance)
        return places.tolist(), scores if few else scores[places]

    def _scored(self, place: int, score: Any, with_payload: Any, with_vectors: Any) -> models.ScoredPoint:
        return models.ScoredPoint.model_construct(
            id=self.ids_inv[place],
            version=0,
            score=float(score),
            payload=self._get_payload(place, with_payload),
            vector=self._vectors(place, with_vectors),
        )

    def _record(self, place: int, with_payload: Any, with_vectors: Any) -> models.Record:
        return models.Record.model_construct(
            id=self.ids_inv[place],
            payload=self._get_payload(place, with_payload),
            vector=self._vectors(place, with_vectors),
        )

    def _vectors(self, place: int, with_vectors: Any) -> Any:
        """The only vector as an array, which is written out as float32; else as local mode gives them."""
        if with_vectors is True and list(self._all_vectors_keys) == [""] and "" in self.vectors:
            return {} if self.deleted_per_vector[""][place] else self.vectors[""][place]
        return self._get_vectors(place, with_vectors)

    def retrieve(
        self, ids: Sequence[Any], with_payload: Any = True, with_vectors: Any = False
    ) -> list[models.Record]:
        """Points by id, those that are there."""
        self._validate_with_payload(with_payload)
        places = [self.ids.get(normalize_point_id(each)) for each in ids]
        return [
            self._record(place, with_payload, with_vectors)
            for place in places
            if place is not None and not self.deleted[place]
        ]

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

    def _add_point(self, point: models.PointStruct) -> None:
        """Local mode's own copies what is known of all points for each that comes."""
        if self.sparse_vectors or self.multivectors:
            return super()._add_point(point)
        place, vectors = len(self.ids), point.vector if isinstance(point.vector, dict) else {"": point.vector}
        self.ids[point.id] = place
        self.ids_inv.append(point.id)
        self.payload.append(point.payload or {})
        self.deleted = _appended(self.deleted, 0)
        for name, stored in self.vectors.items():
            vector = vectors.get(name)
            self.deleted_per_vector[name] = _appended(self.deleted_per_vector[name], vector is None)
            stored[place] = 1.0 if vector is None else self._normalised(name, np.asarray(vector, np.float32))

    def _get_payload(self, idx: int, with_payload: Any = True, return_copy: bool = True) -> Any:
        # Never a copy: the answer is written out before anything can change.
        return self._process_payload(self.payload[idx], with_payload)


def _appended(array: NDArray[Any], value: int) -> NDArray[Any]:
    """The array and one more, in room that lasts for many more."""
    count, room = len(array), array.base
    if room is None or len(room) == count:
        room = np.zeros(2 * count + 64, dtype=array.dtype)
        room[:count] = array
    room[count] = value
    longer: NDArray[Any] = room[: count + 1]
    return longer
