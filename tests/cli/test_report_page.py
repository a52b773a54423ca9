from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest

from shardroute.comparisons import PHASE, Comparison, Example, StatsWindow
from shardroute.gates import Gates
from shardroute.phases import Phase, Side
from shardroute.report.frames import holds, phases
from shardroute.report.gates import judged as judged_gates
from shardroute.report.gates import verdict
from shardroute.report.markup import Html, tag
from shardroute.report.page import MOST_POINTS, page, thinned
from shardroute.report.scales import (
    Scale,
    duration,
    log_range,
    log_ticks,
    round_ticks,
    span,
    spread,
    time_ticks,
)
from shardroute.statistics import Events, Tally, added

from ..browser.comparisons import WINDOW, empty, judged, realistic

HOSTILE = """<script>alert("x")</script>' onload='alert(1)' --> & </style></title>"""
WEEK = 60_480
GEOMETRY = ("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height")  # where neither nan nor inf must be
MEASURED = [gate.name for gate in fields(Gates) if gate.name not in ("soak", "patience")]


class Read(HTMLParser):
    """What is in a page: how many elements of each name, all attributes, all text, and the rows of tables."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.rows: list[list[tuple[str | None, str]]] = []
        self._in_cell = False
        self.feed(document)

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[name] += 1
        self.attributes += attrs
        if name == "tr":
            self.rows.append([])
        if name in ("td", "th"):
            self.rows[-1].append((dict(attrs).get("class"), ""))
            self._in_cell = True

    def handle_startendtag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(name, attrs)

    def handle_endtag(self, name: str) -> None:
        self._in_cell = self._in_cell and name not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_cell:
            kind, words = self.rows[-1][-1]
            self.rows[-1][-1] = (kind, words + data)


def window(counts: Mapping[str, int] | Tally, number: int = 0) -> StatsWindow:
    tally = counts if isinstance(counts, Tally) else Tally(counts)
    return StatsWindow(1000.0 + number * WINDOW, WINDOW, tally)


def example(primary: tuple[str, ...], other: tuple[str, ...]) -> Example:
    return Example("0123456789ab", 0.5, 1000.0, Phase.DUAL_OLD, len(primary), primary, other, 0.01, None)


# -- what is told ----------------------------------------------------------------------------------------------


def test_there_are_words_for_every_gate_and_the_value_that_the_gates_found() -> None:
    strict = Gates(samples=10**9, recall=1, recall_p5=1, latency_ratio=0.01, error_rate=1e-6)
    report = judged(replace(realistic(), gates=strict))
    told = judged_gates(report, report.tally)
    assert [breach.gate for breach in report.breaches] == MEASURED
    assert [gate.broken for gate in told] == [True] * len(MEASURED)
    assert not {gate.words for gate in told} & set(MEASURED)
    for gate, breach in zip(told, report.breaches, strict=True):
        assert float(gate.found.replace(",", "")) == pytest.approx(breach.found, rel=1e-3)


def test_a_gate_of_which_nothing_is_known_neither_holds_nor_does_not() -> None:
    report = replace(empty(), gates=Gates(recall=0.9))
    (gate,) = judged_gates(report, report.tally)
    assert (gate.found, gate.holds, gate.broken) == ("—", "unknown", False)


def seen(**events: int) -> Comparison:
    """Ten comparisons that agreed, with these events."""
    whole = {"compared": 10, "recall/100": 10, "sum/recall": 10_000_000} | events
    return replace(empty(), windows=[window(whole)])


@pytest.mark.parametrize(
    ("report", "tone", "headline"),
    [
        (empty(), "open", "Nothing was compared yet"),
        (replace(empty(), gates=Gates(samples=5)), "open", "Too few comparisons to judge by"),
        (seen(), "open", "No gate is set, so nothing was judged"),
        (replace(seen(), gates=Gates(recall=0.9)), "good", "Every gate that could be judged holds"),
        (replace(seen(), gates=Gates(samples=50, error_rate=0.1)), "open", "Too few comparisons to judge by"),
        (
            replace(seen(**{"sum/recall": 5_000_000}), gates=Gates(recall=0.9)),
            "bad",
            "1 gate does not hold",
        ),
        (seen(breach=2), "bad", "Alarm: 2 breaches, records of another tenant in answers"),
    ],
)
def test_the_verdict_is_the_worst_that_there_is_to_say(report: Comparison, tone: str, headline: str) -> None:
    report = judged(report)
    found = verdict(report, report.tally)
    assert (found.tone, found.headline) == (tone, headline)
    assert headline in Read(page(report)).text


def test_breaches_stand_out_among_the_counts() -> None:
    assert '<tr class="bad"><th scope="row">breaches' in page(judged(seen(breach=1)))
    assert '<tr class="bad"><th scope="row">breaches' not in page(seen())


def test_ids_are_set_side_by_side_and_marked_where_they_differ() -> None:
    report = replace(empty(), examples=[example(("a", "b", "c", "d"), ("a", "c", "b"))])
    rows = [row for row in Read(page(report)).rows if row[0][0] == "rank"][1:]
    assert rows == [
        [("rank", "1"), ("same", "a"), ("same", "a")],
        [("rank", "2"), ("moved", "↕b"), ("moved", "↕c")],
        [("rank", "3"), ("moved", "↕c"), ("moved", "↕b")],
        [("rank", "4"), ("absent", "✗d"), ("muted", "—")],
    ]


def test_of_long_answers_the_rest_is_counted() -> None:
    ids = tuple(map(str, range(30)))
    report = replace(empty(), examples=[example(ids, (*ids[:28], "x", "y"))])
    assert "10 more ranks, of which 2 differ." in Read(page(report)).text


@pytest.mark.parametrize(("phase", "answering"), [(Phase.DUAL_OLD, "old"), (Phase.DUAL_NEW, "new")])
def test_the_cluster_that_answered_an_example_is_named_first(phase: Phase, answering: str) -> None:
    report = replace(empty(), examples=[replace(example(("a",), ("b",)), phase=phase)])
    heads = next(row for row in Read(page(report)).rows if row[0] == ("rank", "#"))
    assert [words.split()[0] for _, words in heads[1:]] == [answering, Side(answering).other]


def test_without_anything_known_it_says_so_and_draws_nothing() -> None:
    read = Read(page(empty()))
    assert read.elements["svg"] == 0
    for words in (
        "No query was answered yet.",
        "Nothing was compared yet.",
        "No query failed.",
        "No gate is set.",
    ):
        assert words in read.text


@pytest.mark.parametrize(
    ("counts", "plots"),
    [
        ({"latency/old/40": 1}, 3),
        ({"latency/new/0": 1, "latency/new/160": 1}, 3),
        ({"error/new/Timeout": 1}, 2),
        ({"recall/0": 1, "compared": 1}, 3),
        ({"recall/100": 1, "sum/recall": 1_000_000}, 3),
        ({"shed": 4}, 0),
    ],
)
def test_one_count_of_one_kind_is_drawn(counts: dict[str, int], plots: int) -> None:
    read = Read(page(replace(empty(), windows=[window(counts)])))
    assert read.elements["svg"] == plots
    assert not [value for name, value in read.attributes if name in GEOMETRY and "n" in (value or "")]


def test_a_window_of_no_length_is_drawn() -> None:
    instant = replace(window({"latency/old/40": 1}), seconds=0.0)
    assert Read(page(replace(empty(), windows=[instant]))).elements["svg"] == 3


# -- what it must not do ---------------------------------------------------------------------------------------


def test_nothing_from_data_becomes_markup() -> None:
    clean = realistic()
    odd = Example(HOSTILE, 2.0, 1000.0, Phase.DUAL_OLD, 1, (HOSTILE,), (HOSTILE + "2",), 0.01, 0.01, HOSTILE)
    failed = Tally({f"error/new/{HOSTILE}": 3})
    windows = [*clean.windows, replace(clean.windows[-1], tally=failed)]
    hostile = replace(clean, tenant=HOSTILE, old=HOSTILE, new=HOSTILE, examples=[odd], windows=windows)
    read, harmless = Read(page(hostile)), Read(page(_harmless(hostile)))
    assert read.elements == harmless.elements
    assert {name for name, _ in read.attributes} == {name for name, _ in harmless.attributes}
    assert read.elements["script"] == 0
    assert read.text.count(HOSTILE) >= 6


def _harmless(hostile: Comparison) -> Comparison:
    """The same with other words."""
    failed = replace(hostile.windows[-1], tally=Tally({"error/new/Kind": 3}))
    odd = replace(hostile.examples[0], digest="x", primary_ids=("a",), other_ids=("b",), note="note")
    windows = [*hostile.windows[:-1], failed]
    return replace(hostile, tenant="t", old="o", new="n", examples=[odd], windows=windows)


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    assert tag("p", "<b>", Html("<i>"), title='"&') == '<p title="&quot;&amp;">&lt;b&gt;<i></p>'


def test_no_id_is_given_twice() -> None:
    names = [value for name, value in Read(page(realistic())).attributes if name == "id"]
    assert names
    assert len(names) == len(set(names))


def test_a_week_is_less_than_two_megabytes() -> None:
    some = realistic().windows
    week = [StatsWindow(WINDOW * number, WINDOW, some[number % len(some)].tally) for number in range(WEEK)]
    assert len(page(replace(realistic(), windows=week)).encode()) < 2_000_000


# -- thinning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 5_000])
def test_thinning_loses_no_count(count: int) -> None:
    windows = [window({"compared": number}, number) for number in range(count)]
    points = thinned(windows)
    assert len(points) <= MOST_POINTS
    assert added(point.tally for point in points).counts == added(each.tally for each in windows).counts
    assert points == sorted(points, key=lambda point: point.start)


def test_few_windows_are_left_as_they_are() -> None:
    windows = [window({"compared": 1}, number) for number in (0, 1, 5, 6)]
    assert [(each.start, each.seconds) for each in thinned(windows)] == [
        (each.start, each.seconds) for each in windows
    ]


def test_a_short_hold_is_marked_and_does_not_hide_its_phase() -> None:
    held = {f"{PHASE}/DUAL_OLD": 1, f"{PHASE}/HOLD_OLD": 5}
    points = [window({f"{PHASE}/DUAL_OLD": 9}), window(held, 1), window({f"{PHASE}/DUAL_NEW": 9}, 2)]
    assert [(one.phase, one.start) for one in phases(points)] == [
        (Phase.DUAL_OLD, 1000.0),
        (Phase.DUAL_NEW, 1020.0),
    ]
    assert [(hold.start, hold.end) for hold in holds(points)] == [(1010.0, 1020.0)]


def test_writes_that_waited_mark_a_hold_also_without_queries() -> None:
    assert len(holds([window({Events.HELD: 1})])) == 1


def test_a_phase_ends_where_nothing_is_known() -> None:
    points = [window({f"{PHASE}/OLD": 1}, number) for number in (0, 1, 7)]
    assert [(one.start, one.end) for one in phases(points)] == [(1000.0, 1020.0), (1070.0, 1080.0)]


# -- scales ----------------------------------------------------------------------------------------------------


def test_a_scale_keeps_to_its_edges() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(value) for value in (0, 1, 10, 100, 1e9)] == [0, 0, 100, 200, 200]


@pytest.mark.parametrize("values", [[0.0], [0.02, 0.02], [1e-4, 90.0]])
def test_a_range_holds_its_values_and_at_least_two_ticks(values: list[float]) -> None:
    low, high = log_range(values, 1e-4)
    assert low <= max(min(values), 1e-4) <= max(values) <= high or max(values) == 0
    assert 2 <= len(log_ticks(low, high)) <= 9


@pytest.mark.parametrize("seconds", [10, 60, 3_600, 86_400, 604_800, 31_536_000])
def test_times_have_a_few_round_ticks(seconds: float) -> None:
    ticks = time_ticks(1_772_000_003.0, 1_772_000_003.0 + seconds, 10)
    assert 2 <= len(ticks) <= 11
    assert len({label for _, label in ticks}) == len(ticks)


def test_midnight_is_told_by_its_date() -> None:
    assert ("02-26" in [label for _, label in time_ticks(1_772_000_000.0, 1_772_086_400.0, 10)]) is True


@pytest.mark.parametrize(("low", "high"), [(0, 0.3), (0.9, 1.0), (0, 37), (0.5, 1.0)])
def test_round_ticks_stay_in_the_range(low: float, high: float) -> None:
    ticks = round_ticks(low, high, 6)
    assert 3 <= len(ticks) <= 7
    assert low - 1e-9 <= min(ticks)
    assert max(ticks) <= high + 1e-9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 µs"),
        (0.0001, "100 µs"),
        (0.0123, "12.3 ms"),
        (0.1234, "123 ms"),
        (2.5, "2.5 s"),
        (120, "120 s"),
    ],
)
def test_durations_have_three_digits_and_a_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(60, "1 minute"), (5_400, "1.5 hours"), (604_800, "7 days")])
def test_spans_are_told_in_their_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_names_that_are_too_close_move_apart_and_keep_their_order() -> None:
    assert spread([50, 52, 10], 14, 0, 60) == [46, 60, 10]
