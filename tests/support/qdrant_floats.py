"""Which floats a Qdrant server keeps as they are: where a test is about filters, it asks with floats that stay."""

from __future__ import annotations

from typing import Any

from shardroute.testing._qdrant_numbers import as_read


def kept(value: Any) -> Any:
    """The value with every float in it replaced by a near one that is read as it is."""
    match value:
        case dict():
            return {key: kept(item) for key, item in value.items()}
        case list():
            return [kept(item) for item in value]
        case float():
            return _stable(value)
    return value


def _stable(number: float) -> float:
    for _ in range(20):
        if (read := as_read(number)) == number:
            return number
        number = read
    return float(round(number)) if abs(number) < 1 << 50 else 0.5
