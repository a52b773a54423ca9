"""Floats in JSON as a Qdrant server reads them.

Its parser (serde_json without `float_roundtrip`) takes the digits as one whole number of 64 bits, which it rounds to a
float, and multiplies or divides that by a power of ten, which rounds again. So a float may be taken for a neighbour.
The engine reads stored payloads in that way by itself; what comes in a request, it is given as it was read.
"""

from __future__ import annotations

import math
from typing import Any

_FURTHEST = 308
"""The largest power of ten that it multiplies by at once."""


def as_read(number: float) -> float:
    """What is made of the number's shortest decimal form."""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) - len(fraction)
    read = float(int(whole + fraction))
    while power < -_FURTHEST:
        read, power = read / 10.0**_FURTHEST, power + _FURTHEST
    # Its table has 1e23 where 10.0**23 is a neighbour of that.
    read = read * float(f"1e{power}") if power >= 0 else read / float(f"1e{-power}")
    return math.copysign(read, number)


def payload_as_read(value: Any) -> Any:
    """A payload, or a value in one, with every float as it is read."""
    if isinstance(value, float):
        return as_read(value)
    if isinstance(value, dict):
        return {key: payload_as_read(item) for key, item in value.items()}
    return [payload_as_read(item) for item in value] if isinstance(value, list) else value


def bound_as_read(number: float | None) -> float | None:
    """A bound of a range. Whole ones come as whole numbers, and are exact."""
    return number if number is None or number.is_integer() else as_read(number)
