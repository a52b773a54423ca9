"""Where values lie on a plot, which of them get a tick, and how they are written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor, log10

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_TIME_STEPS: tuple[float, ...] = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(step * _MINUTE for step in (1, 2, 5, 10, 15, 30)),
    *(step * _HOUR for step in (1, 2, 3, 6, 12)),
    *(step * _DAY for step in (1, 2, 5, 10, 30, 100, 365)),
)
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low` to the pixel `start` and `high` to `end`. What is outside is put on the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + self._share(inside) * (self.end - self.start)

    def _share(self, value: float) -> float:
        if self.low >= self.high:
            return 0.5
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)


def log_range(values: Iterable[float], least: float) -> tuple[float, float]:
    """A range around positive values, at least a factor of 4 wide. `least`: what is below it counts as that."""
    known = [max(value, least) for value in values]
    low, high = min(known) / 1.2, max(known) * 1.2
    wider = max(1.0, (4 * low / high) ** 0.5)
    return low / wider, high * wider


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten; of more than two and a half, only the powers."""
    digits = (1, 2, 5) if log10(high / low) <= 2.5 else (1,)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def time_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """At most about `most` round times of the epoch and their labels in UTC; the first of a day is its date."""
    step = next((step for step in _TIME_STEPS if (high - low) / step <= most), _TIME_STEPS[-1])
    times = [number * step for number in range(ceil(low / step), floor(high / step) + 1)]
    return [(time, _clock(time, step)) for time in times]


def _clock(time: float, step: float) -> str:
    moment = datetime.fromtimestamp(time, UTC)
    if time % _DAY == 0:
        return f"{moment:%m-%d}"
    return f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"


def moment(time: float) -> str:
    """Date and time in UTC, to the second."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"


def clock(time: float) -> str:
    """The time of day in UTC, to the second."""
    return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}"


def duration(seconds: float) -> str:
    """Three digits and the unit that fits: ``12.3 ms``."""
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 99.5 else f"{value:.3g} {unit}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: ``3.5 hours``."""
    units = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (1.0, "second"))
    size, unit = next((pair for pair in units if seconds >= pair[0]), units[-1])
    value = f"{seconds / size:.3g}"
    return f"{value} {unit}" if value == "1" else f"{value} {unit}s"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places moved apart to a distance of `gap`, in their order, between `low` and `high` if they fit."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = [0.0] * len(places)
    free = low
    for number in order:
        moved[number] = max(places[number], free)
        free = moved[number] + gap
    limit = high
    for number in reversed(order):
        moved[number] = min(moved[number], limit)
        limit = moved[number] - gap
    return moved


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` steps of 1, 2 or 5 times a power of ten, all within the range."""
    power = floor(log10((high - low) / most))
    steps = (float(f"{digit}e{power + more}") for more in (0, 1) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= most)
    return [number * step for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
