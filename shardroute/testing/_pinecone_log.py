"""The log of one namespace, and the two views of it that lag behind its end."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from shardroute.testing._pinecone_table import Table
from shardroute.testing._pinecone_writes import Compile, CreateNamespace, DropNamespace, Upsert, Write


@dataclass(frozen=True, slots=True)
class Lag:
    """How many seconds after a write each view shows it; `math.inf` is never.

    `search` is behind query and search; `fetch` behind fetch, list, statistics and the namespaces.
    """

    search: float = 0.0
    fetch: float = 0.0

    def __post_init__(self) -> None:
        if not all(_is_duration(seconds) for seconds in (self.search, self.fetch)):
            raise ValueError(f"a lag is a number of seconds, got {self}")

    def as_json(self) -> dict[str, float | None]:
        """As JSON, where never is null."""
        return {
            name: None if math.isinf(seconds) else seconds
            for name, seconds in (("search", self.search), ("fetch", self.fetch))
        }


class Entry(NamedTuple):
    """A write with its place in the log and the time when it came."""

    lsn: int
    at: float
    write: Write


class View:
    """What reads see: every write up to `lsn`, none after it."""

    def __init__(self, compile_filter: Compile) -> None:
        self.table = Table()
        self.lsn = 0
        self.exists = False
        self.schema: Any = None
        self._compile = compile_filter

    def apply(self, entry: Entry) -> None:
        """Take in the next entry; one that was seen is passed over, so nothing is ever undone."""
        if entry.lsn <= self.lsn:
            return
        self.lsn = entry.lsn
        entry.write.apply(self.table, self._compile)
        self.exists = _exists_after(entry.write, self.exists)
        if isinstance(entry.write, CreateNamespace | DropNamespace):
            self.schema = getattr(entry.write, "schema", None)


class Namespace:
    """A log and its views. Entries that both views have taken in are dropped from memory."""

    def __init__(self, compile_filter: Compile) -> None:
        self.lsn = 0
        self.exists = False
        self.search = View(compile_filter)
        self.fetch = View(compile_filter)
        self._pending: deque[Entry] = deque()

    def append(self, write: Write, at: float) -> int:
        """Add a write and return its position (LSN): one more than the last."""
        self.lsn += 1
        self.exists = _exists_after(write, self.exists)
        self._pending.append(Entry(self.lsn, at, write))
        return self.lsn

    def advance(self, now: float, lag: Lag) -> None:
        """Let each view take in what is older than its lag."""
        for view, seconds in ((self.search, lag.search), (self.fetch, lag.fetch)):
            for entry in self._pending:
                if entry.at + seconds > now:
                    break
                view.apply(entry)
        while self._pending and self._pending[0].lsn <= min(self.search.lsn, self.fetch.lsn):
            self._pending.popleft()


def _exists_after(write: Write, before: bool) -> bool:
    if isinstance(write, Upsert | CreateNamespace):
        return True
    return before and not isinstance(write, DropNamespace)


def _is_duration(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0
