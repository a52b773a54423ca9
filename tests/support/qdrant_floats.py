"""Which floats a Qdrant server keeps as they are.

Its JSON parser (serde_json without `float_roundtrip`) takes the digits as one whole number of 64 bits, which it rounds
to a float, and multiplies or divides that by a power of ten, which rounds again. So a float may come back as a
neighbour, and a bound that is sent be taken for one. Where a test is about filters, it asks with floats that stay.
"""

from __future__ import annotations

import math
from typing import Any

_FURTHEST = 308  # the largest power of ten that it multiplies by at once


def as_read(number: float) -> float:
    """What the server makes of the number's shortest decimal form."""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) - len(fraction)
    read = float(int(whole + fraction))
    while power < -_FURTHEST:
        read, power = read / 10.0**_FURTHEST, power + _FURTHEST
    # Its table has 1e23 where 10.0**23 is a neighbour of that.
    read = read * float(f"1e{power}") if power >= 0 else read / float(f"1e{-power}")
    return math.copysign(read, number)


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
