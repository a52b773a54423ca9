"""What all processes of a run agree on."""

from __future__ import annotations

from pathlib import Path

from tests.support.world import DIMENSION

TENANTS = ("acme", "birch", "cedar")
STABLE = [f"stable-{number}" for number in range(60)]
KEPT = [f"kept-{number}" for number in range(3)]
SHARED = [f"shared-{number}" for number in range(3)]

LINGER = 1.0
"""Seconds that a request without an answer may still take effect: no fault holds one up for longer."""

LANDED_AFTER = LINGER + 1.5
"""Seconds after which a write that failed is over, on a machine with other things to do."""

_TOML = f"""
[control]
url = "{{redis}}"
namespace = "chaos"
timeout = 1.0
lease = 3.0
idle_lease = 6.0

[router]
linger = {LINGER}
deadline = 6.0
drain = 5.0
stale_reads = false

[copy]
page = 15

[clusters.a]
kind = "qdrant"
url = "{{old}}"
timeout = 1.5

[clusters.b]
kind = "qdrant"
url = "{{new}}"
timeout = 1.5

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
lock = 3.0
max_hold = 2.0
barrier = 15.0
attempts = 3
"""


def write_config(folder: Path, *, redis: str, old: str, new: str) -> Path:
    """Two clusters by URL, short leases and locks, a small page; stale reads are refused."""
    path = folder / "shardroute.toml"
    path.write_text(_TOML.format(redis=redis, old=old, new=new))
    return path
