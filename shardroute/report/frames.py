"""What plots stand in: a size, axes, and the time axis with its phases and holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..comparisons import StatsWindow
from ..phases import EFFECTS, Phase
from ..statistics import Events
from .markup import Html, joined, tag
from .scales import Scale, clock, moment, spread, time_ticks

Measure = Callable[[StatsWindow], float | None]
"""What of a point is drawn; None where that is not known."""

_BAND = 18.0  # height of the phases below a plot
_LETTER = 6.4  # about the width of a letter of a label, in pixels


@dataclass(frozen=True, slots=True)
class Size:
    """Of a plot, in pixels of its own: the page scales it. Margins: `left` for ticks, `right` for the lines' names."""

    name: str
    width: float
    height: float
    left: float
    right: float
    top: float = 34.0
    bottom: float = 54.0

    @property
    def end(self) -> float:
        return self.width - self.right

    @property
    def floor(self) -> float:
        return self.height - self.bottom


WIDE = Size("wide", width=1000, height=310, left=58, right=82)
NARROW = Size("narrow", width=400, height=280, left=48, right=70)
HALF = Size("half", width=480, height=290, left=52, right=20, bottom=40)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, in seconds of the epoch, in which one thing was so."""

    start: float
    end: float
    phase: Phase | None = None


def drawing(size: Size, key: str, title: str, description: str, parts: Iterable[str]) -> Html:
    """An SVG. `key`: unlike any other of the page."""
    name = f"{key}-{size.name}"
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *parts,
        viewBox=f"0 0 {size.width:g} {size.height:g}",
        class_=f"plot {size.name}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def text(words: str, x: float, y: float, kind: str, anchor: str | None = None) -> Html:
    return tag("text", words, x=x, y=y, class_=kind, text_anchor=anchor)


def values_axis(size: Size, y: Scale, ticks: Iterable[tuple[float, str]], name: str) -> Html:
    """Horizontal lines with their values on the left, and what they are values of above."""
    lines = [
        tag("line", x1=size.left, x2=size.end, y1=y(value), y2=y(value), class_="grid") for value, _ in ticks
    ]
    labels = [text(label, size.left - 8, y(value) + 4, "tick", "end") for value, label in ticks]
    return joined([*lines, *labels, text(name, 0, 14, "axis")])


def bottom_axis(
    size: Size, x: Scale, ticks: Iterable[tuple[float, str]], name: str, *, below: float = 0
) -> Html:
    """Ticks under the plot, and what they are ticks of. `below`: pixels that are left free for something else."""
    floor = size.floor + below
    parts = [tag("line", x1=size.left, x2=size.end, y1=size.floor, y2=size.floor, class_="base")]
    for value, label in ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=floor, y2=floor + 4, class_="base"))
        parts.append(text(label, x(value), floor + 17, "tick", "middle"))
    return joined([*parts, text(name, size.end, size.height - 1, "axis", "end")])


def lines_names(size: Size, names: Sequence[tuple[str, float, str]]) -> Html:
    """At the right of a plot, beside where each line ends: words, height and kind."""
    heights = spread([height for _, height, _ in names], 14, size.top, size.floor)
    return joined(
        text(words, size.end + 7, height + 4, f"name {kind}")
        for (words, _, kind), height in zip(names, heights, strict=True)
    )


# -- time ------------------------------------------------------------------------------------------------------


def time_scale(size: Size, points: Sequence[StatsWindow]) -> Scale:
    return Scale(points[0].start, _end(points[-1]), size.left, size.end)


def middle(point: StatsWindow) -> float:
    return point.start + point.seconds / 2


def unbroken(points: Sequence[StatsWindow]) -> list[list[StatsWindow]]:
    """The points in groups that follow one another; between two of them is a gap."""
    groups: list[list[StatsWindow]] = []
    for point in points:
        if groups and point.start < _end(groups[-1][-1]) + point.seconds / 2:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def phases(points: Sequence[StatsWindow]) -> list[Stretch]:
    """Which phase most queries of each point met, neighbours put together; a hold never hides what is around it."""
    found: list[Stretch] = []
    for point in points:
        if not point.phases:
            continue
        here = Stretch(point.start, _end(point), _leading(point))
        follows = bool(found) and point.start < found[-1].end + point.seconds / 2
        if follows and found[-1].phase is here.phase:
            found[-1] = replace(found[-1], end=here.end)
        else:
            found.append(here)
    return found


def _leading(point: StatsWindow) -> Phase:
    met = point.phases
    return max(met, key=lambda phase: (not EFFECTS[phase].held, met[phase]))


def holds(points: Sequence[StatsWindow]) -> list[Stretch]:
    """When queries met a phase that holds writes, or writes waited."""
    held = [point for point in points if _held(point)]
    return [Stretch(group[0].start, _end(group[-1])) for group in unbroken(held)]


def _held(point: StatsWindow) -> bool:
    return bool(point.tally.count(Events.HELD)) or any(EFFECTS[phase].held for phase in point.phases)


def time_axis(size: Size, x: Scale, points: Sequence[StatsWindow]) -> Html:
    """Times of day, the phases as a coloured band, and the holds through the whole plot."""
    ticks = time_ticks(x.low, x.high, round((size.end - size.left) / 75))
    name = f"time in UTC, from {moment(x.low)}"
    return joined(
        [
            *(_hold(size, x, hold) for hold in holds(points)),
            *(_phase(size, x, stretch) for stretch in phases(points)),
            _hold_names(size, x, holds(points)),
            bottom_axis(size, x, ticks, name, below=_BAND),
        ]
    )


def _phase(size: Size, x: Scale, stretch: Stretch) -> Html:
    phase = stretch.phase or Phase.OLD
    effect = EFFECTS[phase]
    kind = "held" if effect.held else "dual" if effect.dual else "settled"
    start, width = x(stretch.start), x(stretch.end) - x(stretch.start)
    block = tag(
        "rect",
        tag("title", f"{phase}, {clock(stretch.start)} to {clock(stretch.end)}"),
        x=start,
        y=size.floor + 2,
        width=max(width, 1),
        height=_BAND - 3,
        class_=f"phase {effect.primary} {kind}",
    )
    if width < len(phase) * _LETTER + 6:
        return block
    return joined([block, text(phase, start + width / 2, size.floor + _BAND - 5, "inside", "middle")])


def _hold(size: Size, x: Scale, hold: Stretch) -> Html:
    width = max(x(hold.end) - x(hold.start), 2)
    return tag("rect", x=x(hold.start), y=size.top, width=width, height=size.floor - size.top, class_="hold")


def _hold_names(size: Size, x: Scale, found: Sequence[Stretch]) -> Html:
    """Only as many as do not run into each other."""
    names, free = [], 0.0
    for hold in found:
        centre = x((hold.start + hold.end) / 2)
        if centre - 14 >= free:
            names.append(text("hold", centre, size.top - 5, "axis", "middle"))
            free = centre + 14
    return joined(names)


def columns(size: Size, x: Scale, points: Sequence[StatsWindow], words: Callable[[StatsWindow], str]) -> Html:
    """Invisible, and over everything: what a pointer on a point of time is told."""
    return tag(
        "g",
        *(
            tag(
                "rect",
                tag("title", f"{moment(point.start)} to {clock(_end(point))}\n{words(point)}"),
                x=x(point.start),
                y=size.top,
                width=x(_end(point)) - x(point.start),
                height=size.floor - size.top,
            )
            for point in points
        ),
        class_="columns",
    )


def _end(point: StatsWindow) -> float:
    return point.start + point.seconds


# -- lines and areas -------------------------------------------------------------------------------------------


def values_of(points: Iterable[StatsWindow], measure: Measure) -> list[float]:
    return [value for point in points if (value := measure(point)) is not None]


def line(points: Sequence[StatsWindow], x: Scale, y: Scale, measure: Measure, kind: str) -> Html:
    """Broken where there are no points, or no values."""
    known = {point.start: value for point in points if (value := measure(point)) is not None}
    groups = unbroken([point for point in points if point.start in known])
    runs = [[(x(middle(point)), y(known[point.start])) for point in group] for group in groups]
    # A lone point is a line of no length, which round ends make a dot.
    path = "".join(f"M{_through(run)}" + (f"L{_through(run)}" if len(run) == 1 else "") for run in runs)
    return tag("path", d=path, class_=f"line {kind}")


def ribbon(points: Sequence[StatsWindow], x: Scale, y: Scale, low: Measure, high: Measure, kind: str) -> Html:
    """What is between two lines."""
    path = ""
    for group in unbroken([point for point in points if None not in (low(point), high(point))]):
        there = [(x(middle(point)), y(low(point) or 0.0)) for point in group]
        back = [(x(middle(point)), y(high(point) or 0.0)) for point in reversed(group)]
        path += f"M{_through([*there, *back])}Z"
    return tag("path", d=path, class_=f"ribbon {kind}")


def bar(start: float, end: float, floor: float, top: float) -> str:
    return f"M{start:.1f} {floor:.1f}V{top:.1f}H{end:.1f}V{floor:.1f}Z"


def _through(places: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{across:.1f} {down:.1f}" for across, down in places)
