"""The five plots of a comparison: latency and agreement over time and as distributions, and errors. Pure.

Each takes counts and gives an SVG. Points are windows, oldest first, at least one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..comparisons import StatsWindow
from ..phases import Side
from ..statistics import LATENCY_EDGES, SHARE_EDGES, Histogram, Shares
from .frames import (
    Measure,
    Size,
    bar,
    bottom_axis,
    columns,
    drawing,
    line,
    lines_names,
    ribbon,
    text,
    time_axis,
    time_scale,
    values_axis,
    values_of,
)
from .markup import Html, joined, tag
from .scales import Scale, duration, log_range, log_ticks, round_ticks, spread

MOST_KINDS = 8
"""Kinds of errors with a row of their own."""

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


# -- over time -------------------------------------------------------------------------------------------------


def latency_over_time(points: Sequence[StatsWindow], size: Size) -> Html:
    measures = {(side, name): _latency(side, QUANTILES[name]) for side in Side for name in ("p50", "p95")}
    seen = [value for measure in measures.values() for value in values_of(points, measure)]
    x = time_scale(size, points)
    low, high = log_range(seen, LATENCY_EDGES[0])
    y = Scale(low, high, size.floor, size.top, log=True)
    parts = [
        values_axis(size, y, [(tick, duration(tick)) for tick in log_ticks(low, high)], "latency, log"),
        time_axis(size, x, points),
    ]
    parts += [ribbon(points, x, y, measures[side, "p50"], measures[side, "p95"], side) for side in Side]
    parts += [line(points, x, y, measure, f"{side} {name}") for (side, name), measure in measures.items()]
    names = [
        (f"{side} {name}", y(last[-1]), side)
        for (side, name), measure in measures.items()
        if (last := values_of(points, measure))
    ]
    parts += [lines_names(size, names), columns(size, x, points, _latency_words)]
    return drawing(
        size,
        "latency-time",
        "Latency of both paths over time",
        "; ".join(_from_to(f"{side} {name}", points, measures[side, name]) for side, name in measures),
        parts,
    )


def _latency(side: Side, share: float) -> Measure:
    return lambda point: point.tally.latency(side).quantile(share)


def _latency_words(point: StatsWindow) -> str:
    return "\n".join(_quantile_words(side, point.tally.latency(side)) for side in Side)


def _quantile_words(side: Side, seen: Histogram) -> str:
    values = ((name, seen.quantile(share)) for name, share in QUANTILES.items())
    told = ", ".join(f"{name} {duration(value)}" for name, value in values if value is not None)
    return f"{side}: {told or 'no answers'}"


def _from_to(name: str, points: Sequence[StatsWindow], measure: Measure) -> str:
    values = values_of(points, measure)
    return f"{name} from {duration(min(values))} to {duration(max(values))}" if values else f"{name} unknown"


def agreement_over_time(
    points: Sequence[StatsWindow], size: Size, *, floor: float | None, gate: float
) -> Html:
    """`floor`: mean recall of the primary against itself, None if unknown; `gate`: least mean recall, or 0."""
    recall: dict[str, Measure] = {
        "mean": lambda point: point.tally.share(Shares.RECALL).mean,
        "p5": lambda point: point.tally.share(Shares.RECALL).quantile(0.05),
    }
    limits = {"gate": gate or None, "floor": floor}
    seen = [value for measure in recall.values() for value in values_of(points, measure)]
    low = _tenth_below(min([*seen, *(value for value in limits.values() if value)]))
    x, y = time_scale(size, points), Scale(low, 1.0, size.floor, size.top)
    ticks = [(tick, f"{tick:.3g}") for tick in round_ticks(low, 1.0, 6)]
    parts = [
        values_axis(size, y, ticks, "recall"),
        time_axis(size, x, points),
        ribbon(points, x, y, recall["p5"], recall["mean"], "agree"),
        *(_limit(size, y(value), name) for name, value in limits.items() if value is not None),
        *(line(points, x, y, measure, f"agree {name}") for name, measure in recall.items()),
    ]
    names = [
        (name, y(last[-1]), "agree")
        for name, measure in recall.items()
        if (last := values_of(points, measure))
    ]
    names += [(name, y(value), "limit") for name, value in limits.items() if value is not None]
    parts += [lines_names(size, names), columns(size, x, points, _recall_words)]
    return drawing(
        size,
        "agreement-time",
        "Agreement of the two paths over time",
        f"Mean recall by window is between {min(seen):.3g} and {max(seen):.3g}."
        + ("" if floor is None else f" The noise floor is {floor:.3g}."),
        parts,
    )


def _recall_words(point: StatsWindow) -> str:
    recall = point.tally.share(Shares.RECALL)
    mean, least = recall.mean, recall.quantile(0.05)
    if mean is None or least is None:
        return "nothing compared"
    return f"{recall.count} compared\nmean recall {mean:.4g}, p5 {least:.4g}"


def _tenth_below(value: float) -> float:
    return min(0.9, int(value * 10 - 1e-9) / 10)


def _limit(size: Size, height: float, name: str) -> Html:
    return tag("line", x1=size.left, x2=size.end, y1=height, y2=height, class_=f"limit {name}")


# -- distributions ---------------------------------------------------------------------------------------------


def latency_distribution(seen: Mapping[Side, Histogram], size: Size) -> Html:
    """Share of each side's answers by duration, with its quantiles. At least one side has answers."""
    answered = {side: histogram for side, histogram in seen.items() if histogram.count}
    buckets = [bucket for histogram in answered.values() for bucket in histogram.counts]
    first, last = min(buckets), max(buckets)
    x = Scale(_latency_edge(first - 1), _latency_edge(last), size.left, size.end, log=True)
    most = max(max(histogram.counts.values()) / histogram.count for histogram in answered.values())
    top = size.top + 22 * len(answered)
    y = Scale(0, most * 1.05, size.floor, top)
    shares = [(tick / 100, f"{tick:.3g}%") for tick in round_ticks(0, most * 100, 4)]
    parts = [
        values_axis(size, y, shares, "answers"),
        bottom_axis(size, x, [(tick, duration(tick)) for tick in log_ticks(x.low, x.high)], "latency, log"),
    ]
    for side, histogram in answered.items():
        parts.append(tag("path", d=_steps(histogram, range(first, last + 1), x, y), class_=f"area {side}"))
    for row, (side, histogram) in enumerate(answered.items()):
        marks = {name: histogram.quantile(share) or 0.0 for name, share in QUANTILES.items()}
        parts.append(_marks(size, x, marks, size.top + 22 * row, side))
    told = "; ".join(_quantile_words(side, histogram) for side, histogram in seen.items())
    return drawing(size, "latency-spread", "Distribution of the latency of both paths", told, parts)


