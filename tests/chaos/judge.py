"""The judgement over everything that all processes noted, against what is there in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shardroute.records import Record
from tests.support.traffic import ABSENT

from .settings import KEPT, LANDED_AFTER, STABLE


@dataclass
class Write:
    """`over`: when it had been answered, or could no longer take effect. Times are of the machine's clock."""

    number: int
    process: int
    tenant: str
    id: str
    value: int
    began: float
    over: float | None = None
    answered: bool = False
    note: str = ""

    def __str__(self) -> str:
        state = "answered" if self.answered else "not answered"
        return f"{self.value} from {self.began:.3f} to {self.over or 0:.3f}, {state} {self.note}"


@dataclass
class Case:
    """All writes of a run."""

    writes: dict[tuple[str, str], list[Write]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)

    def hear(self, process: int, entries: Iterable[Mapping[str, Any]], killed: float | None) -> None:
        """What one process noted; `killed`: when it was, with its writes under way."""
        under_way: dict[int, Write] = {}
        for entry in entries:
            match entry["kind"]:
                case "begun":
                    write = Write(
                        entry["write"], process, entry["tenant"], entry["id"], entry["value"], entry["at"]
                    )
                    under_way[write.number] = write
                    self.writes[write.tenant, write.id].append(write)
                case "answered":
                    write = under_way.pop(entry["write"])
                    write.answered, write.over, write.note = True, entry["at"], entry["phase"]
                case "failed":
                    write = under_way.pop(entry["write"])
                    write.over, write.note = entry["at"] + LANDED_AFTER, f"{entry['phase']} {entry['error']}"
                case "wrong":
                    self.wrong.append(
                        f"process {process} at {entry['at']:.3f}: {entry['tenant']}: {entry['what']}"
                    )
                case "verb":
                    self.verbs.append(f"{entry['at']:.3f} {entry}")
        for write in under_way.values():
            write.over, write.note = None if killed is None else killed + LANDED_AFTER, "killed"

    @property
    def answered(self) -> int:
        return sum(write.answered for writes in self.writes.values() for write in writes)

    def judge(self, tenant: str, found: Mapping[str, Record]) -> list[str]:
        """What is wrong with a tenant's final state, in words."""
        wrong = [f"{tenant}: {name} is gone" for name in (*STABLE, *KEPT) if name not in found]
        for (owner, record_id), writes in self.writes.items():
            if owner == tenant:
                wrong += _complaints(record_id, writes, found.get(record_id))
        known = {record_id for owner, record_id in self.writes if owner == tenant}
        wrong += [f"{tenant}: nobody wrote {name}" for name in found if name not in {*known, *STABLE, *KEPT}]
        return wrong

    def explains(self, tenant: str, record_id: str, values: set[int]) -> bool:
        """Whether one of the values is of a write that was never answered."""
        writes = self.writes.get((tenant, record_id), [])
        return any(write.value in values and not write.answered for write in writes)


def value_of(found: Record | None) -> int:
    return ABSENT if found is None else int(found.metadata["v"])


def _complaints(record_id: str, writes: list[Write], found: Record | None) -> list[str]:
    value = value_of(found)
    first = Write(0, 0, "", record_id, ABSENT if record_id not in KEPT else 0, 0.0, 0.0, answered=True)
    candidates = [write for write in (first, *writes) if write.value == value]
    if any(not _superseded(candidate, writes) for candidate in candidates):
        return []
    history = "".join(f"\n    {write}" for write in sorted(writes, key=lambda one: one.began)[-12:])
    why = "a later write was answered" if candidates else "nobody wrote it"
    return [f"{writes[0].tenant}: {record_id} holds {value}, but {why}:{history}"]


def _superseded(candidate: Write, writes: Iterable[Write]) -> bool:
    end = float("inf") if candidate.over is None else candidate.over
    return any(write.answered and write.began > end for write in writes)
