"""The smallest part of a history that is wrong by itself, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .checker import check
from .history import Kind, Operation, Verdict


def explained(operations: Sequence[Operation], beside: Iterable[tuple[int, str]] = ()) -> str:
    """A story of a few lines: what was asked, when (milliseconds), and (>) which answer nothing explains.

    `beside`: moments and what else happened then (|), told from the second operation on: the first may be long ago.
    """
    part = smallest(operations)
    culprit, start = check(part).at, part[0].call
    since, until = part[min(1, len(part) - 1)].call, max(one.end or one.call for one in part)
    lines = [(one.call, _line(one, start, culprit=one == culprit)) for one in part]
    lines += [
        (at, f"| {(at - start) / 1e6:10.1f}{'':16}{what}") for at, what in beside if since <= at <= until
    ]
    return "\n".join(line for _, line in sorted(lines, key=lambda line: line[0]))


def smallest(operations: Sequence[Operation]) -> list[Operation]:
    """A violated history without all operations that can be left out, and the rest is violated still.

    Only what cannot have made the rest right is left out: reads, and writes that none of the reads left has seen.
    """
    part = list(operations)
    at = check(part).at
    assert at is not None
    if violated(shorter := _until(part, at)):  # always, but for an update that only a later read gives away
        part = shorter
    size = len(part)
    while size >= 1:
        start = 0
        while start < len(part):
            smaller = _without(part, start, start + size)
            if len(smaller) < len(part) and violated(smaller):
                part = smaller
            else:
                start += size
        size //= 2
    return part


def violated(operations: Sequence[Operation]) -> bool:
    return check(operations).verdict is Verdict.VIOLATED


def _until(operations: Sequence[Operation], at: Operation) -> list[Operation]:
    """As it stood when `at` ended: what had not ended then had no outcome yet."""
    assert at.end is not None
    known = [one for one in operations if one.call <= at.end]
    return [
        one if one.end is not None and one.end <= at.end else replace(one, end=None)
        for one in known
        if one.kind is not Kind.READ or (one.end is not None and one.end <= at.end)
    ]


def _without(part: list[Operation], start: int, end: int) -> list[Operation]:
    """Without what may be left out of those from `start` to `end`."""
    around = [*part[:start], *part[end:]]
    left = {one.value for one in around if one.kind is Kind.READ}
    updates = any(one.kind is Kind.UPDATE for one in part)

    def dispensable(one: Operation) -> bool:
        if one.kind is Kind.READ:
            return True
        return one.value not in left and (one.kind is Kind.UPDATE or not updates)

    return [*part[:start], *(one for one in part[start:end] if not dispensable(one)), *part[end:]]


def _line(one: Operation, start: int, *, culprit: bool) -> str:
    began = (one.call - start) / 1e6
    ended = "?" if one.end is None else f"{(one.end - start) / 1e6:.1f}"
    return f"{'>' if culprit else ' '} {began:10.1f} to {ended:>10}  {one}"