def _latency_edge(number: int) -> float:
    """Also the edges that the first and the last bucket do not have."""
    ratio = LATENCY_EDGES[1] / LATENCY_EDGES[0]
    return float(LATENCY_EDGES[0] * ratio**number)


def _steps(histogram: Histogram, buckets: range, x: Scale, y: Scale) -> str:
    heights = (y(histogram.counts.get(bucket, 0) / histogram.count) for bucket in buckets)
    steps = "".join(
        f"V{height:.1f}H{x(_latency_edge(bucket)):.1f}"
        for bucket, height in zip(buckets, heights, strict=True)
    )
    return f"M{x(_latency_edge(buckets.start - 1)):.1f} {y(0):.1f}{steps}V{y(0):.1f}Z"


def _marks(size: Size, x: Scale, marks: Mapping[str, float], height: float, kind: str) -> Html:
    """A row above a distribution: the marks' names, and a thin line from each down to the axis."""
    places = [x(value) for value in marks.values()]
    lines = [tag("line", x1=at, x2=at, y1=height + 8, y2=size.floor, class_=f"mark {kind}") for at in places]
    moved = spread(places, 30, size.left + 12, size.end - 8)
    names = [
        text(name, at, height + 4, f"name {kind}", "middle") for name, at in zip(marks, moved, strict=True)
    ]
    return joined([*lines, *names])


