"""The log of one namespace, and the views of it that lag behind its end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from shardroute.testing._pinecone_table import Table
from shardroute.testing._pinecone_writes import Compile, CreateNamespace, DropNamespace, Upsert, Write


class Read(StrEnum):
    """Kinds of reads, each of which may be behind writes by a time of its own."""

    SEARCH = "search"  # query and search
    FETCH = "fetch"  # by id
    LIST = "list"  # ids
    METADATA = "metadata"  # fetches by metadata, and how many records match
    COUNTS = "counts"  # statistics, and the namespaces


@dataclass(frozen=True, slots=True)
class Lag:
    """How many seconds after a write each kind of read shows it; `math.inf` is never.

    `list`, `metadata` and `counts` are as `fetch` where they are None. `replicas`: for each of them the seconds that it
    is behind beside that; reads go to them in turn, so with two of different lags they go back and forth.
    """

    search: float = 0.0
    fetch: float = 0.0
    list: float | None = None
    metadata: float | None = None
    counts: float | None = None
    replicas: Sequence[float] = (0.0,)

    def __post_init__(self) -> None:
        given = [seconds for read in Read if (seconds := getattr(self, read)) is not None]
        if not self.replicas or not all(map(_is_duration, (*given, *self.replicas))):
            raise ValueError(f"a lag is a number of seconds, got {self}")

    def kind(self, read: Read) -> Read:
        """Whose view such a read sees: its own, or that of fetches."""
        return Read.FETCH if getattr(self, read) is None else read

    def seconds(self, kind: Read, replica: int) -> float:
        """By how much the view is behind."""
        own: float = getattr(self, self.kind(kind))
        return own + self.replicas[replica]

    def as_json(self) -> dict[str, Any]:
        """As JSON, where never is null, and what is as `fetch` is left out."""
        shown: dict[str, Any] = {
            read.value: _shown(getattr(self, read)) for read in Read if self.kind(read) is read
        }
        if tuple(self.replicas) != (0.0,):
            shown["replicas"] = [_shown(seconds) for seconds in self.replicas]
        return shown

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Lag:
        """What `as_json` wrote."""
        replicas = tuple(map(_read, told.get("replicas", [0.0])))
        return cls(
            **{name: _read(value) for name, value in told.items() if name != "replicas"}, replicas=replicas
        )


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

    def copy(self) -> View:
        """Another that has seen the same."""
        other = View(self._compile)
        other.table.records.update(self.table.records)
        other.lsn, other.exists, other.schema = self.lsn, self.exists, self.schema
        return other


class Namespace:
    """A log and its views: of each kind of read that has a lag of its own, on each replica.

    Entries that all views have taken in are dropped from memory.
    """

    def __init__(self, compile_filter: Compile) -> None:
        self.lsn = 0
        self.exists = False
        self._views: dict[tuple[Read, int], View] = {
            (read, 0): View(compile_filter) for read in (Read.SEARCH, Read.FETCH)
        }
        self._pending: deque[Entry] = deque()

    def append(self, write: Write, at: float) -> int:
        """Add a write and return its position (LSN): one more than the last."""
        self.lsn += 1
        self.exists = _exists_after(write, self.exists)
        self._pending.append(Entry(self.lsn, at, write))
        return self.lsn

    def view(self, kind: Read, replica: int = 0) -> View:
        """What such a read sees. One that nobody has asked for so far begins with what fetches see."""
        found = self._views.get((kind, replica))
        if found is None:
            source = kind if (kind, 0) in self._views else Read.FETCH
            found = self._views[kind, replica] = self._views[source, 0].copy()
        return found

    def advance(self, now: float, lag: Lag) -> None:
        """Let each view take in what is older than its lag."""
        for replica in range(len(lag.replicas)):
            for read in Read:
                self.view(lag.kind(read), replica)
        for (kind, replica), view in self._views.items():
            # What the lag no longer tells apart takes part in nothing, and keeps up.
            known = replica < len(lag.replicas)
            seconds = lag.seconds(kind, replica) if known else 0.0
            for entry in self._pending:
                if entry.at + seconds > now:
                    break
                view.apply(entry)
        seen = min(view.lsn for view in self._views.values())
        while self._pending and self._pending[0].lsn <= seen:
            self._pending.popleft()


def _exists_after(write: Write, before: bool) -> bool:
    if isinstance(write, Upsert | CreateNamespace):
        return True
    return before and not isinstance(write, DropNamespace)


def _is_duration(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0


def _shown(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _read(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
