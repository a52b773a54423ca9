"""The page of a comparison: one file that asks for nothing, to be kept, mailed and printed. Pure.

Its security policy forbids every request and every script, so that not even a mistake in escaping could make one.
"""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from math import ceil

from ..comparisons import Comparison, StatsWindow
from ..phases import EFFECTS, Side
from ..statistics import Events, Shares, Tally, added
from .frames import HALF, NARROW, WIDE, Size
from .gates import Verdict, judged, verdict
from .markup import Html, joined, tag
from .plots import (
    QUANTILES,
    agreement_over_time,
    errors_over_time,
    latency_distribution,
    latency_over_time,
    recall_distribution,
)
from .queries import worst_queries
from .scales import duration, moment, span
from .style import STYLE

MOST_POINTS, MOST_NARROW_POINTS = 360, 120
"""More are not told apart on a screen, and make the file large."""

Draw = Callable[[Sequence[StatsWindow], Size], Html | None]

_SHORTEST = 0.001  # seconds of a window: that of a replay may have taken no time at all
_NOT_COMPARED = "Nothing was compared yet."


def page(report: Comparison) -> str:
    """The whole document. Tenants, clusters, kinds of errors and ids may hold anything: all are escaped."""
    policy = f"default-src 'none'; style-src '{_fingerprint(STYLE)}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{report.tenant}: the two paths compared"),
        tag("style", STYLE),
    )
    points = thinned(report.windows)
    seen = added(point.tally for point in points)
    body = tag(
        "body", tag("main", _top(report, seen), *_sections(report, points, seen)), _footer(report, points)
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def thinned(windows: Sequence[StatsWindow], most: int = MOST_POINTS) -> list[StatsWindow]:
    """At most `most` windows, each of as many of the given ones as lie in it; those without any are left out."""
    if not windows:
        return []
    start, end = min(each.start for each in windows), max(each.start + each.seconds for each in windows)
    longest = max(*(each.seconds for each in windows), _SHORTEST)
    seconds = longest * max(1, ceil((end - start) / most / longest))
    slots: dict[int, list[Tally]] = defaultdict(list)
    for each in windows:
        slots[min(int((each.start - start) / seconds + 1e-6), most - 1)].append(each.tally)
    return [StatsWindow(start + slot * seconds, seconds, added(slots[slot])) for slot in sorted(slots)]


def _fingerprint(style: str) -> str:
    return f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}"


# -- the top ---------------------------------------------------------------------------------------------------


def _top(report: Comparison, seen: Tally) -> Html:
    return joined(
        [
            tag(
                "header",
                tag("h1", report.tenant),
                tag(
                    "p",
                    *("From ", _key(Side.OLD, report), " to ", _key(Side.NEW, report)),
                    class_="lead",
                ),
                tag(
                    "p",
                    f"In {report.phase}: the {EFFECTS[report.phase].primary} cluster answers.",
                    class_="lead",
                ),
                tag("p", _extent(report), class_="lead"),
            ),
            _verdict(verdict(report, seen)),
            tag(
                "div",
                tag(
                    "div",
                    tag("section", tag("h2", "Gates"), _gates(report, seen)),
                    tag("section", tag("h2", "Both paths"), _paths(report, seen)),
                ),
                tag("section", tag("h2", "Counts"), _counts(seen)),
                class_="columns-2",
            ),
        ]
    )


def _key(side: Side, report: Comparison) -> Html:
    name = tag("span", _clusters(report)[side], class_=f"side-{side}")
    return joined([tag("span", class_=f"key {side}"), name, f" ({side})"])


def _keys(report: Comparison) -> list[str]:
    return [_key(Side.OLD, report), ", ", _key(Side.NEW, report), ". "]


def _clusters(report: Comparison) -> Mapping[Side, str]:
    return {Side.OLD: report.old, Side.NEW: report.new}


def _extent(report: Comparison) -> str:
    made = f"Made {moment(report.made_at)} UTC"
    if not report.windows:
        return f"{made}."
    start = min(window.start for window in report.windows)
    end = max(window.start + window.seconds for window in report.windows)
    return f"{made}, of {span(end - start)} from {moment(start)}."


def _verdict(found: Verdict) -> Html:
    details = [tag("p", line) for line in found.details]
    return tag(
        "section",
        tag("p", tag("span", found.headline, class_="word")),
        *details,
        class_=f"verdict {found.tone}",
    )


def _gates(report: Comparison, seen: Tally) -> Html:
    gates = judged(report, seen)
    if not gates:
        return tag("p", "No gate is set.", class_="muted")
    rows = [
        _row(gate.words, gate.found, gate.limit, gate.holds, kind="bad" if gate.broken else None)
        for gate in gates
    ]
    return _table(("what", "found", "limit", "holds"), rows)


def _counts(seen: Tally) -> Html:
    counts = [
        ("queries compared", seen.count(Events.COMPARED)),
        ("of them the same ids in another order", seen.count(Events.REORDERED)),
        ("of them with differing metadata", seen.count(Events.METADATA)),
        ("fetches compared", seen.count(Events.FETCHED)),
        ("records that one side lacked", seen.count(Events.MISSING)),
        ("records that differed", seen.count(Events.DIFFERING)),
        ("comparisons shed, for want of room or time", seen.count(Events.SHED)),
        ("writes that waited in a hold", seen.count(Events.HELD)),
    ]
    rows = [_row(words, f"{count:,}") for words, count in counts]
    foreign = seen.count(Events.BREACH)
    rows.append(_row("breaches: records of another tenant", f"{foreign:,}", kind="bad" if foreign else None))
    return _table(("what", "count"), rows)


