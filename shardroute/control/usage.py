"""What we use of Redis, by kind of key. Bounded in time: Redis estimates, and statistics are counted as they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .budget import memory
from .scripts import Scripts
from .stats import Stats

_MOST = 100
"""Journals that are looked at: of more tenants in motion, the others are estimated from these."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one kind of key takes. `bytes` None: Redis does not tell. `limit`: in bytes, where there is one."""

    kind: str
    keys: int
    bytes: int | None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. `used`: by everybody who uses this Redis. `most`: its `maxmemory`, 0 for none."""

    used: int
    most: int
    ours: Sequence[Usage]


async def used(scripts: Scripts, stats: Stats, moving: Sequence[str]) -> Memory:
    """`moving`: the tenants that may have a journal. Raises ControlPlaneUnavailable."""
    rows = await scripts.run("usage", "", "everything")
    limits = {"statistics": await stats.budget()}
    ours = [_usage(row, limits.get(row[0])) for row in rows]
    server = await memory(scripts)
    return Memory(server["used_memory"], server["maxmemory"], [*ours, await _journals(scripts, moving)])


async def _journals(scripts: Scripts, moving: Sequence[str]) -> Usage:
    found = [_usage((await scripts.run("usage", name, "journal"))[0]) for name in moving[:_MOST]]
    keys = sum(one.keys for one in found)
    known = [one.bytes for one in found if one.bytes is not None]
    whole = None if len(known) < len(found) else sum(known)
    if len(moving) > _MOST:
        share = len(moving) / _MOST
        keys, whole = round(keys * share), None if whole is None else round(whole * share)
    return Usage("journals", keys, whole)


def _usage(row: Sequence[Any], limit: int | None = None) -> Usage:
    kind, keys, taken = row
    return Usage(str(kind), int(keys), None if int(taken) < 0 else int(taken), limit)
