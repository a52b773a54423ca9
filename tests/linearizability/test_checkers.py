"""Both checkers know good histories from bad ones, and agree with each other and with plain searches."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence

import pytest

from . import porcupine
from .checker import check
from .explain import explained, smallest
from .history import Kind, Operation, Verdict, by_key, check_values_unique, of_line, to_lines

KEY = "acme/x"


def upsert(value: int, call: int, end: int | None = None) -> Operation:
    return Operation(KEY, Kind.UPSERT, value, call, end)


def update(value: int, call: int, end: int | None = None) -> Operation:
    return Operation(KEY, Kind.UPDATE, value, call, end)


def delete(call: int, end: int | None = None) -> Operation:
    return Operation(KEY, Kind.DELETE, None, call, end)


def read(value: int | None, call: int, end: int | None = None) -> Operation:
    return Operation(KEY, Kind.READ, value, call, end)


GOOD = {
    "nothing at all": [],
    "a record that was never written is absent": [read(None, 1, 2)],
    "a write is read": [upsert(1, 1, 2), read(1, 3, 4)],
    "a write under way is read, or not yet": [upsert(1, 1, 9), read(None, 2, 3), read(1, 4, 5)],
    "two writes at the same time, either order": [upsert(1, 1, 9), upsert(2, 1, 9), read(1, 10, 11)],
    "what touches in time may have overlapped": [upsert(1, 1, 2), upsert(2, 2, 3), read(1, 4, 5)],
    "deleted is absent": [upsert(1, 1, 2), delete(3, 4), read(None, 5, 6)],
    "an update of what is there": [upsert(1, 1, 2), update(2, 3, 4), read(2, 5, 6)],
    "an update of what is not there": [update(2, 1, 2), read(None, 3, 4)],
    "an update at the same time as an upsert": [upsert(1, 1, 9), update(2, 1, 9), read(2, 10, 11)],
    "an unknown write lands late": [upsert(1, 1), upsert(2, 3, 4), read(2, 5, 6), read(1, 50, 60)],
    "an unknown write never lands": [upsert(1, 1), upsert(2, 3, 4), read(2, 50, 60)],
    "an unknown delete lands late": [upsert(1, 1, 2), delete(3), read(1, 5, 6), read(None, 7, 8)],
    "an unknown delete never lands": [upsert(1, 1, 2), delete(3), read(1, 50, 60)],
    "an unknown upsert lets an update land": [upsert(1, 1), update(2, 3, 4), read(2, 5, 6)],
    "an unknown update lands late": [upsert(1, 1, 2), update(2, 3), read(1, 5, 6), read(2, 7, 8)],
    "an unknown read says nothing": [upsert(1, 1, 2), read(None, 3)],
    "two unknown deletes take two values": [
        *(delete(0), delete(0), upsert(1, 1, 2), read(None, 3, 4)),
        *(upsert(2, 5, 6), read(None, 7, 8)),
    ],
}

BAD = {
    "an acknowledged write is lost": [upsert(1, 1, 2), read(None, 3, 4)],
    "a stale read after the acknowledgement": [upsert(1, 1, 2), upsert(2, 3, 4), read(1, 5, 6)],
    "a write takes effect twice": [
        *(upsert(1, 1, 9), read(1, 2, 3), upsert(2, 4, 5)),
        *(read(2, 6, 7), read(1, 8, 10)),
    ],
    "an unknown write takes effect twice": [
        *(upsert(1, 1), read(1, 2, 3), upsert(2, 4, 5)),
        *(read(2, 6, 7), read(1, 8, 10)),
    ],
    "deleted comes back": [upsert(1, 1, 2), delete(3, 4), read(None, 5, 6), read(1, 7, 8)],
    "deleted comes back unseen": [upsert(1, 1, 2), delete(3, 4), read(1, 7, 8)],
    "reads go 1, 2, 1, 2": [
        *(upsert(1, 1, 2), upsert(2, 3, 4)),
        *(read(1, 5, 6), read(2, 7, 8), read(1, 9, 10), read(2, 11, 12)),
    ],
    "reads go 1, 2, 1, 2, both unknown": [
        *(upsert(1, 1), upsert(2, 1)),
        *(read(1, 5, 6), read(2, 7, 8), read(1, 9, 10), read(2, 11, 12)),
    ],
    "a read before its write": [read(1, 1, 2), upsert(1, 3, 4)],
    "a read of an unknown write before it": [read(1, 1, 2), upsert(1, 3)],
    "nobody wrote it": [upsert(1, 1, 2), read(7, 3, 4)],
    "an update brings back what was deleted": [
        *(upsert(1, 1, 2), delete(3, 4), update(2, 5, 6), read(2, 7, 8)),
    ],
    "an update is lost": [upsert(1, 1, 2), update(2, 3, 4), read(1, 5, 6)],
    "one unknown delete takes one value": [
        *(delete(0), upsert(1, 1, 2), read(None, 3, 4)),
        *(upsert(2, 5, 6), read(None, 7, 8)),
    ],
    "one unknown upsert lets one update land": [
        *(upsert(1, 0), update(2, 1, 2), read(2, 3, 4), delete(5, 6)),
        *(update(3, 7, 8), read(3, 9, 10)),
    ],
    "an unknown delete before the write it would take": [
        *(delete(1), read(None, 2, 3), upsert(1, 4, 5), read(1, 6, 7)),
        *(read(None, 8, 9), upsert(2, 10, 11), read(None, 12, 13)),
    ],
}

ALL = [
    *((history, Verdict.LINEARIZABLE, name) for name, history in GOOD.items()),
    *((history, Verdict.VIOLATED, name) for name, history in BAD.items()),
]
by_name = pytest.mark.parametrize(("history", "verdict"), [case[:2] for case in ALL], ids=[c[2] for c in ALL])
needs_porcupine = pytest.mark.skipif(porcupine.program() is None, reason="needs Go and its modules")


@by_name
def test_our_checker_knows_good_from_bad(history: list[Operation], verdict: Verdict) -> None:
    assert check(history).verdict is verdict


@needs_porcupine
@pytest.mark.parametrize("plain", [False, True])
def test_porcupine_knows_good_from_bad(*, plain: bool) -> None:
    found = porcupine.check(_named([case[0] for case in ALL]), plain=plain)
    assert found == {str(n): verdict for n, (history, verdict, _) in enumerate(ALL) if history}


# -- random histories ------------------------------------------------------------------------------------------

MANY = 4000


@needs_porcupine
def test_the_checkers_agree_on_thousands_of_random_histories() -> None:
    """With porcupine's plain search, which knows nothing of permissions, as the judge of all."""
    histories = [drawn(random.Random(seed)) for seed in range(MANY)]
    plain = porcupine.check(_named(histories), plain=True)
    clever = porcupine.check(_named(histories))
    ours = {str(n): check(history).verdict for n, history in enumerate(histories)}
    assert clever == plain
    assert ours == plain
    assert 0.2 < sum(verdict is Verdict.VIOLATED for verdict in ours.values()) / MANY < 0.8


