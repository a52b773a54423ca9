"""What the Pinecone emulator lets in: ids, metadata, vectors, sizes. Every limit is Pinecone's documented one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_spec import Dense
from shardroute.testing._pinecone_table import Sparse, Vector

MAX_ID = 512
MAX_METADATA = 40 * 1024
MAX_IDS = 1000
MAX_RECORDS = 1000
MAX_UPSERT_BYTES = 2 * 1024 * 1024
MAX_RESULT_BYTES = 4 * 1024 * 1024
MAX_TOP_K = 10_000
MAX_SPARSE = 1000
MAX_LIST = 100
MAX_FETCH_PAGE = 10_000
MAX_UINT32 = 2**32 - 1


def mapping(value: Any, what: str) -> dict[str, Any]:
    """The value, if it is an object."""
    if not isinstance(value, dict):
        raise Refused(f"{what} must be an object, got {value!r}")
    return value


def sequence(value: Any, what: str, most: int) -> list[Any]:
    """The value, if it is a list with 1 to `most` items."""
    if not isinstance(value, list) or not value:
        raise Refused(f"{what} must be a non-empty list")
    if len(value) > most:
        raise Refused(f"The number of {what} must be at most {most}, got {len(value)}")
    return value


def record_id(value: Any) -> str:
    """The value, if it can be the id of a record."""
    if not isinstance(value, str) or not value:
        raise Refused(f"Vector ID must be a non-empty string, got {value!r}")
    if not value.isascii() or "\0" in value:
        raise Refused(f"Vector ID must be ASCII, but got '{value}'")
    if len(value) > MAX_ID:
        raise Refused(f"Vector ID must be at most {MAX_ID} characters, got {len(value)}")
    return value


def record_ids(value: Any) -> list[str]:
    """The value, if it is a list of 1 to 1000 ids."""
    return [record_id(item) for item in sequence(value, "ids", MAX_IDS)]


def prefix(value: Any) -> str:
    """The value, if it can be the beginning of an id."""
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise Refused(f"'prefix' must be a string of at most {MAX_ID} characters, got {value!r}")
    return value


def integer(value: Any, what: str, most: int, default: int) -> int:
    """The value as a number from 1 to `most`; query strings bring text."""
    if value is None:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise Refused(f"{what} must be an integer, got {value!r}") from None
    if isinstance(value, bool) or not 1 <= number <= most:
        raise Refused(f"{what} must be between 1 and {most}, got {value!r}")
    return number


def metadata(values: Mapping[str, Any], whole: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Metadata as it is stored: numbers as floats, except in the fields that are `whole`."""
    checked = {name: _value(name, value, name in whole) for name, value in values.items()}
    size = len(orjson.dumps(checked))
    if size > MAX_METADATA:
        raise Refused(
            f"Metadata size is {size} bytes, which exceeds the limit of {MAX_METADATA} bytes per vector"
        )
    return checked


def _value(name: str, value: Any, whole: bool) -> Any:
    if name.startswith("$"):
        raise Refused(f"Metadata key '{name}' must not start with '$'")
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return value if whole else float(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    shown = orjson.dumps(value).decode()
    raise Refused(
        "Metadata value must be a string, number, boolean or list of strings, "
        f"got '{shown}' for field '{name}'"
    )


def dense_vector(values: Any, field: Dense, whose: str) -> Vector:
    """Values as a vector of the field, to be stored. `whose` stands in the refusal."""
    vector = query_vector(values, field, whose)
    if not vector.any():
        raise Refused(f"Dense vectors must contain at least one non-zero value. {whose} contains only zeros.")
    return vector


def query_vector(values: Any, field: Dense, whose: str) -> Vector:
    """Values as a vector of the field, to search with: all of it may be zero."""
    vector = _floats(values, whose)
    if vector.size != field.dimension:
        raise Refused(
            f"Vector dimension {vector.size} does not match the dimension of the index {field.dimension}"
        )
    return vector


def sparse_vector(value: Any, whose: str) -> Sparse:
    """``{"indices": …, "values": …}`` as a sparse vector."""
    given = mapping(value, "Sparse values")
    indices, values = given.get("indices"), _floats(given.get("values"), whose)
    if not isinstance(indices, list) or len(indices) != values.size:
        raise Refused(f"Sparse vector must have as many indices as values. {whose} has not.")
    if not 1 <= len(indices) <= MAX_SPARSE:
        raise Refused(f"Sparse vector must have between 1 and {MAX_SPARSE} values, got {len(indices)}")
    if any(isinstance(index, bool) or not isinstance(index, int) for index in indices):
        raise Refused(f"Sparse indices must be integers. {whose} has others.")
    if len(set(indices)) != len(indices):
        raise Refused(f"Sparse vector indices must be unique. {whose} repeats one.")
    if not 0 <= min(indices) <= max(indices) <= MAX_UINT32:
        raise Refused(f"Sparse indices must be between 0 and {MAX_UINT32}. {whose} has others.")
    return Sparse(np.array(indices, dtype=np.uint32), values)


def _floats(values: Any, whose: str) -> Vector:
    try:
        with np.errstate(over="ignore"):  # infinite then, and refused below
            vector = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise Refused(f"Vector values must be numbers. {whose} has others.") from None
    if not isinstance(values, list) or vector.ndim != 1 or not np.isfinite(vector).all():
        raise Refused(f"Vector values must be a list of finite numbers. {whose} has others.")
    return vector


def token_of(last: str) -> str:
    """A pagination token: the last id of the page."""
    return base64.urlsafe_b64encode(orjson.dumps({"skip_past": last})).decode()


def last_of(token: str | None) -> str | None:
    """The last id of the page before."""
    if not token:
        return None
    try:
        return str(orjson.loads(base64.urlsafe_b64decode(token))["skip_past"])
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise Refused("Invalid pagination token") from None


def page(items: Sequence[str], limit: int) -> dict[str, Any]:
    """``{"pagination": …}`` if there is a next page. `items` may be one longer than the page."""
    return {"pagination": {"next": token_of(items[limit - 1])}} if len(items) > limit else {}
