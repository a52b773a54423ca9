"""What all processes of a run agree on."""

from __future__ import annotations

from pathlib import Path

from tests.support.world import DIMENSION

TENANTS = ("acme", "birch")
STABLE = [f"stable-{number}" for number in range(40)]
"""Written once, at the start: a copy takes several pages."""
KEPT = [f"kept-{number}" for number in range(3)]
"""There from the start, updated and never deleted."""
SHARED = [f"shared-{number}" for number in range(5)]
"""Written, updated and deleted by all."""

LEASE = 3.0
IDLE_LEASE = 4.0
LOCK = 3.0
LINGER = 1.0
"""Seconds that a request whose client is gone may still take effect. What faults hold up stays below it."""

_TOML = f"""
[control]
url = "{{redis}}"
namespace = "soak"
timeout = 1.0
lease = {LEASE}
idle_lease = {IDLE_LEASE}

[router]
linger = {LINGER}
deadline = 6.0
drain = {{drain}}
stale_reads = false
failover_reads = {{failover}}

[copy]
page = 15

[clusters.a]
kind = "qdrant"
url = "{{old}}"
timeout = {{timeout}}

[clusters.b]
kind = "qdrant"
url = "{{new}}"
timeout = {{timeout}}

[topologies.v1]
dimension = {DIMENSION}
metric = "euclidean"
placement = {{{{ cluster = "a", collection = "docs" }}}}

[topologies.v2]
dimension = {DIMENSION}
metric = "euclidean"
shards = 2
placement = {{{{ cluster = "b", collection = "docs_{{{{shard}}}}" }}}}

[migration]
from = "v1"
to = "v2"
lock = {LOCK}
max_hold = 2.0
barrier = 15.0
attempts = 3
"""


def write_config(
    path: Path, *, redis: str, old: str, new: str, failover: bool, drain: float, timeout: float
) -> None:
    """Two clusters by URL, short leases and locks, a small page; reads without a lease are refused.

    `timeout`: of the clusters; `drain`, `failover`: as `router.drain` and `router.failover_reads`.
    """
    switch = str(failover).lower()
    path.write_text(
        _TOML.format(redis=redis, old=old, new=new, failover=switch, drain=drain, timeout=timeout)
    )
