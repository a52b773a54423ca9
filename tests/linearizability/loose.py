"""Reads that another side than the primary answered: canaries, failovers, and scans that stay where they began.

What they may see is weaker, as docs/protocol.md says (Reads from the other side): where an id is debt, a value from
before the failed or overlapping write; where a write is in flight, either. But never what nobody wrote, and never
what was replaced before both sides were last known to be equal: at a crossing, which needs that there is no debt, and
when a copy began. Those moments are the `marks` here.
"""

from __future__ import annotations

from collections.abc import Sequence

from .history import Kind, Operation

_BEGINNING = Operation("", Kind.DELETE, None, -1, -1)


def complaint(read: Operation, writes: Sequence[Operation], marks: Sequence[int]) -> str | None:
    """What is wrong with such a read of a record, in words. `marks`: times, as those of operations."""
    assert read.end is not None
    equal = max((mark for mark in marks if mark < read.call), default=-1)
    begun = [_BEGINNING, *(write for write in writes if write.call <= read.end)]
    candidates = [write for write in begun if write.value == read.value]
    if not candidates:
        return f"{read}: nobody wrote it"
    if all(_replaced(write, begun, equal) for write in candidates):
        return f"{read}: it was replaced before both sides were equal"
    return None


def _replaced(write: Operation, writes: Sequence[Operation], equal: int) -> bool:
    """An update may have had no effect, so it replaces nothing for certain."""
    return write.end is not None and any(
        other.end is not None and write.end < other.call and other.end < equal
        for other in writes
        if other.kind in (Kind.UPSERT, Kind.DELETE)
    )
