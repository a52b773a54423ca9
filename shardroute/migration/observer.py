"""What a migration tells while it works: stages with progress, and every step that another process can see."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    """The long parts of a migration. Those that wait for traffic count comparisons, the others records."""

    PREFLIGHT = "preflight"
    COPY = "copy"
    DEBT = "debt"
    VERIFY = "verify"
    GATES = "gates"
    WATCH = "watch"
    PURGE = "purge"


class Observer(Protocol):
    """Called often and from the event loop: return at once."""

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None:
        """A stage begins; `total` to be done, None where that is not known; `done` by an earlier, interrupted run."""

    def advance(self, tenant: str, stage: Stage, records: int) -> None:
        """So much more."""

    def step(self, tenant: str, step: str) -> None:
        """Something has just been done that other processes can see."""

    def waits(self, tenant: str, what: str) -> None:
        """It takes longer than usual: for what it waits, and what can be done about it."""


class Silent:
    """Listens to nothing."""

    def stage(self, tenant: str, stage: Stage, total: int | None, done: int = 0) -> None: ...

    def advance(self, tenant: str, stage: Stage, records: int) -> None: ...

    def step(self, tenant: str, step: str) -> None: ...

    def waits(self, tenant: str, what: str) -> None: ...
