"""Lines of JSON as records: what a line may say, and what is wrong with one that says something else. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from shardroute import InvalidInput, Record

_KEYS = frozenset({"id", "vector", "text", "metadata"})


@dataclass(frozen=True)
class Mark:
    """A place in the input, after `lines` lines and `size` bytes; `digest` is of all that stands before it."""

    lines: int = 0
    size: int = 0
    digest: str = ""


class BadLine(Exception):
    """A line that is no record, and where it begins; `number` counts from 1."""

    def __init__(self, before: Mark, reason: str) -> None:
        self.before, self.number = before, before.lines + 1
        super().__init__(f"line {self.number:,}: {reason}")


@dataclass(frozen=True)
class Placed:
    """A record, and where its line begins."""

    before: Mark
    record: Record


@dataclass(frozen=True)
class Batch:
    """Records that are written together, the lines among them that are none, and where the next batch begins."""

    records: tuple[Placed, ...]
    bad: tuple[BadLine, ...]
    after: Mark


class Cutter:
    """Makes batches of lines as they come. `source_field`: where a line's text goes, for an encoder to read."""

    def __init__(self, source_field: str = "") -> None:
        self._source_field = source_field
        self._hash = blake2b(digest_size=16)
        self._place = Mark()

    def cut(self, lines: list[bytes]) -> Batch:
        """The batch of the lines that follow."""
        records, bad = list[Placed](), list[BadLine]()
        for line in lines:
            before = self._place
            self.passed([line])
            if not line.strip():
                continue
            try:
                records.append(Placed(before, to_record(line, self._source_field)))
            except (InvalidInput, ValueError) as error:
                bad.append(BadLine(before, str(error)))
        return Batch(tuple(records), tuple(bad), self._place)

    def passed(self, lines: list[bytes]) -> Mark:
        """The place after the lines that follow, which are not looked at."""
        for line in lines:
            self._hash.update(line)
        before, size = self._place, sum(map(len, lines))
        self._place = Mark(before.lines + len(lines), before.size + size, self._hash.hexdigest())
        return self._place


def to_record(line: bytes, source_field: str) -> Record:
    """Raises ValueError (InvalidInput is one), saying what is wrong."""
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("a line is a JSON object")  # noqa: TRY004 - what is wrong is a value of the file
    if unknown := values.keys() - _KEYS:
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; known are {', '.join(sorted(_KEYS))}")
    metadata = values.get("metadata") or {}
    if "text" in values:
        metadata = {**metadata, **_source(values["text"], source_field)}
    return Record(values.get("id"), values.get("vector"), metadata)  # type: ignore[arg-type]  # Record looks itself


def _source(text: Any, source_field: str) -> dict[str, str]:
    if not source_field:
        raise ValueError("`text` needs a topology with an encoder; give a `vector`")
    if not isinstance(text, str):
        raise ValueError("`text` is a string")  # noqa: TRY004 - as above
    return {source_field: text}