def test_our_checker_agrees_with_trying_all_orders() -> None:
    """Where Go is not there, this is what our checker is held to."""
    dice = random.Random(1)
    for _ in range(4000):
        history = drawn(dice, longest=6)
        assert (check(history).verdict is Verdict.LINEARIZABLE) == any(map(explains, _orders(history)))


def drawn(dice: random.Random, longest: int = 12) -> list[Operation]:
    """Clients that ask a register with faults: late and repeated effects, answers that get lost."""
    numbers, clock, value = itertools.count(1), 0, None
    history: list[Operation] = []
    written: list[int | None] = [None]
    for _ in range(dice.randint(1, longest)):
        clock += dice.randint(1, 6)
        end = clock + dice.randint(0, 9)
        kind = dice.choice((Kind.UPSERT, Kind.UPDATE, Kind.DELETE, Kind.READ, Kind.READ, Kind.READ))
        if kind is Kind.READ:
            seen = value if dice.random() < 0.7 else dice.choice(written)
            history.append(Operation(KEY, kind, seen, clock, end))
            continue
        wanted = None if kind is Kind.DELETE else next(numbers)
        unknown = dice.random() < 0.35
        history.append(Operation(KEY, kind, wanted, clock, None if unknown else end))
        written.append(wanted)
        if (not unknown or dice.random() < 0.5) and not (kind is Kind.UPDATE and value is None):
            value = wanted
        if dice.random() < 0.2:
            value = dice.choice(written)  # something came back
    return history


