"""A Qdrant collection as it describes itself: as a schema, and how to make another one like it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from qdrant_client import models

from ..errors import ConfigError
from ..records import Metric
from ..schema import Description, End, Kind, Schema, VectorField
from ..topology import Place, TenancyKind
from .qdrant_filters import MARK_KEY
from .qdrant_tenancy import tenant_field

DISTANCES = {
    Metric.COSINE: models.Distance.COSINE,
    Metric.DOT: models.Distance.DOT,
    Metric.EUCLIDEAN: models.Distance.EUCLID,
}
_METRICS = {distance.value: metric.value for metric, distance in DISTANCES.items()}

_OF_A_VECTOR = frozenset(
    {"size", "distance", "datatype", "multivector_config.comparator", "modifier", "index.datatype"}
)  # what VectorField has of it
_VECTORS = frozenset({"vectors", "sparse_vectors"})
_STATE = frozenset(
    {
        "status", "optimizer_status", "warnings", "indexed_vectors_count", "points_count", "vectors_count",
        "segments_count", "update_queue", "created_at", "config", "payload_schema",
    }
)  # fmt: skip
"""Parts of the answer that are no settings, or are looked at by themselves."""

_AS_THE_OLD_ONE = (
    "shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload", "payload", "id_tracker",
)  # fmt: skip
_CONFIGURATIONS = {
    "hnsw_config": "hnsw_config",
    "wal_config": "wal_config",
    "optimizer_config": "optimizers_config",
    "quantization_config": "quantization_config",
    "strict_mode_config": "strict_mode_config",
    "metadata": "metadata",
}
"""Parts of a collection's configuration, and what they are called when one is made."""


def to_description(place: Place, told: Mapping[str, Any]) -> Description:
    """What the collection offers under the place's names, and all that it is."""
    schema = to_schema(place, told)
    dense, sparse = schema.vectors.get(place.vector_name), schema.vectors.get(place.sparse_name)
    has_sparse = bool(place.sparse_name) and sparse is not None and sparse.kind is Kind.SPARSE
    if dense is None or dense.kind is not Kind.DENSE:
        return Description(None, None, has_sparse, schema)
    metric = Metric(dense.metric) if dense.metric in set(Metric) else None
    return Description(dense.size, metric, has_sparse, schema)


def to_schema(place: Place, told: Mapping[str, Any]) -> Schema:
    """`told`: the result of Qdrant's `GET /collections/NAME`, as JSON."""
    config = told["config"]
    dense, sparse = dense_params(told), sparse_params(told)
    return Schema(
        system="qdrant",
        vectors={
            **{name: _dense_field(params) for name, params in dense.items()},
            **{name: _sparse_field(params) for name, params in sparse.items()},
        },
        indexes=_indexes(place, told.get("payload_schema") or {}),
        settings=dict(
            [
                *_of_vectors("vectors", dense, place.vector_name),
                *_of_vectors("sparse_vectors", sparse, place.sparse_name),
                *_flat(
                    "params", {key: part for key, part in config["params"].items() if key not in _VECTORS}
                ),
                *(pair for key, part in config.items() if key != "params" for pair in _flat(key, part)),
                *(
                    pair
                    for key, part in told.items()
                    if key not in _STATE
                    for pair in _flat(f"told.{key}", part)
                ),
            ]
        ),
        whole=told,
    )


