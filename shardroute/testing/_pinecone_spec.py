"""What an index of the Pinecone emulator is: its schema, in the form of Pinecone's 2026-07 API."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from shardroute.testing._pinecone_errors import Refused

DENSE = "_values"
SPARSE = "_sparse_values"
METRICS = frozenset({"cosine", "dotproduct", "euclidean"})
MAX_DIMENSION = 20_000
MAX_FIELD_NAME = 64
_SEARCHED = ("full_text_search", "embed", "sparse_embed")
_FILTERED = frozenset({"filterable"})
_FIELD_OPTIONS: Mapping[str, frozenset[str]] = {
    "dense_vector": frozenset({"dimension", "metric"}),
    "sparse_vector": frozenset(),
    "string": frozenset({*_FILTERED, *_SEARCHED, "store_text"}),
    "string_list": _FILTERED,
    "boolean": _FILTERED,
    "integer": _FILTERED,
    "float": _FILTERED,
}
"""What a field of each type can say, beside its type and a description."""
_USE_OPTIONS: Mapping[str, frozenset[str]] = {
    "full_text_search": frozenset({"language", "stemming", "stop_words", "ngram"}),
    "embed": frozenset({"model", "dimension", "metric", "write_parameters", "read_parameters"}),
    "sparse_embed": frozenset({"model", "write_parameters", "read_parameters"}),
}
"""And what can be said of each use of a text."""


class Dense(NamedTuple):
    """A dense vector field."""

    dimension: int
    metric: str


@dataclass(frozen=True)
class IndexSpec:
    """An index to be made: `IndexSpec.vectors(…)`, `IndexSpec.documents(…)`, or a schema of one's own.

    Args:
        fields: by name, as in ``schema={"fields": …}`` of the 2026-07 API. Fields named ``_values`` and
            ``_sparse_values`` alone make a legacy vector index, any others a document index.

    Raises:
        ValueError: a schema that no index can have.
    """

    fields: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        if not self.fields:
            raise Refused("schema must contain at least one field")
        for name, field in self.fields.items():
            _check_field(name, field)

    @classmethod
    def vectors(cls, dimension: int | None = None, metric: str = "cosine") -> Self:
        """A legacy vector index; without a dimension a sparse one."""
        if dimension is None:
            return cls({SPARSE: {"type": "sparse_vector"}})
        return cls({DENSE: _dense(dimension, metric)})

    @classmethod
    def documents(
        cls,
        dimension: int | None = None,
        metric: str = "cosine",
        *,
        vector_field: str = "embedding",
        sparse_field: str = "",
        fields: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """A document index with a dense field, a sparse one if it is named, and any other `fields`."""
        schema = dict(fields or {})
        if dimension is not None:
            schema[vector_field] = _dense(dimension, metric)
        if sparse_field:
            schema[sparse_field] = {"type": "sparse_vector"}
        return cls(schema)

    @property
    def kind(self) -> str:
        """``"vectors"`` or ``"documents"``: which of the two APIs it speaks."""
        return "vectors" if set(self.fields) <= {DENSE, SPARSE} else "documents"

    @cached_property
    def dense(self) -> dict[str, Dense]:
        """The dense vector fields."""
        return {
            name: Dense(field["dimension"], field["metric"])
            for name, field in self.fields.items()
            if field["type"] == "dense_vector"
        }

    @cached_property
    def sparse(self) -> frozenset[str]:
        """The sparse vector fields; a legacy dotproduct index has one without declaring it."""
        declared = {name for name, field in self.fields.items() if field["type"] == "sparse_vector"}
        hybrid = self.kind == "vectors" and DENSE in self.dense and self.dense[DENSE].metric == "dotproduct"
        return frozenset(declared | {SPARSE} if hybrid else declared)

    @cached_property
    def text(self) -> frozenset[str]:
        """String fields that are searched, not filtered."""
        return frozenset(
            name
            for name, field in self.fields.items()
            if any(field.get(use) is not None for use in _SEARCHED)
        )

    @cached_property
    def integers(self) -> frozenset[str]:
        """Fields whose numbers stay whole."""
        return frozenset(name for name, field in self.fields.items() if field["type"] == "integer")

    @cached_property
    def data_fields(self) -> frozenset[str]:
        """Fields that are searched, and that a filter may not compare."""
        return frozenset(self.dense) | self.sparse | self.text


def _dense(dimension: int, metric: str) -> dict[str, Any]:
    return {"type": "dense_vector", "dimension": dimension, "metric": metric}


def _check_field(name: str, field: Mapping[str, Any]) -> None:
    if not 1 <= len(name.encode()) <= MAX_FIELD_NAME:
        raise Refused(f"Field name {name!r} must be 1-{MAX_FIELD_NAME} bytes")
    if field.get("type") not in _FIELD_OPTIONS:
        raise Refused(f"Field {name!r} has an unsupported type {field.get('type')!r}")
    _refuse_unknown(name, field, {"type", "description", *_FIELD_OPTIONS[field["type"]]})
    for use, options in _USE_OPTIONS.items():
        _refuse_unknown(f"{name}.{use}", field.get(use) or {}, options)
    if field["type"] != "dense_vector":
        return
    dimension, metric = field.get("dimension"), field.get("metric")
    if not isinstance(dimension, int) or not 1 <= dimension <= MAX_DIMENSION:
        raise Refused(f"Field {name!r}: dimension must be between 1 and {MAX_DIMENSION}")
    if metric not in METRICS:
        raise Refused(f"Field {name!r}: metric must be one of {', '.join(sorted(METRICS))}")


def _refuse_unknown(name: str, given: Mapping[str, Any], known: Set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise Refused(
            f"Field {name!r}: unknown option {unknown[0]!r}, expected one of {', '.join(sorted(known))}"
        )
