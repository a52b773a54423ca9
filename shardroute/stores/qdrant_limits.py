"""What a collection of Qdrant takes in one request: by its strict mode, by the cluster's own refusals. Pure.

The words and costs are those of Qdrant 1.18 (`lib/collection/src/operations/verification`, `shard/operation_rate_cost`,
`common/rate_limiting`). Tokens are counted for each shard: a read by id costs one a point, a write one a point that it
hits, a page or a count one and one more for each condition of its filter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from qdrant_client import models

from ..ports import Limits
from ..records import SparseVector

Count = Literal["upsert_records", "fetch_ids", "delete_ids", "scan_records"]
"""A field of `Limits` that counts points."""

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request over REST that Qdrant takes by default: `service.max_request_size_mb`, 32."""

MAX_ANSWER = 16_000_000
"""Bytes that a page or a fetch should have: what a slow link brings in the time of one request."""

LIMITS = Limits(upsert_bytes=16_000_000, scan_records=512, best_upsert_records=64)

_OF_A_BUCKET = 4
"""A request asks for this part of a rate limit's bucket at most: all of it is there only while nobody else asks."""

NUMBER = 26
"""Bytes of a number in JSON, at most, with what stands around it."""

_SAMPLE = 8

_FIRST_PAGE = 64
"""Points of a page before it is known how large points are."""


class Setting(StrEnum):
    """What a refusal was for, by the name that the setting has at Qdrant."""

    MAX_REQUEST_SIZE = "service.max_request_size_mb"
    MAX_QUERY_LIMIT = "strict_mode_config.max_query_limit"
    UPSERT_MAX_BATCHSIZE = "strict_mode_config.upsert_max_batchsize"
    READ_RATE_LIMIT = "strict_mode_config.read_rate_limit"
    WRITE_RATE_LIMIT = "strict_mode_config.write_rate_limit"
    CONDITION_MAX_SIZE = "strict_mode_config.condition_max_size"
    FILTER_MAX_CONDITIONS = "strict_mode_config.filter_max_conditions"
    SEARCH_ALLOW_EXACT = "strict_mode_config.search_allow_exact"
    UNINDEXED_FILTERING = "strict_mode_config.unindexed_filtering_retrieve or unindexed_filtering_update"
    SEARCH_MAX_BATCHSIZE = "strict_mode_config.search_max_batchsize"
    MAX_TIMEOUT = "strict_mode_config.max_timeout"
    MAX_POINTS_COUNT = "strict_mode_config.max_points_count"
    MAX_VECTOR_SIZE = "strict_mode_config.max_collection_vector_size_bytes"
    MAX_PAYLOAD_SIZE = "strict_mode_config.max_collection_payload_size_bytes"
    MAX_INDEXES = "strict_mode_config.max_payload_index_count"
    MAX_MEMORY = "strict_mode_config.max_resident_memory_percent"


_NEVER_PASSES = "larger than rate limiter capacity"
_WORDINGS = (  # all of the words, in this order; the first that fits counts
    (("read rate limit", _NEVER_PASSES), Setting.READ_RATE_LIMIT),
    (("write rate limit", _NEVER_PASSES), Setting.WRITE_RATE_LIMIT),
    (("limit exceeded", 'for "limit"'), Setting.MAX_QUERY_LIMIT),
    (("limit exceeded", 'for "upsert limit"'), Setting.UPSERT_MAX_BATCHSIZE),
    (("limit exceeded", 'for "update limit"'), Setting.UPSERT_MAX_BATCHSIZE),
    (("limit exceeded", 'for "search batch size"'), Setting.SEARCH_MAX_BATCHSIZE),
    (("limit exceeded", 'for "timeout"'), Setting.MAX_TIMEOUT),
    (("condition size limit reached",), Setting.CONDITION_MAX_SIZE),
    (("filter condition limit reached",), Setting.FILTER_MAX_CONDITIONS),
    (("exact search disabled",), Setting.SEARCH_ALLOW_EXACT),
    (("index required",), Setting.UNINDEXED_FILTERING),
    (("max points count limit",), Setting.MAX_POINTS_COUNT),
    (("max vector storage size limit",), Setting.MAX_VECTOR_SIZE),
    (("max payload storage size limit",), Setting.MAX_PAYLOAD_SIZE),
    (("maximum number of payload indices",), Setting.MAX_INDEXES),
    (("resident memory usage",), Setting.MAX_MEMORY),
    (("payload", "larger than allowed"), Setting.MAX_REQUEST_SIZE),  # actix, which knew the length
    (("payload has exceeded limit",), Setting.MAX_REQUEST_SIZE),  # actix, which did not
    (("message length too large",), Setting.MAX_REQUEST_SIZE),  # tonic
    (("message larger than max",), Setting.MAX_REQUEST_SIZE),  # gRPC
    (("request entity too large",), Setting.MAX_REQUEST_SIZE),  # a proxy
    (("content too large",), Setting.MAX_REQUEST_SIZE),
    (("payload too large",), Setting.MAX_REQUEST_SIZE),
)
_SMALLER_HELPS = frozenset(
    {
        Setting.MAX_REQUEST_SIZE,
        Setting.MAX_QUERY_LIMIT,
        Setting.UPSERT_MAX_BATCHSIZE,
        Setting.READ_RATE_LIMIT,
        Setting.WRITE_RATE_LIMIT,
        Setting.CONDITION_MAX_SIZE,
    }
)
_BYTES = re.compile(r"limit:? ?\(?(\d{1,15}) bytes")


