"""A tenant between two clusters of any kinds, brought to where a test wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.migration import Options
from shardroute.phases import Phase
from tests.support.patience import PATIENCE

KEY, SECRET = "PINECONE_API_KEY", "not a real one"
"""The variable that has the key of clusters which want one, and the key."""

WAYS: Mapping[Phase, Sequence[str]] = {
    Phase.OLD: (),
    Phase.DUAL_OLD: ("migrate", "rollback"),
    Phase.DUAL_NEW: ("migrate",),
    Phase.NEW: ("migrate", "complete"),
}
"""How a tenant gets to a phase in which it stays: before, during and after its migration."""


@dataclass(frozen=True)
class Move:
    """A router, and the script's verbs."""

    config: Config
    router: Router
    admin: Admin

    @classmethod
    @asynccontextmanager
    async def between(
        cls, redis_url: str, namespace: str, old: Mapping[str, Any], new: Mapping[str, Any], **topology: Any
    ) -> AsyncIterator[Move]:
        """`old` and `new`: each a `cluster` and a `placement`, as in the file."""
        config = _config(redis_url, namespace, old, new, topology)
        async with Admin.open(config) as admin:
            await admin.init()
            async with Router(config) as router:
                await router.stores["a"].prepare(config.route.old.place("any"))
                yield cls(config, router, admin)

    async def bring(self, tenant: str, phase: Phase) -> None:
        for verb in WAYS[phase]:
            await self.admin.move(verb, tenant, Options(empty=True))
        assert self.router.tenant(tenant).phase is phase


def _config(
    redis_url: str,
    namespace: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    topology: Mapping[str, Any],
) -> Config:
    raw = {
        "control": {"url": redis_url, "namespace": namespace, "timeout": 10, "lease": 5, "idle_lease": 6},
        "router": {"linger": 0.5, "deadline": PATIENCE},
        "clusters": {"a": old["cluster"], "b": new["cluster"]},
        "topologies": {
            "v1": {**topology, "placement": {"cluster": "a", **old["placement"]}},
            "v2": {**topology, "placement": {"cluster": "b", **new["placement"]}},
        },
        "migration": {"from": "v1", "to": "v2", "lock": 15, "barrier": PATIENCE},
    }
    return Config.from_dict(raw, {KEY: SECRET})


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two answers differ, field by field: types count, numbers up to what float32 keeps of them."""
    if isinstance(theirs, float) and isinstance(ours, float):
        return [] if np.isclose(ours, theirs, rtol=1e-5, atol=1e-6) else [f"{path}: {ours} for {theirs}"]
    if type(ours) is not type(theirs):
        return [f"{path}: {ours!r} for {theirs!r}"]
    if isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            return [f"{path}: keys {sorted(ours)} for {sorted(theirs)}"]
        return [found for key in theirs for found in differences(ours[key], theirs[key], f"{path}.{key}")]
    if isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{path}: {ours!r} for {theirs!r}"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [found for place, pair in pairs for found in differences(*pair, f"{path}[{place}]")]
    return [] if ours == theirs else [f"{path}: {ours!r} for {theirs!r}"]