def recall_distribution(recall: Histogram, size: Size) -> Html:
    """How many comparisons had which recall; the scale is one of powers, as few bad ones are what counts."""
    low = _tenth_below(_share_edge(min(recall.counts)))
    x = Scale(low - _SHARE, 1.0 + _SHARE, size.left, size.end)
    high = max(10, max(recall.counts.values())) * 1.6
    y = Scale(0.7, high, size.floor, size.top + 22, log=True)
    # A recall is a share of k matches, so mostly it is an edge: its bar stands around that.
    bars = "".join(
        bar(x(edge - _SHARE / 2), x(edge + _SHARE / 2) - 0.5, size.floor, y(count))
        for edge, count in sorted((_share_edge(bucket), count) for bucket, count in recall.counts.items())
    )
    mean, least = recall.mean or 0.0, recall.quantile(0.05) or 0.0
    powers = [10.0**power for power in range(len(str(int(high))))]
    parts = [
        values_axis(size, y, [(power, f"{power:,.0f}") for power in powers], "comparisons, log"),
        bottom_axis(size, x, [(tick, f"{tick:.3g}") for tick in round_ticks(low, 1.0, 5)], "recall"),
        tag("path", d=bars, class_="area agree bars"),
        _marks(size, x, {"p5": least, "mean": mean}, size.top, "agree"),
    ]
    whole = recall.counts.get(len(SHARE_EDGES), 0)
    told = f"{whole:,} of {recall.count:,} comparisons have full recall; mean {mean:.4g}, p5 {least:.4g}."
    return drawing(size, "recall-spread", "Distribution of recall", told, parts)


_SHARE = 1 / len(SHARE_EDGES)  # width of a bucket


def _share_edge(bucket: int) -> float:
    return SHARE_EDGES[bucket - 1] if bucket else 0.0


# -- errors ----------------------------------------------------------------------------------------------------

_ROW, _BARS = 52.0, 26.0  # heights: of a kind of errors, and of the bars in it


def errors_over_time(points: Sequence[StatsWindow], size: Size) -> Html | None:
    """A row of bars for each kind of error of each side, the most frequent first; None without any."""
    kinds = _kinds(points)
    if not kinds:
        return None
    rows = kinds.most_common(MOST_KINDS)
    size = replace(size, top=_ROW * len(rows), height=_ROW * len(rows) + size.bottom + 6)
    x = time_scale(size, points)
    most = max(point.tally.errors(side).get(kind, 0) for point in points for (side, kind), _ in rows)
    parts = [time_axis(replace(size, top=14), x, points)]
    for number, ((side, kind), total) in enumerate(rows):
        counts = [point.tally.errors(side).get(kind, 0) for point in points]
        y = Scale(0, most, _ROW * (number + 1), _ROW * (number + 1) - _BARS)
        parts += [
            values_axis(size, y, [(0, "0"), (most, f"{most:,}")], ""),
            tag("path", d=_bars(points, counts, x, y), class_=f"area {side} bars"),
            text(f"{side}: {_shortened(kind)} ({total:,})", size.left, y(most) - 7, f"name {side}"),
        ]
    parts.append(columns(replace(size, top=14), x, points, _error_words))
    told = "; ".join(f"{side} {kind}: {total:,}" for (side, kind), total in rows)
    return drawing(size, "errors-time", "Errors by kind over time", told, parts)


def _kinds(points: Iterable[StatsWindow]) -> Counter[tuple[Side, str]]:
    kinds: Counter[tuple[Side, str]] = Counter()
    for point in points:
        for side in Side:
            kinds.update({(side, kind): count for kind, count in point.tally.errors(side).items()})
    return +kinds


def _bars(points: Sequence[StatsWindow], counts: Sequence[int], x: Scale, y: Scale) -> str:
    return "".join(
        bar(
            start := x(point.start),
            max(x(point.start + point.seconds), start + 1),
            y(0),
            min(y(count), y(0) - 1),
        )
        for point, count in zip(points, counts, strict=True)
        if count
    )


def _error_words(point: StatsWindow) -> str:
    found = _kinds([point]).most_common(MOST_KINDS)
    return "\n".join(f"{side} {_shortened(kind)}: {count:,}" for (side, kind), count in found) or "no errors"


def _shortened(kind: str) -> str:
    return kind if len(kind) <= 40 else f"{kind[:39]}…"
