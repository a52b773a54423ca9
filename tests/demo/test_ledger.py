"""The checker can fail: each fault is told apart, and what is allowed is let pass."""

from __future__ import annotations

import pytest

from shardroute.demo.ledger import Attempt, Fault, Key, Look, Verb, judge, judge_one

KEY = Key("asyncio", "note-0-1")


def upsert(version: int, began: float, acknowledged: float | None) -> Attempt:
    return Attempt(KEY, Verb.UPSERT, version, began, acknowledged)


def update(version: int, began: float, acknowledged: float | None) -> Attempt:
    return Attempt(KEY, Verb.UPDATE, version, began, acknowledged)


def delete(version: int, began: float, acknowledged: float | None) -> Attempt:
    return Attempt(KEY, Verb.DELETE, version, began, acknowledged)


def at_the_end(version: int | None, base: int | None = None) -> Look:
    base = version if base is None else base
    return Look(KEY, 100.0, 100.1, version, base, final=True)


def meanwhile(began: float, ended: float, version: int | None) -> Look:
    return Look(KEY, began, ended, version, version)


def lagging(began: float, version: int | None, *, lag: float = 2.0) -> Look:
    """On a cluster whose reads are behind writes by `lag` seconds at the most."""
    return Look(KEY, began, began + 0.1, version, version, lag=lag)


ALLOWED = {
    "nothing was written": ([], at_the_end(None)),
    "the last write": ([upsert(1, 0, 1), upsert(2, 2, 3)], at_the_end(2)),
    "an update on its record": ([upsert(1, 0, 1), update(2, 2, 3)], at_the_end(2, base=1)),
    "a delete": ([upsert(1, 0, 1), delete(2, 2, 3)], at_the_end(None)),
    "written again after a delete": ([upsert(1, 0, 1), delete(2, 2, 3), upsert(3, 4, 5)], at_the_end(3)),
    "an unacknowledged last write, taken effect": ([upsert(1, 0, 1), upsert(2, 2, None)], at_the_end(2)),
    "an unacknowledged last write, without effect": ([upsert(1, 0, 1), upsert(2, 2, None)], at_the_end(1)),
    "an unacknowledged delete, taken effect": ([upsert(1, 0, 1), delete(2, 2, None)], at_the_end(None)),
    "an unacknowledged delete, without effect": ([upsert(1, 0, 1), delete(2, 2, None)], at_the_end(1)),
    "an unacknowledged first write, without effect": ([upsert(1, 0, None)], at_the_end(None)),
    "overlapping writes, the first": ([upsert(1, 0, 3), upsert(2, 1, 2)], at_the_end(1)),
    "overlapping writes, the second": ([upsert(1, 0, 3), upsert(2, 1, 2)], at_the_end(2)),
    "an update that overlaps an upsert, before it": (
        [upsert(1, 0, 1), update(2, 2, 4), upsert(3, 3, 5)],
        at_the_end(3),
    ),
    "an update that overlaps an upsert, after it": (
        [upsert(1, 0, 1), update(2, 2, 4), upsert(3, 3, 5)],
        at_the_end(2, base=3),
    ),
    "a look before a write ended": ([upsert(1, 0, 1), upsert(2, 2, 6)], meanwhile(3, 4, 1)),
    "a look at a write that goes on": ([upsert(1, 0, 1), upsert(2, 2, 6)], meanwhile(3, 4, 2)),
    "a look that a whole write falls into": ([upsert(1, 0, 1), upsert(2, 3, 4)], meanwhile(2, 5, 1)),
    "a look before the first write ended": ([upsert(1, 0, 5)], meanwhile(1, 2, None)),
    "what was true a lag ago": ([upsert(1, 0, 1), upsert(2, 4, 5)], lagging(6.9, 1)),
    "what is true now, on a cluster that could lag": ([upsert(1, 0, 1), upsert(2, 4, 5)], lagging(5.1, 2)),
    "anything between then and now": ([upsert(1, 0, 1), update(2, 4, 5), delete(3, 6, 6.5)], lagging(6.8, None)),
    "an own write unread, within the lag": ([upsert(1, 0, 1)], lagging(2.9, None)),
    "a delete unseen, within the lag": ([upsert(1, 0, 1), delete(2, 4, 5)], lagging(6.9, 1)),
}  # fmt: skip

