"""Bodies of Qdrant's REST requests, where those that qdrant-client makes of its models will not do.

Of an upsert they cost three times as much. Of a filter they write a bound of 1800000000000001 as
`1800000000000001.0`, and a server reads that as another number: its parser rounds twice beyond 2**53 in digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from qdrant_client import models

from ..records import SparseVector
from .qdrant_points import Point, to_struct

_INT64 = 1 << 63


def upsert_body(
    points: Sequence[Point],
    shard_key: str | None,
    update_filter: models.Filter | None,
    update_mode: models.UpdateMode | None,
) -> bytes:
    """The body of qdrant-client's own upsert, float32 in their shortest form. Raises ValueError.

    What orjson does not take, such as whole numbers beyond 64 bits, is written by pydantic, if it can.
    """
    envelope = models.PointsList(
        points=[], shard_key=shard_key, update_filter=update_filter, update_mode=update_mode
    )
    whole = envelope.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    try:
        return orjson.dumps(whole | {"points": points}, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        given = envelope.model_copy(update={"points": [to_struct(point) for point in points]})
        return given.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True).encode()


def point_size(point: Point) -> int:
    """Bytes of the point within `upsert_body`."""
    try:
        return len(orjson.dumps(point, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY))
    except orjson.JSONEncodeError:
        return len(to_struct(point).model_dump_json(by_alias=True, exclude_none=True).encode())


def read_body(own: models.Filter | None, **fields: Any) -> bytes:
    """The body of a query, scroll or count: the fields that are not None, and `filter` with its numbers exact."""
    given = fields if own is None else {**fields, "filter": exact(own)}
    body = {name: value for name, value in given.items() if value is not None}
    return orjson.dumps(body, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def exact(own: models.Filter) -> Any:
    """The filter as JSON, whole numbers without a fraction."""
    return _whole(own.model_dump(mode="json", exclude_none=True))


def _whole(value: Any) -> Any:
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer() and abs(value) < _INT64:
            return int(value)
    return value


def _plain(value: object) -> Any:
    """What a record may hold and orjson does not know."""
    match value:
        case np.ndarray():
            return np.ascontiguousarray(value)
        case Mapping():
            return dict(value)
        case SparseVector():
            return {"indices": value.indices, "values": value.values}
        case tuple():
            return list(value)
        case float():
            return float(value)
    raise TypeError(type(value).__name__)
