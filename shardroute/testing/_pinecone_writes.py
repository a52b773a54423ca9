"""The writes of the Pinecone emulator: what stands in the log, and what it does to a view when it is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from shardroute.testing._pinecone_filter import Condition
from shardroute.testing._pinecone_table import Record, Sparse, Table, Vector

Compile: TypeAlias = Callable[[Any], Condition]


@dataclass(frozen=True, slots=True)
class Upsert:
    """Insert or replace whole records."""

    records: Sequence[Record]

    def apply(self, table: Table, compile_filter: Compile) -> None:
        for record in self.records:
            table.put(record)


@dataclass(frozen=True, slots=True)
class Patch:
    """What changes of a record: what is not named stays."""

    dense: Mapping[str, Vector] = field(default_factory=dict)
    sparse: Mapping[str, Sparse] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()

    def of(self, record: Record) -> Record:
        """The record after it."""
        metadata = {**record.metadata, **self.metadata}
        return replace(
            record,
            dense=_without({**record.dense, **self.dense}, self.remove),
            sparse=_without({**record.sparse, **self.sparse}, self.remove),
            metadata=_without(metadata, self.remove),
        )


@dataclass(frozen=True, slots=True)
class Update:
    """Change records by id; an id that is not there is passed over."""

    patches: Mapping[str, Patch]

    def apply(self, table: Table, compile_filter: Compile) -> None:
        for record_id, patch in self.patches.items():
            if record_id in table.records:
                table.put(patch.of(table.records[record_id]))


@dataclass(frozen=True, slots=True)
class UpdateWhere:
    """Change the records that match when it is applied."""

    filter: Mapping[str, Any]
    patch: Patch

    def apply(self, table: Table, compile_filter: Compile) -> None:
        for record in table.matching(compile_filter(self.filter)):
            table.put(self.patch.of(record))


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete by id."""

    ids: Sequence[str]

    def apply(self, table: Table, compile_filter: Compile) -> None:
        for record_id in self.ids:
            table.drop(record_id)


@dataclass(frozen=True, slots=True)
class DeleteWhere:
    """Delete the records that match when it is applied."""

    filter: Mapping[str, Any]

    def apply(self, table: Table, compile_filter: Compile) -> None:
        for record in table.matching(compile_filter(self.filter)):
            table.drop(record.id)


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Empty the namespace, which stays."""

    def apply(self, table: Table, compile_filter: Compile) -> None:
        table.clear()


@dataclass(frozen=True, slots=True)
class CreateNamespace:
    """Make the namespace, empty."""

    schema: Mapping[str, Any] | None = None

    def apply(self, table: Table, compile_filter: Compile) -> None:
        pass


@dataclass(frozen=True, slots=True)
class DropNamespace:
    """Delete the namespace with all that is in it."""

    def apply(self, table: Table, compile_filter: Compile) -> None:
        table.clear()


Write: TypeAlias = (
    Upsert | Update | UpdateWhere | Delete | DeleteWhere | DeleteAll | CreateNamespace | DropNamespace
)


def _without(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        values.pop(name, None)
    return values


def as_json(write: Write) -> dict[str, Any]:
    """The write as a line of the log holds it; arrays are left to the encoder."""
    match write:
        case Upsert(records):
            return {"upsert": [{"id": record.id, **_content(record)} for record in records]}
        case Update(patches):
            return {"update": {record_id: _patch(patch) for record_id, patch in patches.items()}}
        case UpdateWhere(condition, patch):
            return {"update_where": condition, "patch": _patch(patch)}
        case Delete(ids):
            return {"delete": list(ids)}
        case DeleteWhere(condition):
            return {"delete_where": condition}
        case DeleteAll():
            return {"delete_all": True}
        case CreateNamespace(schema):
            return {"create": schema}
        case DropNamespace():
            return {"drop": True}


def from_json(line: Mapping[str, Any]) -> Write:
    """What `as_json` wrote."""
    for key, read in _READERS.items():
        if key in line:
            return read(line)
    raise ValueError(f"no write: {sorted(line)}")


_READERS: dict[str, Callable[[Mapping[str, Any]], Write]] = {
    "upsert": lambda line: Upsert([Record(record["id"], **_read(record)) for record in line["upsert"]]),
    "update": lambda line: Update({found: _read_patch(patch) for found, patch in line["update"].items()}),
    "update_where": lambda line: UpdateWhere(line["update_where"], _read_patch(line["patch"])),
    "delete": lambda line: Delete(line["delete"]),
    "delete_where": lambda line: DeleteWhere(line["delete_where"]),
    "delete_all": lambda line: DeleteAll(),
    "create": lambda line: CreateNamespace(line["create"]),
    "drop": lambda line: DropNamespace(),
}


def _content(record: Record | Patch) -> dict[str, Any]:
    sparse = {name: [vector.indices, vector.values] for name, vector in record.sparse.items()}
    return {"dense": record.dense, "sparse": sparse, "metadata": record.metadata}


def _patch(patch: Patch) -> dict[str, Any]:
    return {**_content(patch), "remove": list(patch.remove)}


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    dense = {name: np.array(values, dtype=np.float32) for name, values in content["dense"].items()}
    sparse = {
        name: Sparse(np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))
        for name, (indices, values) in content["sparse"].items()
    }
    return {"dense": dense, "sparse": sparse, "metadata": content["metadata"]}


def _read_patch(content: Mapping[str, Any]) -> Patch:
    return Patch(**_read(content), remove=content["remove"])
