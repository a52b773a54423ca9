"""Whether Redis's own clock was set, as far as a process can tell."""

from __future__ import annotations

import logging

import pytest

from shardroute.timing import RedisClock

ANSWERS: dict[str, tuple[list[tuple[float, float, float]], float]] = {
    "it goes on as ours does": ([(1000, 10, 10.1), (1005, 15, 15.1)], 0.0),
    "a slow answer explains what it seems to have lost": ([(1000, 10, 10.1), (1005, 15, 75)], 0.0),
    "a slow answer before explains what it seems to have gained": ([(1000, 10, 70), (1065, 75, 75.1)], 0.0),
    "it was set forward": ([(1000, 10, 10), (1065, 15, 15)], 60.0),
    "it was set back": ([(1000, 10, 10), (945, 15, 15)], -60.0),
    "a small step": ([(1000, 10, 10), (1005.5, 15, 15)], 0.5),
}


@pytest.mark.parametrize(("answers", "step"), ANSWERS.values(), ids=ANSWERS)
def test_a_step_is_what_neither_answer_explains_and_a_large_one_is_logged(
    answers: list[tuple[float, float, float]], step: float, caplog: pytest.LogCaptureFixture
) -> None:
    clock = RedisClock()
    with caplog.at_level(logging.WARNING):
        [first, second] = [clock.heard(*answer) for answer in answers]
    assert first == 0.0
    assert second == pytest.approx(step)
    assert len(caplog.records) == (abs(step) >= 1)


def test_an_answer_without_a_clock_says_nothing() -> None:
    clock = RedisClock()
    assert clock.heard(None, 1, 2) == 0.0
    assert clock.heard(5, 2, 3) == 0.0
