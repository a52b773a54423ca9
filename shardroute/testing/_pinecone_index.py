"""The engine of the Pinecone emulator: indexes, their namespaces, and the file that keeps them. No HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_filter import Condition, compiled
from shardroute.testing._pinecone_log import Lag, Namespace, Read, View
from shardroute.testing._pinecone_spec import IndexSpec
from shardroute.testing._pinecone_writes import Write, as_json, from_json

FILE = "pinecone.log"
MISSING_NAMESPACE = "No namespace: '{namespace}'"


@dataclass(slots=True)
class Behaviour:
    """Switches for what Pinecone leaves open, and for headers that may be absent."""

    positions: bool = True
    ne_matches_missing: bool = True
    missing_namespace_is_404: bool = True
    sparse_needs_dotproduct: bool = False
    missing_namespace_message: str = MISSING_NAMESPACE
    emptied_namespaces_go: bool = False


class Index:
    """One index: namespaces by name, made by their first upsert."""

    def __init__(self, name: str, spec: IndexSpec, project: Project, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.spec = spec
        self.settings = dict(settings)
        self.project = project
        self._namespaces: dict[str, Namespace] = {}
        self._turn = itertools.count()

    def compile(self, raw: Any) -> Condition:
        """A filter as a function; fields that are searched may not stand in it."""
        forbidden = self.spec.data_fields if self.spec.kind == "documents" else ()
        missing = self.project.behaviour.ne_matches_missing
        return compiled(raw, ne_matches_missing=missing, forbidden=forbidden)

    def write(self, namespace: str, write: Write) -> int:
        """Add a write to the namespace's log, on disk first, and return its position (LSN)."""
        now = self.project.clock()
        self.project.keep({"index": self.name, "namespace": namespace, "at": now, **as_json(write)})
        return self.replay(namespace, write, now)

    def replay(self, namespace: str, write: Write, at: float) -> int:
        """Add a write that is on disk already."""
        held = self._namespaces.setdefault(namespace, Namespace(self.compile))
        lsn = held.append(write, at)
        held.advance(self.project.clock(), self.project.lag)
        return lsn

    def catch_up(self) -> None:
        """Let every view take in the whole log."""
        for held in self._namespaces.values():
            held.advance(float("inf"), Lag())

    def accepts(self, namespace: str) -> bool:
        """Whether the namespace exists, all acknowledged writes considered."""
        held = self._namespaces.get(namespace)
        if held is None or not held.exists:
            return False
        view = self._advanced(namespace).view(Read.FETCH)
        return view.lsn < held.lsn or self.is_shown(view)

    def read(self, namespace: str, kind: Read) -> View:
        """What such a read sees now, on the replica whose turn it is."""
        return self._view(namespace, kind, self._replica())

    def namespaces(self) -> dict[str, View]:
        """The namespaces that exist where they are counted, in the order of their names."""
        replica = self._replica()
        views = {name: self._view(name, Read.COUNTS, replica) for name in sorted(self._namespaces)}
        return {name: view for name, view in views.items() if self.is_shown(view)}

    def is_shown(self, view: View) -> bool:
        """Whether there is a namespace to those who see this of it."""
        return view.exists and not (self.project.behaviour.emptied_namespaces_go and not view.table.records)

    def _replica(self) -> int:
        return next(self._turn) % len(self.project.lag.replicas)

    def _view(self, namespace: str, kind: Read, replica: int) -> View:
        return self._advanced(namespace).view(self.project.lag.kind(kind), replica)

    def _advanced(self, namespace: str) -> Namespace:
        held = self._namespaces.get(namespace)
        if held is None:
            return Namespace(self.compile)
        held.advance(self.project.clock(), self.project.lag)
        return held


class Project:
    """All indexes of a server.

    Args:
        path: a directory for the log; without it everything is in memory.
        clock: seconds, of any origin if nothing is kept.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        lag: Lag | None = None,
        behaviour: Behaviour | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.indexes: dict[str, Index] = {}
        self.lag = lag or Lag()
        self.behaviour = behaviour or Behaviour()
        self.clock = clock
        self._file: BinaryIO | None = None
        if path is not None:
            self._open(Path(path))

    def create(self, name: str, spec: IndexSpec, settings: Mapping[str, Any] | None = None) -> Index:
        """Make an index."""
        self.keep({"index": name, "schema": spec.fields, "settings": settings or {}})
        return self._create(name, spec, settings or {})

    def configure(self, name: str, settings: Mapping[str, Any]) -> Index:
        """Change an index's settings: tags and deletion protection."""
        index = self.index(name)
        self.keep({"index": name, "settings": settings})
        index.settings.update(settings)
        return index

    def delete(self, name: str) -> None:
        """Delete an index and all that is in it."""
        self.index(name)
        self.keep({"index": name, "deleted": True})
        del self.indexes[name]

    def index(self, name: str) -> Index:
        """The index of that name."""
        if name not in self.indexes:
            raise Refused(f"Resource {name} not found", 404)
        return self.indexes[name]

    def keep(self, line: Mapping[str, Any]) -> None:
        """Write a line to the log file, if there is one: with the kernel when this returns."""
        if self._file is not None:
            self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            self._file.close()

    def _create(self, name: str, spec: IndexSpec, settings: Mapping[str, Any]) -> Index:
        self.indexes[name] = Index(name, spec, self, settings)
        return self.indexes[name]

    def _open(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / FILE
        held = file.read_bytes() if file.exists() else b""
        whole = held.rfind(b"\n") + 1
        for line in held[:whole].splitlines():
            self._replay(orjson.loads(line))
        for index in self.indexes.values():
            index.catch_up()
        self._file = file.open("ab", buffering=0)
        self._file.truncate(whole)  # a last line without an end was never acknowledged

    def _replay(self, line: dict[str, Any]) -> None:
        name = line.pop("index")
        if "schema" in line:
            self._create(name, IndexSpec(line["schema"]), line["settings"])
        elif "settings" in line:
            self.indexes[name].settings.update(line["settings"])
        elif "deleted" in line:
            del self.indexes[name]
        else:
            self.indexes[name].replay(line["namespace"], from_json(line), line["at"])
