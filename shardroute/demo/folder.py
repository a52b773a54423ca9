"""The run's temporary folder: what its processes hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folder:
    """Where each thing is."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "shardroute.toml"

    @property
    def api_key(self) -> Path:
        return self.path / "api-key"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def corpus(self) -> Path:
        return self.path / "corpus.json"

    def evidence(self, worker: int) -> Path:
        return self.path / f"evidence-{worker}.json"

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"