def _orders(history: Sequence[Operation]) -> Iterator[tuple[Operation, ...]]:
    """Every order that respects time, with every choice of unknown writes that took effect."""
    sure = [one for one in history if one.end is not None]
    unknown = [one for one in history if one.end is None and one.kind is not Kind.READ]
    for number in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, number):
            yield from filter(_in_time, itertools.permutations([*sure, *some]))


def _in_time(order: Sequence[Operation]) -> bool:
    return not any(
        later.end is not None and later.end < earlier.call
        for earlier, later in itertools.combinations(order, 2)
    )


def explains(order: Sequence[Operation]) -> bool:
    value: int | None = None
    for one in order:
        if one.kind is Kind.READ and one.value != value:
            return False
        if one.kind in (Kind.UPSERT, Kind.DELETE) or (one.kind is Kind.UPDATE and value is not None):
            value = one.value
    return True


def _named(histories: Sequence[Sequence[Operation]]) -> Iterator[Operation]:
    for number, history in enumerate(histories):
        for one in history:
            yield Operation(str(number), one.kind, one.value, one.call, one.end)


# -- size ------------------------------------------------------------------------------------------------------


def long_history(operations: int, *, broken: bool) -> list[Operation]:
    """Up to nine at a time on one record; every seventh write gets no answer; the last read may be stale."""
    dice, history, value = random.Random(7), [], None
    for number in range(operations):
        call = number * 10
        end = call + dice.randint(5, 60)
        kind = dice.choice(list(Kind))
        if kind is Kind.READ:
            history.append(read(value, call, call + 5))
            continue
        unknown = number % 7 == 0
        written = None if kind is Kind.DELETE else number
        history.append(Operation(KEY, kind, written, call, None if unknown else end))
        if not (unknown and dice.random() < 0.5) and not (kind is Kind.UPDATE and value is None):
            value = written
    last = operations * 10 + 1000
    history += [upsert(operations, last, last + 1), read(operations, last + 2, last + 3)]
    first = next(one.value for one in history if one.kind is Kind.UPSERT)
    return [*history, read(first if broken else operations, last + 4, last + 5)]


@pytest.mark.parametrize("broken", [False, True])
def test_thousands_of_operations_of_which_many_got_no_answer_are_judged(*, broken: bool) -> None:
    history = long_history(3000, broken=broken)
    expected = Verdict.VIOLATED if broken else Verdict.LINEARIZABLE
    assert check(history).verdict is expected
    if porcupine.program() is not None:
        assert porcupine.check(history) == {KEY: expected}


def test_a_checker_that_gives_up_says_so() -> None:
    assert check(long_history(200, broken=False), most=50).verdict is Verdict.UNKNOWN


@needs_porcupine
def test_porcupine_out_of_time_says_so() -> None:
    writes = [upsert(n, 1) for n in range(40)]
    reads = [read(n, 2, 3) for n in range(40)]
    found = porcupine.check([*writes, *reads, read(99, 4, 5)], plain=True, timeout=0.05)
    assert found == {KEY: Verdict.UNKNOWN}


# -- telling ---------------------------------------------------------------------------------------------------


def test_a_violation_is_told_with_what_it_takes_and_no_more() -> None:
    history = long_history(300, broken=True)
    told = explained(history).splitlines()
    assert [line.split("  ")[-1] for line in told] == ["upsert 1", "upsert 300", "read 1"]
    assert [line[0] for line in told] == [" ", " ", ">"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_told_is_wrong_by_itself(name: str) -> None:
    assert check(smallest(BAD[name])).verdict is Verdict.VIOLATED


def test_histories_are_kept_as_lines_of_json() -> None:
    history = BAD["reads go 1, 2, 1, 2, both unknown"]
    assert [of_line(json.loads(line)) for line in to_lines(history).splitlines()] == history


def test_records_are_judged_one_by_one() -> None:
    one, two = upsert(1, 5, 6), Operation("acme/y", Kind.READ, None, 1, 2)
    assert by_key([one, two]) == {"acme/y": [two], KEY: [one]}


def test_values_that_are_written_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="the value 1 was written twice"):
        check_values_unique([upsert(1, 1, 2), update(1, 3, 4)])
