"""What a process asked for and was answered, on disk before and after: it may be killed between any two lines.

A line when an operation begins, one when it ends. Both lines have the operation's number `n`.

    {"n": 3, "call": 1200, "tenant": "acme", "kind": "upsert", "values": {"one": 7}}
    {"n": 3, "end": 1350, "phase": "OLD", "by": "primary", "seen": null}
    {"n": 4, "failed": "LeaseLost(...)", "nothing": false, "phase": "OLD"}
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from shardroute.errors import ShardrouteError, TenantHeld
from shardroute.telemetry import ERROR_TYPE, ROLE
from shardroute.tenant import Tenant
from tests.linearizability.history import Kind, Operation

Values = Mapping[str, int | None]
Ask = Callable[[], Awaitable[Values | None]]

SCAN = "scan"
"""A read as well, of many requests: it may go on where it began after the tenant has moved."""


class Log:
    """Appends lines of JSON, each in one write: what was noted outlives this process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, **entry: Any) -> None:
        os.write(self._file, (json.dumps(entry) + "\n").encode())


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Without a last line that was cut off."""
    if path.exists():
        yield from (
            json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
        )


class Recorder:
    """Notes every operation of one process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._numbers = itertools.count(1)

    async def ask(self, tenant: Tenant, kind: str, values: Values, ask: Ask) -> Exception | None:
        """Carries out one operation; its error, if it raised one. `values`: what is written, or the ids to read."""
        number = next(self._numbers)
        noted: list[str] = []
        answered_by.set(noted)
        call = time.monotonic_ns()
        self._log.note(n=number, call=call, tenant=tenant.name, kind=kind, values=dict(values))
        try:
            seen = await ask()
        except ShardrouteError as error:
            nothing = isinstance(error, TenantHeld)
            self._log.note(n=number, failed=repr(error)[:200], nothing=nothing, phase=tenant.phase)
            return error
        end = time.monotonic_ns()
        by = noted[-1] if noted else "primary"
        self._log.note(n=number, end=end, phase=tenant.phase, by=by, seen=seen and dict(seen))
        return None


answered_by: ContextVar[list[str]] = ContextVar("answered_by")
"""The roles (primary, secondary, canary) of the requests of the operation under way, as they were answered."""


class Roles(SpanProcessor):
    """Who answered a read is nowhere but in its spans."""

    def on_end(self, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        noted = answered_by.get(None)
        if noted is not None and ROLE in attributes and ERROR_TYPE not in attributes:
            noted.append(str(attributes[ROLE]))


# -- reading it again ------------------------------------------------------------------------------------------


def operations(path: Path, process: str) -> tuple[list[Operation], dict[str, list[Operation]]]:
    """Of one process, one for each record: those that must be linearizable, and the reads that may be older.

    The latter by who answered: "canary" and "secondary" (a failover), which are the other side, or "scan".

    A write that raised `TenantHeld` has done nothing, as that error says: it is left out.
    """
    begun: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    for entry in entries(path):
        if "n" in entry:
            (begun if "call" in entry else ended)[entry["n"]] = entry
    strict: list[Operation] = []
    loose: dict[str, list[Operation]] = {}
    for number, asked in begun.items():
        answer = ended.get(number, {})
        if asked["kind"] in (Kind.READ, SCAN):
            by = SCAN if asked["kind"] == SCAN else answer.get("by", "nobody")
            reads = _reads(asked, answer, process)
            (strict if by == "primary" else loose.setdefault(by, [])).extend(reads)
        elif not answer.get("nothing"):
            strict += _writes(asked, answer, process)
    return strict, loose


def _reads(asked: Mapping[str, Any], answer: Mapping[str, Any], process: str) -> Iterator[Operation]:
    for name in asked["values"] if "end" in answer else ():
        note = f"by {process}, {asked['kind']} in {answer['phase']}, {answer['by']}"
        seen = answer["seen"].get(name)
        yield Operation(f"{asked['tenant']}/{name}", Kind.READ, seen, asked["call"], answer["end"], note)


def _writes(asked: Mapping[str, Any], answer: Mapping[str, Any], process: str) -> Iterator[Operation]:
    outcome = answer.get("failed", "" if "end" in answer else "killed")
    note = f"by {process} in {answer.get('phase', '?')} {outcome}".rstrip()
    for name, value in asked["values"].items():
        key, end = f"{asked['tenant']}/{name}", answer.get("end")
        yield Operation(key, Kind(asked["kind"]), value, asked["call"], end, note)
