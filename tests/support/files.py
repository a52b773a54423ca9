"""A configuration file for tests whose processes share servers."""

from __future__ import annotations

from pathlib import Path

from .patience import PATIENCE
from .world import DIMENSION

_TOML = """
[control]
url = "{redis}"
namespace = "{namespace}"
timeout = 10
lease = {lease}
idle_lease = {idle_lease}

[router]
linger = 0.1
deadline = {patience}

[copy]
page = 20

[clusters.a]
kind = "qdrant"
url = "{old}"

[clusters.b]
kind = "qdrant"
url = "{new}"

[topologies.v1]
dimension = {dimension}
metric = "euclidean"
placement = {{ cluster = "a", collection = "docs" }}

[topologies.v2]
dimension = {dimension}
metric = "euclidean"
placement = {{ cluster = "b", collection = "docs" }}

[migration]
from = "v1"
to = "v2"
lock = {lock}
barrier = {patience}
max_hold = {max_hold}
"""


def write_config(
    folder: Path,
    *,
    redis: str,
    namespace: str,
    old: str,
    new: str,
    lease: float = 1.5,
    idle_lease: float = 5,
    max_hold: float = 3,
    lock: float = 6,
) -> Path:
    """Two Qdrant clusters by URL; short leases, short holds, small pages."""
    path = folder / "shardroute.toml"
    path.write_text(
        _TOML.format(
            redis=redis,
            namespace=namespace,
            old=old,
            new=new,
            lease=lease,
            idle_lease=idle_lease,
            max_hold=max_hold,
            lock=lock,
            dimension=DIMENSION,
            patience=PATIENCE,
        )
    )
    return path
