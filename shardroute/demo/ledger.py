"""What was acknowledged, what was seen, and whether the one allows the other. Pure: times are given.

A key (tenant and id) is a register for each of its two fields, `version` and `base`: an upsert sets both, an
update `version` alone, a delete sets both to None. Every attempt has a version of its own, so what is seen tells
which attempt put it there. Times are CLOCK_MONOTONIC's, which all processes of a machine share.

The rule: seen may be what an attempt put there, if the attempt had begun when the look ended and, when the look
began, no other acknowledged attempt had followed it. B follows A if B began after A was acknowledged. An attempt
that was never acknowledged may take effect at any time, or never.

A look at a cluster whose reads lag behind writes is judged as if it had begun earlier, by its lag and no more. At the
end, when the clusters have been given the time to catch up, nothing lags.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from math import inf
from typing import NamedTuple


class Verb(StrEnum):
    """What an attempt tried."""

    UPSERT = "upsert"
    UPDATE = "update"
    DELETE = "delete"


class Field(StrEnum):
    """What a look at a key shows: the version, and the version of the last whole record under it."""

    VERSION = "version"
    BASE = "base"


_SETS: Mapping[Verb, tuple[Field, ...]] = {
    Verb.UPSERT: (Field.VERSION, Field.BASE),
    Verb.UPDATE: (Field.VERSION,),
    Verb.DELETE: (Field.VERSION, Field.BASE),
}


class Key(NamedTuple):
    """A record, wherever it is."""

    tenant: str
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.id}"


class Attempt(NamedTuple):
    """One write. `acknowledged` is None if no answer came; `version` is unique among the key's attempts."""

    key: Key
    verb: Verb
    version: int
    began: float
    acknowledged: float | None

    @property
    def leaves(self) -> int | None:
        """What is seen in the fields it sets."""
        return None if self.verb is Verb.DELETE else self.version


class Look(NamedTuple):
    """One read of a key. Both fields are None where nothing was found.

    `lag`: seconds that reads of the cluster that was asked may be behind writes.
    """

    key: Key
    began: float
    ended: float
    version: int | None
    base: int | None
    final: bool = False
    lag: float = 0.0


class Fault(StrEnum):
    """What a look can prove."""

    MISSING = "missing"
    SUPERSEDED = "superseded"
    UNHEARD_OF = "never written"
    RESURRECTED = "deleted, and back"


class Finding(NamedTuple):
    """A look that the attempts do not allow."""

    fault: Fault
    look: Look
    field: Field
    allowed: tuple[int | None, ...]

    def __str__(self) -> str:
        """In words, for somebody who looks into it."""
        look, seen = self.look, self.look.version if self.field is Field.VERSION else self.look.base
        when = "at the end" if look.final else f"at {look.began:.3f}"
        allowed = " or ".join("nothing" if version is None else str(version) for version in self.allowed)
        shown = "nothing" if seen is None else f"{self.field} {seen}"
        return f"{look.key} {self.fault}: {when} there was {shown}, it should be {allowed}"


def judge(attempts: Iterable[Attempt], looks: Iterable[Look]) -> Iterator[Finding]:
    """The looks that prove a fault, in their order; one finding a look at the most."""
    histories = by_key(attempts)
    for look in looks:
        finding = judge_one(histories.get(look.key, ()), look)
        if finding is not None:
            yield finding


def by_key(attempts: Iterable[Attempt]) -> dict[Key, list[Attempt]]:
    """Attempts of each key, in their order."""
    histories: dict[Key, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        histories[attempt.key].append(attempt)
    return histories


def judge_one(history: Sequence[Attempt], look: Look) -> Finding | None:
    """One look against all attempts on its key."""
    for field, seen in ((Field.VERSION, look.version), (Field.BASE, look.base)):
        setting = [attempt for attempt in history if field in _SETS[attempt.verb]]
        possible = [attempt for attempt in setting if attempt.began <= look.ended]
        allowed = _allowed(possible, look.began - look.lag)
        if seen not in allowed:
            return Finding(_fault(possible, seen, allowed), look, field, tuple(allowed))
    return None


def _allowed(possible: Sequence[Attempt], at: float) -> list[int | None]:
    """What may be seen of what was true at `at` or later. Before the first acknowledged attempt: nothing is there."""
    settled = [
        attempt for attempt in possible if attempt.acknowledged is not None and attempt.acknowledged <= at
    ]
    newest = max((attempt.began for attempt in settled), default=-inf)
    current = [attempt.leaves for attempt in possible if _acknowledged(attempt) >= newest]
    return list(dict.fromkeys(current if settled else [None, *current]))


def _acknowledged(attempt: Attempt) -> float:
    return inf if attempt.acknowledged is None else attempt.acknowledged


def _fault(possible: Sequence[Attempt], seen: int | None, allowed: Sequence[int | None]) -> Fault:
    if seen is None:
        return Fault.MISSING
    if all(version is None for version in allowed):
        return Fault.RESURRECTED
    known = any(attempt.leaves == seen for attempt in possible)
    return Fault.SUPERSEDED if known else Fault.UNHEARD_OF
