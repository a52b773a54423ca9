"""The settings of a collection: as they are given, defaulted, changed and shown; and what the engine gets of them.

They are kept in the form in which GET /collections/{name} shows them under ``config``. The defaults are those of
config/config.yaml and of the source of Qdrant 1.18.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models

from shardroute.testing._qdrant_errors import bad_input, invalid, not_here, out_of_range

Json = dict[str, Any]

_HNSW = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
_OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
_WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
_NUMBERS = ("shard_number", "replication_factor", "write_consistency_factor")
_FORBIDDEN = '<>:"/\\|?*\0\x1f'
_LONGEST_NAME = 255
_LARGEST_VECTOR = 65536
PLACEHOLDER = "placeholder"
"""A vector that is dropped again at once: the engine makes no collection without any."""

_LEAST = {
    "ef_construct": 4,
    "full_scan_threshold": 10,
    "vacuum_min_vector_number": 100,
    "max_segment_size": 1,
    "wal_capacity_mb": 1,
    "max_query_limit": 1,
    "max_timeout": 1,
    "read_rate_limit": 1,
    "write_rate_limit": 1,
    "max_points_count": 1,
    **dict.fromkeys(_NUMBERS, 1),
}
"""The least value that a setting may have, where a real server says so."""


def check_name(name: str) -> None:
    """Whether a new collection may have this name.

    Raises:
        Refusal: it is too long, or has a character that no file name may have.
    """
    if len(name) > _LONGEST_NAME:
        raise invalid(
            "collection_name",
            f'value "{name}" invalid, must be from 1 to {_LONGEST_NAME} characters',
            "path parameters",
        )
    if found := next((each for each in _FORBIDDEN if each in name), None):
        raise invalid("collection_name", f'collection name cannot contain "{found}" char', "path parameters")


def created(given: models.CreateCollection) -> Json:
    """The whole settings of a new collection.

    Raises:
        Refusal: one is out of its range, or of a kind that this server does not have.
    """
    values = _plain(given)
    _check_sizes(values.get("vectors", {}))
    _check_ranges(values)
    params: Json = {
        "vectors": values.get("vectors", {}),
        **{name: values.get(name, 1) for name in _NUMBERS},
        "on_disk_payload": values.get("on_disk_payload", True),
    }
    for name in ("sharding_method", "sparse_vectors"):
        if name in values:
            params[name] = values[name]
    settings: Json = {
        "params": params,
        "hnsw_config": _HNSW | values.get("hnsw_config", {}),
        "optimizer_config": _OPTIMIZERS | _optimizers(values.get("optimizers_config", {})),
        "wal_config": _WAL | values.get("wal_config", {}),
        "quantization_config": values.get("quantization_config"),
    }
    for name in ("strict_mode_config", "metadata"):
        if name in values:
            settings[name] = values[name]
    return settings


def changed(settings: Json, given: models.UpdateCollection) -> Json:
    """The settings after a PATCH; what it leaves out stays.

    Raises:
        Refusal: it names a vector that is not there, or changes what this server cannot change.
    """
    result, values = copy.deepcopy(settings), _plain(given)
    _check_ranges(values)
    result["params"] |= values.get("params", {})
    result["hnsw_config"] |= values.get("hnsw_config", {})
    result["optimizer_config"] |= _optimizers(values.get("optimizers_config", {}))
    for name, diff in values.get("vectors", {}).items():
        _merge(_vector_to_change(result, name), diff)
    for name, diff in values.get("sparse_vectors", {}).items():
        _merge(_sparse_to_change(result, name, diff), diff)
    if "quantization_config" in values:
        result["quantization_config"] = _quantization(values["quantization_config"])
    for name in ("strict_mode_config", "metadata"):
        if name in values:
            result[name] = result.get(name, {}) | values[name]
    return result


def _plain(given: BaseModel) -> Json:
    return given.model_dump(mode="json", exclude_none=True)


def _check_sizes(vectors: Json) -> None:
    for name, params in _by_name(vectors).items():
        if not 1 <= params["size"] <= _LARGEST_VECTOR:
            field = f"vectors.{name}.size" if name else "vectors.size"
            raise out_of_range(field, params["size"], 1, _LARGEST_VECTOR)


def _check_ranges(values: Any, path: str = "") -> None:
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        where = f"{path}{name}"
        if isinstance(value, int) and value < _LEAST.get(name, value):
            raise out_of_range(where, value, _LEAST[name])
        if name != "metadata":
            _check_ranges(value, f"{where}.")


def _optimizers(values: Json) -> Json:
    if values.get("max_optimization_threads") == "auto":
        return values | {"max_optimization_threads": None}
    return values


def _quantization(value: Any) -> Any:
    return None if value == models.Disabled.DISABLED.value else value


def _vector_to_change(settings: Json, name: str) -> Json:
    found: Json | None = vectors_of(settings).get(name)
    if found is None:
        raise bad_input(
            f"Vector params for {name} are not specified in config"
            if name
            else "Default vector params are not specified in config"
        )
    return found


def _sparse_to_change(settings: Json, name: str, diff: Json) -> Json:
    found: Json | None = settings["params"].get("sparse_vectors", {}).get(name)
    if found is None:
        raise bad_input(f"Sparse vector `{name}` is not specified in collection config")
    if diff.get("modifier", found.get("modifier")) != found.get("modifier"):
        raise not_here("Changing the modifier of a sparse vector")
    return found


def _merge(params: Json, diff: Json) -> None:
    for name, value in diff.items():
        if name == "quantization_config":
            params[name] = _quantization(value)
        else:
            params[name] = params.get(name, {}) | value if isinstance(value, dict) else value
    if params.get("quantization_config", ...) is None:
        del params["quantization_config"]


def vectors_of(settings: Json) -> dict[str, Json]:
    """The dense vectors by name; the one without a name is ``""``."""
    return _by_name(settings["params"]["vectors"])


def _by_name(vectors: Json) -> dict[str, Json]:
    return {"": vectors} if isinstance(vectors.get("size"), int) else vectors


def sparse_of(settings: Json) -> dict[str, Json]:
    """The sparse vectors by name."""
    found: dict[str, Json] = settings["params"].get("sparse_vectors") or {}
    return found


def check_vector_name(settings: Json, name: str) -> None:
    """Whether a query may use this vector.

    Raises:
        Refusal: there is no such vector.
    """
    known = [*vectors_of(settings), *sparse_of(settings)]
    if name in known:
        return
    if not known:
        raise bad_input("Vectors are not configured in this collection")
    if known == [""]:
        raise bad_input(f"Vector with name {name} is not configured in this collection")
    names = ", ".join(known)
    if not name:
        raise bad_input(f"Collection requires specified vector name in the request, available names: {names}")
    raise bad_input(
        f"Vector with name `{name}` is not configured in this collection, available names: {names}"
    )


def engine_config(settings: Json, *, durable: bool) -> engine.EdgeConfig:
    """What the engine has to know of the settings.

    The graph and quantization are none of it: it would use them in segments that an optimizer has built, and none
    runs. One thread for each collection: it has one segment.
    """
    dense = {name: _dense(params) for name, params in vectors_of(settings).items()}
    sparse = {name: _sparse(params) for name, params in sparse_of(settings).items()}
    if not dense and not sparse:
        dense = {PLACEHOLDER: engine.EdgeVectorParams(1, engine.Distance.Dot)}
    return engine.EdgeConfig(
        vectors=dense or None,
        sparse_vectors=sparse or None,
        max_search_threads=1,
        wal_enabled=durable,
    )


def _dense(params: Mapping[str, Any]) -> engine.EdgeVectorParams:
    return engine.EdgeVectorParams(
        size=params["size"],
        distance=getattr(engine.Distance, params["distance"]),
        datatype=datatype(params.get("datatype")),
        multivector_config=multivectors(params.get("multivector_config")),
    )


def _sparse(params: Mapping[str, Any]) -> engine.EdgeSparseVectorParams:
    return engine.EdgeSparseVectorParams(
        modifier=modifier(params.get("modifier")),
        datatype=datatype((params.get("index") or {}).get("datatype")),
    )


def datatype(name: str | None) -> engine.VectorStorageDatatype | None:
    if name is None:
        return None
    found: engine.VectorStorageDatatype | None = getattr(
        engine.VectorStorageDatatype, name.capitalize(), None
    )
    if found is None:
        raise not_here(f"The datatype {name}")
    return found


def multivectors(config: Mapping[str, Any] | None) -> engine.MultiVectorConfig | None:
    return None if config is None else engine.MultiVectorConfig(engine.MultiVectorComparator.MaxSim)


def modifier(name: str | None) -> engine.Modifier | None:
    return engine.Modifier.Idf if name == "idf" else None