def _paths(report: Comparison, seen: Tally) -> Html:
    latencies = [seen.latency(side) for side in Side]
    rates = [seen.error_rate(side) for side in Side]
    rows = [
        _row("answers", *(f"{latency.count:,}" for latency in latencies)),
        *(
            _row(f"latency, {name}", *(_known(latency.quantile(share), duration) for latency in latencies))
            for name, share in QUANTILES.items()
        ),
        _row("errors", *(f"{sum(seen.errors(side).values()):,}" for side in Side)),
        _row("error rate", *(_known(rate, "{:.3%}".format) for rate in rates)),
    ]
    return _table(("queries", *(_key(side, report) for side in Side)), rows)


def _known(value: float | None, written: Callable[[float], str]) -> str:
    return "—" if value is None else written(value)


# -- the plots -------------------------------------------------------------------------------------------------


def _sections(report: Comparison, points: Sequence[StatsWindow], seen: Tally) -> list[Html]:
    return [
        _latency(report, points, seen),
        _agreement(report, points, seen),
        tag("div", *_distributions(report, seen), class_="columns-2"),
        _errors(points),
        _worst(report),
    ]


def _latency(report: Comparison, points: Sequence[StatsWindow], seen: Tally) -> Html:
    caption = "Strong lines are p50, fine ones p95; the band is the tenant's phase."
    plots = _drawn(latency_over_time, points) if _answered(seen) else []
    return _section("Latency over time", [*_keys(report), caption], plots, "No query was answered yet.")


def _agreement(report: Comparison, points: Sequence[StatsWindow], seen: Tally) -> Html:
    floor, gate = seen.share(Shares.FLOOR).mean, report.gates.recall
    compared = seen.share(Shares.RECALL).count
    plots = _drawn(partial(agreement_over_time, floor=floor, gate=gate), points) if compared else []
    caption = (
        "Recall is the share of an answer's matches that the other cluster found as well. The noise floor is how far "
        "the cluster that answers agrees with itself, asked twice."
    )
    return _section("Agreement over time", [caption], plots, _NOT_COMPARED)


def _distributions(report: Comparison, seen: Tally) -> list[Html]:
    latencies, recall = {side: seen.latency(side) for side in Side}, seen.share(Shares.RECALL)
    by_latency = [latency_distribution(latencies, HALF)] if _answered(seen) else []
    by_recall = [recall_distribution(recall, HALF)] if recall.count else []
    return [
        _section("Latencies", _keys(report), by_latency, "No query was answered yet."),
        _section(
            "Recall", ["Comparisons by recall; few bad ones can be seen too."], by_recall, _NOT_COMPARED
        ),
    ]


def _errors(points: Sequence[StatsWindow]) -> Html:
    plots = _drawn(errors_over_time, points) if points else []
    return _section(
        "Errors over time", ["Failed queries by kind, all rows to one scale."], plots, "No query failed."
    )


def _worst(report: Comparison) -> Html:
    if not report.examples:
        return _section("Worst queries", [], [], "No comparison went badly enough to be kept.")
    legend = (
        "Both answers, as far as they are kept, rank by rank. ✗: the other one does not have it. ↕: it has it at "
        "another rank. A query is named by a fingerprint that says nothing about it."
    )
    queries = worst_queries(report.examples, _clusters(report))
    return tag("section", tag("h2", "Worst queries"), tag("p", legend, class_="lead"), queries)


def _answered(seen: Tally) -> bool:
    return any(seen.latency(side).count for side in Side)


def _drawn(draw: Draw, points: Sequence[StatsWindow]) -> list[Html]:
    """Once for wide and once for narrow screens: the style sheet shows the one that fits."""
    sizes = {WIDE: points, NARROW: thinned(points, MOST_NARROW_POINTS)}
    return [plot for size, those in sizes.items() if (plot := draw(those, size)) is not None]


def _section(title: str, caption: Sequence[str], plots: Sequence[Html], otherwise: str) -> Html:
    if not plots:
        return tag("section", tag("h2", title), tag("p", otherwise, class_="muted"))
    return tag("section", tag("h2", title), tag("figure", tag("figcaption", *caption), *plots))


# -- parts -----------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Sequence[Html]) -> Html:
    first, *others = heads
    names = [
        tag("th", first, scope="col"),
        *(tag("th", head, scope="col", class_="number") for head in others),
    ]
    return tag("div", tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows)), class_="scroll")


def _row(name: str, *cells: str, kind: str | None = None) -> Html:
    return tag("tr", tag("th", name, scope="row"), *(_number(cell) for cell in cells), class_=kind)


def _number(words: str) -> Html:
    return tag("td", words, class_="number")


def _footer(report: Comparison, points: Sequence[StatsWindow]) -> Html:
    merged = len(points) < len(report.windows)
    told = f"{len(report.windows):,} windows of time are drawn as {len(points):,} points. " if merged else ""
    return tag(
        "footer", f"{told}Latencies are told by bucket and are too low by a twelfth at most. Times are UTC."
    )