def dense_params(told: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """By name; an unnamed one is called ''."""
    vectors = told["config"]["params"].get("vectors") or {}
    return {"": vectors} if isinstance(vectors.get("size"), int) else vectors


def sparse_params(told: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return told["config"]["params"].get("sparse_vectors") or {}


def _dense_field(params: Mapping[str, Any]) -> VectorField:
    several = params.get("multivector_config")
    return VectorField(
        Kind.DENSE if several is None else Kind.MULTI,
        params["size"],
        _METRICS.get(params["distance"], str(params["distance"]).lower()),
        params.get("datatype") or "float32",
        "" if several is None else str(several.get("comparator")),
    )


def _sparse_field(params: Mapping[str, Any]) -> VectorField:
    index = params.get("index") or {}
    modifier = params.get("modifier") or "none"
    return VectorField(
        Kind.SPARSE,
        datatype=index.get("datatype") or "float32",
        scoring="" if modifier == "none" else modifier,
    )


def _of_vectors(
    where: str, vectors: Mapping[str, Mapping[str, Any]], placed: str
) -> Iterator[tuple[str, object]]:
    """The settings of each. The one that the place names is called otherwise on each side, so it has no name here."""
    for name, params in vectors.items():
        prefix = where if name == placed else f"{where}.{name}"
        for key, part in _flat(prefix, params):
            if key.removeprefix(f"{prefix}.") not in _OF_A_VECTOR:
                yield key, part


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Settings by dotted name; those that are not set are left out."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}", part)
    elif value is not None:
        yield name, value


def _indexes(place: Place, payload_schema: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of fields that are the application's."""
    field = tenant_field(place.tenancy)
    ours = {MARK_KEY, *(() if field is None else (field.key,))}
    return {name: _index(info) for name, info in payload_schema.items() if name not in ours}


def _index(info: Mapping[str, Any]) -> str:
    params = {
        key: part for key, part in (info.get("params") or {}).items() if part is not None and key != "type"
    }
    return f"{info['data_type']} {json.dumps(params, sort_keys=True)}" if params else str(info["data_type"])


# -- another collection like it ----------------------------------------------------------------------------------


def check_create_options(place: Place) -> None:
    """Raises ConfigError for what is no option of a new collection, or follows from the rest of the placement."""
    for name in place.create_options:
        if name in _NOT_OPTIONS:
            raise ConfigError(f"create_options.{name}: {_NOT_OPTIONS[name]}")
    try:
        models.CreateCollection.model_validate(_body(place, None))
    except ValidationError as error:
        [first, *_] = error.errors()
        path = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"create_options.{path} is not what Qdrant takes: {first['msg']}") from error


_NOT_OPTIONS = {
    "vectors": "vectors are those of the old collection, and of vector_name, dimension and metric",
    "sparse_vectors": "sparse vectors are those of the old collection, and of sparse_name",
    "sharding_method": "it follows from the tenancy",
}


def new_collection(place: Place, like: End | None = None) -> dict[str, Any]:
    """Arguments of `create_collection` for a place; `like`: the tenant's other side, where that is Qdrant's too.

    Each of the place's `create_options` is instead of what the other side has. Raises pydantic's ValidationError where
    the other side has what qdrant-client does not know.
    """
    made = models.CreateCollection.model_validate(_body(place, like))
    given = {name: getattr(made, name) for name in type(made).model_fields}
    called = {"vectors": "vectors_config", "sparse_vectors": "sparse_vectors_config"}
    return {called.get(name, name): part for name, part in given.items() if part is not None}


def _body(place: Place, like: End | None) -> dict[str, Any]:
    told: Mapping[str, Any] = {} if like is None or like.schema is None else like.schema.whole
    config = told.get("config", {"params": {}})
    params = config["params"]
    body: dict[str, Any] = {name: params[name] for name in _AS_THE_OLD_ONE if params.get(name) is not None}
    body |= {called: config[name] for name, called in _CONFIGURATIONS.items() if config.get(name) is not None}
    body["vectors"] = _dense(place, like)
    if sparse := _sparse(place, like):
        body["sparse_vectors"] = sparse
    if like is None or like.place.tenancy.kind is not place.tenancy.kind:
        body.pop("hnsw_config", None)
    if place.tenancy.kind is TenancyKind.PAYLOAD:
        # A graph for each tenant and none over all: what Qdrant recommends where every query names its tenant.
        body.setdefault("hnsw_config", {"payload_m": 16, "m": 0})
    if place.tenancy.kind is TenancyKind.SHARD_KEY:
        body["sharding_method"] = "custom"
    return body | dict(place.create_options)


def _dense(place: Place, like: End | None) -> Mapping[str, Any]:
    own = {"size": place.dimension, "distance": DISTANCES[place.metric].value}
    found: dict[str, Mapping[str, Any]] = {}
    if like is None or like.schema is None:
        found[place.vector_name] = own
    else:
        for name, params in dense_params(like.schema.whole).items():
            searched = name == like.place.vector_name
            found[place.vector_name if searched else name] = {**params, **own} if searched else params
    return found[""] if found.keys() == {""} else found


def _sparse(place: Place, like: End | None) -> dict[str, Any]:
    found: dict[str, Any] = {place.sparse_name: {}} if place.sparse_name else {}
    if like is None or like.schema is None:
        return found
    there = sparse_params(like.schema.whole)
    return found | {
        (place.sparse_name or name if name == like.place.sparse_name else name): params
        for name, params in there.items()
    }


def missing_indexes(like: End, told: Mapping[str, Any] | None) -> dict[str, models.PayloadFieldSchema]:
    """Indexes on payload fields that the other side has, and a collection lacks."""
    assert like.schema is not None, "there is nothing to be like"
    there = (told or {}).get("payload_schema") or {}
    known = like.schema.whole.get("payload_schema") or {}
    return {name: _field_schema(known[name]) for name in like.schema.indexes if name not in there}


_FIELD_SCHEMA: TypeAdapter[models.PayloadFieldSchema] = TypeAdapter(models.PayloadFieldSchema)


def _field_schema(info: Mapping[str, Any]) -> models.PayloadFieldSchema:
    kind = info["data_type"]
    return _FIELD_SCHEMA.validate_python({"type": kind, **params} if (params := info.get("params")) else kind)