def setting_named(words: str) -> Setting | None:
    """The setting that a refusal is for; None where it is for none that is known here."""
    lower = words.lower()
    return next((found for all_of, found in _WORDINGS if _in_order(lower, all_of)), None)


def _in_order(words: str, wanted: tuple[str, ...]) -> bool:
    for word in wanted:
        _, found, words = words.partition(word)
        if not found:
            return False
    return True


def smaller_helps(setting: Setting | None) -> bool:
    """Whether a smaller request of the same kind may pass."""
    return setting in _SMALLER_HELPS


def never_passes(words: str) -> bool:
    """Whether a 429 is for a request that costs more than its bucket ever holds: no waiting helps."""
    return _NEVER_PASSES in words.lower()


def bytes_named(words: str) -> int | None:
    """The limit in bytes that a refusal names."""
    found = _BYTES.search(words.lower())
    return int(found[1]) if found else None


def limits_of(config: models.StrictModeConfigOutput | models.StrictModeConfig | None) -> Limits:
    """What strict mode leaves of `LIMITS`. Rates count even where it is not enabled, once the shard was loaded anew."""
    if config is None:
        return LIMITS
    read, write = _share(config.read_rate_limit), _share(config.write_rate_limit)
    enabled = bool(config.enabled)
    upsert = _least(LIMITS.upsert_records, config.upsert_max_batchsize if enabled else None, write)
    return replace(
        LIMITS,
        upsert_records=upsert,
        best_upsert_records=min(LIMITS.best_upsert_records, upsert),
        fetch_ids=_least(LIMITS.fetch_ids, read),
        delete_ids=_least(LIMITS.delete_ids, write, config.condition_max_size if enabled else None),
        scan_records=_least(LIMITS.scan_records, config.max_query_limit if enabled else None),
    )


def _share(bucket: int | None) -> int | None:
    return None if bucket is None else max(1, bucket // _OF_A_BUCKET)


def _least(*limits: int | None) -> int:
    return max(1, min(limit for limit in limits if limit is not None))


def after_refusal(limits: Limits, field: Count, sent: int) -> Limits:
    """Half of what was sent, and refused for its size."""
    fewer = min(getattr(limits, field), max(1, sent // 2))
    lowered = replace(limits, **{field: fewer})
    return replace(lowered, best_upsert_records=min(lowered.best_upsert_records, lowered.upsert_records))


def bytes_of(value: Any, per_character: int = 1) -> int:
    """About how many bytes the JSON of a record's part has; with 6 a character, no fewer than it has."""
    if isinstance(value, str):
        return len(value) * per_character + 2
    if isinstance(value, Mapping):
        return 2 + sum(
            bytes_of(key, per_character) + bytes_of(item, per_character) + 2 for key, item in value.items()
        )
    if isinstance(value, np.ndarray):
        return value.size * NUMBER
    if isinstance(value, SparseVector | models.SparseVector):
        return len(value.indices) * 2 * NUMBER
    if isinstance(value, list | tuple):
        return 2 + sum(bytes_of(item, per_character) + 1 for item in value)
    return max(NUMBER, value.bit_length() // 3) if isinstance(value, int) else NUMBER


def bytes_of_answer(points: Sequence[models.Record]) -> int:
    """About how many bytes points came in: by a few of them, for most collections are of one kind."""
    some = points[:: max(1, len(points) // _SAMPLE)]
    size = sum(bytes_of(point.payload or {}) + _bytes_of_vectors(point.vector) for point in some)
    return size * len(points) // max(len(some), 1)


def _bytes_of_vectors(vectors: Any) -> int:
    if isinstance(vectors, list):  # of numbers, or of such lists
        several = bool(vectors) and isinstance(vectors[0], list)
        return sum(map(_bytes_of_vectors, vectors)) if several else len(vectors) * NUMBER
    if isinstance(vectors, dict):
        return sum(map(_bytes_of_vectors, vectors.values()))
    return 0 if vectors is None else bytes_of(vectors)


@dataclass(frozen=True, slots=True)
class PageSize:
    """How many points of a collection make an answer of `MAX_ANSWER`, by those that came last.

    `fits`: so many; None before the first.
    """

    fits: int | None = None

    def of(self, wanted: int) -> int:
        return min(wanted, _FIRST_PAGE if self.fits is None else self.fits)

    def arrived(self, points: int, size: int) -> PageSize:
        return PageSize(max(1, MAX_ANSWER * points // max(size, 1))) if points else self

    def failed(self, asked: int) -> PageSize:
        return PageSize(max(1, asked // 2))
