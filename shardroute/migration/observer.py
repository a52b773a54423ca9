"""What a migration tells while it works: stages with progress, and every step that another process can see."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    """The long parts of a migration."""

    PREFLIGHT = "preflight"
    COPY = "copy"
    DEBT = "debt"
    VERIFY = "verify"
    PURGE = "purge"


class Observer(Protocol):
    """Called often and from the event loop: return at once."""

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        """A stage begins; `total` records, None where that is not known; `done` by an earlier, interrupted run."""

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        """So many records more."""

    def step(self, tenant: str, step: str) -> None:
        """Something has just been done that other processes can see."""


class Silent:
    """Listens to nothing."""

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None: ...

    def advance(self, tenant: str, stage: Stage, records: int) -> None: ...

    def step(self, tenant: str, step: str) -> None: ...
