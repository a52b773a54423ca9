"""The page of a comparison as a browser shows it. Pictures of it are left in the folders of two of the tests."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import median

import pytest

from shardroute.comparisons import Comparison
from shardroute.report import page
from shardroute.report.frames import WIDE as WIDE_PLOT

from .chromium import VARIABLE, Chromium, found_browser
from .comparisons import empty, realistic

WIDE, NARROW = 1200, 400
READABLE = 4.5  # contrast of text (WCAG 2.2, 1.4.3)

_SHOWN = "[...document.querySelectorAll('svg.plot')].filter(plot => plot.checkVisibility())"
_TEXTS = f"""{_SHOWN}.flatMap((plot, number) => [...plot.querySelectorAll('text')].map(text => {{
  const box = text.getBoundingClientRect();
  return [number, text.textContent, box.left, box.top, box.right, box.bottom];
}}))"""
_COLOURS = """[...document.querySelectorAll('p, th, td, h1, h2, h3, footer, svg text')]
  .filter(element => element.checkVisibility() && element.textContent)
  .map(element => {
    const style = getComputedStyle(element), card = element.closest('.verdict') || document.body;
    const ink = element.matches('text') ? style.fill : style.color;
    return [element.textContent, ink, getComputedStyle(card).backgroundColor];
  })"""


def opened(
    browser: Chromium, folder: Path, report: Comparison, *, width: int = WIDE, dark: bool = False
) -> None:
    file = folder / "page.html"
    file.write_text(page(report), encoding="utf-8")
    browser.open(file, width=width, dark=dark)


@pytest.mark.parametrize(("width", "kind"), [(WIDE, "wide"), (NARROW, "narrow")])
def test_every_plot_is_shown_once_in_the_size_that_fits(
    browser: Chromium, tmp_path: Path, width: int, kind: str
) -> None:
    opened(browser, tmp_path, realistic(), width=width)
    shown = browser.value(f"{_SHOWN}.map(plot => plot.querySelector('title').id)")
    assert shown == [
        f"latency-time-{kind}-title",
        f"agreement-time-{kind}-title",
        "latency-spread-half-title",
        "recall-spread-half-title",
        f"errors-time-{kind}-title",
    ]
    assert browser.value(f"{_SHOWN}.every(plot => plot.getBoundingClientRect().height > 150)")
    assert browser.picture(tmp_path / f"{kind}.png").stat().st_size > 100_000


def test_lines_and_areas_are_drawn(browser: Chromium, tmp_path: Path) -> None:
    opened(browser, tmp_path, realistic())
    shapes = f"{_SHOWN}.flatMap(plot => [...plot.querySelectorAll('path')])"
    assert browser.value(f"{shapes}.length") == 15
    assert browser.value(f"Math.min(...{shapes}.map(path => path.getTotalLength()))") > 20


def test_a_step_in_latency_and_a_dip_in_agreement_can_be_seen(browser: Chromium, tmp_path: Path) -> None:
    opened(browser, tmp_path, realistic())
    before, after = _heights(browser, "old.p50", 0.0, 0.16), _heights(browser, "old.p50", 0.17, 1.0)
    assert median(before) - median(after) > 20  # pixels: heights count from the top
    usual, spell = _heights(browser, "agree.mean", 0.6, 1.0), _heights(browser, "agree.mean", 0.42, 0.52)
    assert median(spell) - median(usual) > 20


def _heights(browser: Chromium, line: str, first: float, last: float) -> list[float]:
    """Of the points of a line in a part of the hour."""
    drawn = browser.value(f"document.querySelector('.wide .line.{line}').getAttribute('d')")
    points = [tuple(map(float, point.split())) for point in re.split("[ML]", drawn) if point]
    start, end = WIDE_PLOT.left, WIDE_PLOT.end
    return [down for across, down in points if first <= (across - start) / (end - start) <= last]


@pytest.mark.parametrize("report", [realistic(), empty()], ids=["realistic", "empty"])
def test_it_asks_for_nothing_and_the_browser_has_nothing_to_complain_about(
    browser: Chromium, tmp_path: Path, report: Comparison
) -> None:
    opened(browser, tmp_path, report)
    assert browser.requests == [(tmp_path / "page.html").as_uri()]
    assert browser.complaints == []


def test_a_request_would_be_seen(browser: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "asking.html"
    file.write_text("<img src='http://elsewhere.example/x.png'>")
    browser.open(file)
    assert "http://elsewhere.example/x.png" in browser.requests


def test_its_policy_stops_what_escaping_would_have_missed(browser: Chromium, tmp_path: Path) -> None:
    leak = "<script>document.title = 'taken'</script><p id='styled' style='color: red'>x</p>"
    file = tmp_path / "page.html"
    file.write_text(page(realistic()).replace("</main>", f"{leak}</main>"), encoding="utf-8")
    browser.open(file)
    assert browser.value("document.title") == "acme: the two paths compared"
    assert len([words for words in browser.complaints if "Content Security Policy" in words]) == 2


def test_hostile_names_are_shown_as_they_are(browser: Chromium, tmp_path: Path) -> None:
    name = "<script>document.title = 'taken'</script>\"'"
    opened(browser, tmp_path, replace(realistic(), tenant=name))
    assert browser.value("document.title") == f"{name}: the two paths compared"
    assert browser.value("document.querySelector('h1').textContent") == name
    assert browser.value("document.scripts.length") == 0


@pytest.mark.parametrize("width", [NARROW, 600, 800, WIDE])
def test_nothing_is_wider_than_the_screen(browser: Chromium, tmp_path: Path, width: int) -> None:
    opened(browser, tmp_path, replace(realistic(), tenant="t" * 200, new="cluster" * 20), width=width)
    assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    widest = f"Math.max(...{_TEXTS}.map(text => text[4]))"
    assert browser.value(widest) <= browser.value("document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_words_of_a_plot_run_into_each_other(browser: Chromium, tmp_path: Path, width: int) -> None:
    opened(browser, tmp_path, realistic(), width=width)
    texts = browser.value(_TEXTS)
    assert len(texts) > 50
    assert [(one[1], two[1]) for one, two in combinations(texts, 2) if _overlapping(one, two)] == []


def _overlapping(one: list[float], two: list[float]) -> bool:
    """Boxes of the same plot; letters leave at least a quarter of a line's height free."""
    _, _, left, top, right, bottom = one
    slack = (bottom - top) / 4
    return (
        one[0] == two[0]
        and left < two[4]
        and two[2] < right
        and top + slack < two[5]
        and two[3] + slack < bottom
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_words_can_be_read(browser: Chromium, tmp_path: Path, dark: bool) -> None:
    opened(browser, tmp_path, realistic(), dark=dark)
    browser.picture(tmp_path / "page.png")
    found = browser.value(_COLOURS)
    assert (_brightness(found[0][2]) < 0.5) is dark
    assert [words for words, ink, paper in found if _contrast(ink, paper) < READABLE] == []


def _contrast(one: str, two: str) -> float:
    """Of two colours (WCAG 2.2, contrast ratio)."""
    low, high = sorted((_brightness(one), _brightness(two)))
    return (high + 0.05) / (low + 0.05)


def _brightness(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``."""
    parts = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- where there is no browser ---------------------------------------------------------------------------------


def test_without_a_browser_a_test_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=VARIABLE):
        found_browser()


def test_without_the_browser_that_is_named_a_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "no-such-browser")
    with pytest.raises(pytest.fail.Exception, match="no-such-browser"):
        found_browser()
