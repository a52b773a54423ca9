"""What an application process saw and did: counted while it runs, handed over when it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from ..errors import ShardrouteError
from ..phases import Phase
from .ledger import Attempt, Key, Look, Verb

MOST_EXAMPLES = 20
"""Of failures, breaches and flaws, that many are kept in words; all are counted."""


class Stage(StrEnum):
    """Where a tenant is on its way, as its readers see it."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


STAGE_OF: Mapping[Phase, Stage] = {
    Phase.OLD: Stage.BEFORE,
    Phase.DUAL_OLD: Stage.DURING,
    Phase.HOLD_OLD: Stage.DURING,
    Phase.HOLD_NEW: Stage.DURING,
    Phase.DUAL_NEW: Stage.AFTER,
    Phase.NEW: Stage.AFTER,
}


@dataclass(slots=True)
class Counts:
    """How often. `stale`: read-your-writes checks that did not hold, as far as a worker sees it by itself.

    `late`: requests that got no answer in time and may be tried again; `failed`: those that ended in anything else.
    """

    reads: int = 0
    writes: int = 0
    deletes: int = 0
    failed: int = 0
    late: int = 0
    breaches: int = 0
    flaws: int = 0
    stale: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(slots=True)
class Examples:
    """The first few of what went wrong, in words."""

    failed: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Evidence:
    """Of one process, or of several taken together. `reasons`: how often what was late was which error."""

    counts: Counts = field(default_factory=Counts)
    examples: Examples = field(default_factory=Examples)
    attempts: list[Attempt] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    def failed(self, request: str, error: BaseException) -> None:
        """A request raised something. Nothing here is broken on purpose: what may be tried again took too long."""
        if is_late(error):
            self.counts.late += 1
            self._count(type(error).__name__)
        else:
            self.counts.failed += 1
            _keep(self.examples.failed, f"{request}: {type(error).__name__}: {error}")

    def _count(self, reason: str, times: int = 1) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + times

    def unread(self, tenant: str, error: BaseException) -> None:
        """A tenant could not be read at the end, by however many attempts: nothing is proven of it."""
        self.counts.failed += 1
        _keep(self.examples.failed, f"the audit of {tenant}: {type(error).__name__}: {error}")

    def breach(self, what: str) -> None:
        """A tenant was shown what is another's."""
        self.counts.breaches += 1
        _keep(self.examples.breaches, what)

    def flaw(self, what: str) -> None:
        """A record was not as it was written, or not found where it had to be."""
        self.counts.flaws += 1
        _keep(self.examples.flaws, what)

    def take(self, other: Evidence) -> None:
        """Adds another process's evidence."""
        self.counts += other.counts
        for mine, theirs in (
            (self.examples.failed, other.examples.failed),
            (self.examples.breaches, other.examples.breaches),
            (self.examples.flaws, other.examples.flaws),
        ):
            mine += theirs
        self.attempts += other.attempts
        self.looks += other.looks
        for reason, times in other.reasons.items():
            self._count(reason, times)

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """What `save` wrote. Raises ShardrouteError if a process ended without handing it over."""
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise ShardrouteError(f"an application process left no evidence: {path.name}") from error
        return cls(
            Counts(**raw["counts"]),
            Examples(**raw["examples"]),
            [Attempt(Key(*key), Verb(verb), *rest) for key, verb, *rest in raw["attempts"]],
            [Look(Key(*key), *rest) for key, *rest in raw["looks"]],
            raw["reasons"],
        )


def is_late(error: BaseException) -> bool:
    """Whether it says that something took too long, and nothing worse."""
    return isinstance(error, TimeoutError) or (isinstance(error, ShardrouteError) and error.retryable)


def _keep(examples: list[str], what: str) -> None:
    if len(examples) < MOST_EXAMPLES:
        examples.append(what)