FORBIDDEN = {
    "a lost write": ([upsert(1, 0, 1)], at_the_end(None), Fault.MISSING),
    "a lost write after a delete": ([delete(1, 0, 1), upsert(2, 2, 3)], at_the_end(None), Fault.MISSING),
    "a write gone back": ([upsert(1, 0, 1), upsert(2, 2, 3)], at_the_end(1), Fault.SUPERSEDED),
    "an update gone back": ([upsert(1, 0, 1), update(2, 2, 3)], at_the_end(1), Fault.SUPERSEDED),
    "an update on the record before": (
        [upsert(1, 0, 1), upsert(2, 2, 3), update(3, 4, 5)],
        at_the_end(3, base=1),
        Fault.SUPERSEDED,
    ),
    "a superseded shared write": (
        [upsert(1, 0, 2), upsert(2, 1, 3), upsert(3, 4, 5)],
        at_the_end(1),
        Fault.SUPERSEDED,
    ),
    "a delete undone": ([upsert(1, 0, 1), delete(2, 2, 3)], at_the_end(1), Fault.RESURRECTED),
    "two deletes undone": (
        [upsert(1, 0, 1), delete(2, 2, 4), delete(3, 3, 5)],
        at_the_end(1),
        Fault.RESURRECTED,
    ),
    "what nobody wrote": ([upsert(1, 0, 1)], at_the_end(7), Fault.UNHEARD_OF),
    "a write that had not begun": ([upsert(1, 0, 1), upsert(2, 9, 10)], meanwhile(3, 4, 2), Fault.UNHEARD_OF),
    "a stale look": ([upsert(1, 0, 1), upsert(2, 2, 3)], meanwhile(4, 5, 1), Fault.SUPERSEDED),
    "own writes unread": ([upsert(1, 0, 1)], meanwhile(2, 3, None), Fault.MISSING),
    "what was true longer ago than the lag": (
        [upsert(1, 0, 1), upsert(2, 4, 5)],
        lagging(7.1, 1),
        Fault.SUPERSEDED,
    ),
    "what the write before the lag had replaced": (
        [upsert(1, 0, 1), upsert(2, 2, 3), upsert(3, 6, 6.5)],
        lagging(7, 1),
        Fault.SUPERSEDED,
    ),
    "an own write unread for longer than the lag": ([upsert(1, 0, 1)], lagging(3.1, None), Fault.MISSING),
    "a delete unseen for longer than the lag": (
        [upsert(1, 0, 1), delete(2, 4, 5)],
        lagging(7.1, 1),
        Fault.RESURRECTED,
    ),
    "what nobody wrote, within the lag": ([upsert(1, 0, 1)], lagging(1.5, 7), Fault.UNHEARD_OF),
    "an unacknowledged write does not excuse a loss": (
        [upsert(1, 0, 1), upsert(2, 2, None)],
        at_the_end(None),
        Fault.MISSING,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("history", "look"), ALLOWED.values(), ids=ALLOWED)
def test_allowed(history: list[Attempt], look: Look) -> None:
    assert judge_one(history, look) is None


@pytest.mark.parametrize(("history", "look", "fault"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_forbidden(history: list[Attempt], look: Look, fault: Fault) -> None:
    finding = judge_one(history, look)
    assert finding is not None
    assert finding.fault is fault


def test_keys_are_judged_apart() -> None:
    other = Attempt(Key("email", KEY.id), Verb.UPSERT, 9, 0, 1)
    findings = list(judge([upsert(1, 0, 1), other], [at_the_end(9), at_the_end(1)]))
    assert [finding.look.version for finding in findings] == [9]


def test_a_finding_names_the_record_and_what_it_should_be() -> None:
    (finding,) = judge([upsert(1, 0, 1), delete(2, 2, 3)], [at_the_end(1)])
    assert (
        str(finding)
        == "asyncio/note-0-1 deleted, and back: at the end there was version 1, it should be nothing"
    )


def test_at_the_end_there_is_no_lag() -> None:
    """The clusters have caught up by then: a write that is missing a moment after its end is lost."""
    history = [upsert(1, 0, 1), upsert(2, 99.8, 99.9)]
    (finding,) = judge(history, [at_the_end(1)])
    assert finding.fault is Fault.SUPERSEDED
    assert judge_one(history, at_the_end(1)._replace(final=False, lag=2.0)) is None
