"""Histories: what clients asked for and what they were answered, one operation on one record a line of JSON.

    {"key": "acme/one", "kind": "upsert", "value": 7, "call": 1200, "end": 1350}

`kind` is `upsert`, `update`, `delete` or `read`. `value` is the number that was written, or that was read; null is
"not there". No two writes of a record have the same value. `call` and `end` are nanoseconds of one clock that all
processes of a machine share (CLOCK_MONOTONIC). `end` is null where the outcome is not known: an error that leaves it
open, a caller who went away, a process that was killed. Such a write may take effect at any later time, or never.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What an operation does to a record, which has a value or is absent."""

    UPSERT = "upsert"
    """Sets the value."""
    UPDATE = "update"
    """Sets the value of a record that is there; has no effect on one that is not."""
    DELETE = "delete"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one record. `note` is for people: who did it, where."""

    key: str
    kind: Kind
    value: int | None
    call: int
    end: int | None
    note: str = ""

    def __str__(self) -> str:
        what = "absent" if self.value is None else str(self.value)
        told = {Kind.READ: f"read {what}", Kind.DELETE: "delete"}.get(self.kind, f"{self.kind} {what}")
        return f"{told} {self.note}".rstrip()


class Verdict(StrEnum):
    """What a checker says of one record's history."""

    LINEARIZABLE = "linearizable"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    """The checker gave up. Never to be taken for fine."""


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Records are independent: a history is linearizable if that of each record is (Herlihy and Wing, 1990)."""
    keys: dict[str, list[Operation]] = {}
    for operation in sorted(operations, key=lambda one: one.call):
        keys.setdefault(operation.key, []).append(operation)
    return keys


def check_values_unique(operations: Iterable[Operation]) -> None:
    """Raises ValueError if two writes of a record have one value: a read could not be told to be of either."""
    seen: set[tuple[str, int | None]] = set()
    for operation in operations:
        if operation.kind in (Kind.UPSERT, Kind.UPDATE):
            if (operation.key, operation.value) in seen:
                raise ValueError(f"{operation.key}: the value {operation.value} was written twice")
            seen.add((operation.key, operation.value))


def to_lines(operations: Iterable[Operation]) -> str:
    return "".join(json.dumps(asdict(operation)) + "\n" for operation in operations)


def of_line(raw: Mapping[str, object]) -> Operation:
    return Operation(**{**raw, "kind": Kind(str(raw["kind"]))})  # type: ignore[arg-type]  # as written by `to_lines`


def read(path: Path) -> list[Operation]:
    """The history in a file."""
    return [of_line(json.loads(line)) for line in path.read_text().splitlines()]
