"""What reads ask, in a form that can be put to either side, and what two answers to one question say. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence, Sized
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Protocol, TypeVar

from . import telemetry as names
from .agreement import Agreement, agreement, scores_compare
from .comparisons import PHASE, digest
from .hashing import key64
from .phases import Phase, Side
from .records import Match, Metric, Query, Record, difference
from .routing import Route, Target
from .shardmap import Standing
from .statistics import Tally

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found between the primary's answer and the secondary's.

    `badness`: from 0, nothing, to 1. `ours`, `theirs`: the ids of both answers. `attributes`: for the span.
    """

    same: bool
    badness: float
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    attributes: Mapping[str, Any]
    agreement: Agreement | None = None
    missing: int = 0
    differing: int = 0

    @property
    def note(self) -> str:
        if self.agreement is None:
            return f"fetch: {self.missing} missing, {self.differing} differ"
        return ""

    def count(self, tally: Tally) -> None:
        if self.agreement is None:
            tally.fetched(self.missing, self.differing)
        else:
            tally.compared(self.agreement)


class Question(Protocol[_Answer]):
    """A read of one tenant."""

    @property
    def operation(self) -> str: ...

    @property
    def size(self) -> int:
        """How many records are asked for at most."""

    def put(self, target: Target) -> Awaitable[_Answer]:
        """The side's answer."""

    def digest(self) -> str:
        """Names the question, and says nothing about it."""

    def kept(self, answer: _Answer) -> _Answer:
        """The answer as it is now, whatever the caller does to it."""

    def ids(self, answer: _Answer) -> tuple[str, ...]: ...

    def compared(self, ours: _Answer, theirs: _Answer, route: Route) -> Finding:
        """The primary's answer and the secondary's."""

    def repeated(self, first: _Answer, second: _Answer, tally: Tally) -> None:
        """Counts what the primary's answer and its own second one have in common."""

    def served(self, tally: Tally, phase: Phase) -> None:
        """Counts that a caller asked."""

    def answered(self, tally: Tally, side: Side, seconds: float) -> None:
        """Counts an answer, whoever asked."""

    def failed(self, tally: Tally, side: Side, kind: str) -> None:
        """Counts a failure, whoever asked; `kind`: the error's type."""


@dataclass(frozen=True, slots=True)
class Search:
    """The question of `query`."""

    query: Query
    operation: ClassVar[str] = "query"

    @property
    def size(self) -> int:
        return self.query.top_k

    def put(self, target: Target) -> Awaitable[list[Match]]:
        return target.store.query(target.place, self.query)

    def digest(self) -> str:
        return digest(self.query)

    def kept(self, answer: list[Match]) -> list[Match]:
        return [Match(match.id, match.score, {**match.metadata}) for match in answer]

    def ids(self, answer: list[Match]) -> tuple[str, ...]:
        return tuple(match.id for match in answer)

    def compared(self, ours: list[Match], theirs: list[Match], route: Route) -> Finding:
        found = agreement(ours, theirs, self.query.top_k, scores_compare=_scores_compare(route, self.query))
        attributes = {names.RECALL: found.recall, names.OVERLAP: found.overlap, **_hits(ours, theirs)}
        return Finding(
            found.same, 1 - found.recall, self.ids(ours), self.ids(theirs), attributes, agreement=found
        )

    def repeated(self, first: list[Match], second: list[Match], tally: Tally) -> None:
        tally.floor(agreement(first, second, self.query.top_k))

    def served(self, tally: Tally, phase: Phase) -> None:
        tally.counts[f"{PHASE}/{phase}"] += 1

    def answered(self, tally: Tally, side: Side, seconds: float) -> None:
        tally.answered(side, seconds)

    def failed(self, tally: Tally, side: Side, kind: str) -> None:
        tally.failed(side, kind)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The question of `fetch`."""

    wanted: Sequence[str]
    vectors: bool
    operation: ClassVar[str] = "fetch"

    @property
    def size(self) -> int:
        return len(self.wanted)

    def put(self, target: Target) -> Awaitable[dict[str, Record]]:
        return target.store.fetch(target.place, self.wanted, vectors=self.vectors)

    def digest(self) -> str:
        return blake2b("\0".join(self.wanted).encode(), digest_size=6).hexdigest()

    def kept(self, answer: dict[str, Record]) -> dict[str, Record]:
        return {
            name: Record.trusted(
                name, record.vector, {**record.metadata}, record.sparse_vector, record.named_vectors
            )
            for name, record in answer.items()
        }

    def ids(self, answer: dict[str, Record]) -> tuple[str, ...]:
        return tuple(answer)

    def compared(self, ours: dict[str, Record], theirs: dict[str, Record], route: Route) -> Finding:
        missing = len(ours.keys() ^ theirs.keys())
        differing = sum(_differ(ours[name], theirs[name], route) for name in ours.keys() & theirs.keys())
        either = len(ours.keys() | theirs.keys())
        bad = missing + differing
        attributes = {names.MISSING: missing, names.DIFFERING: differing, **_hits(ours, theirs)}
        return Finding(
            not bad,
            bad / either if either else 0.0,
            self.ids(ours),
            self.ids(theirs),
            attributes,
            missing=missing,
            differing=differing,
        )

    def repeated(self, first: dict[str, Record], second: dict[str, Record], tally: Tally) -> None:
        """Nothing: fetches are exact."""

    def served(self, tally: Tally, phase: Phase) -> None:
        """Nothing: phases are of queries, and so are latencies."""

    def answered(self, tally: Tally, side: Side, seconds: float) -> None:
        """Nothing, as above."""

    def failed(self, tally: Tally, side: Side, kind: str) -> None:
        tally.fetch_failed(side, kind)


def is_canary(standing: Standing, key: str) -> bool:
    """Whether the other side answers the reads of this key. A key stays on its side while the share grows."""
    return standing.synced and key64(key) % 100 < standing.canary


def _hits(ours: Sized, theirs: Sized) -> dict[str, int]:
    return {names.PRIMARY_HITS: len(ours), names.SECONDARY_HITS: len(theirs)}


def _scores_compare(route: Route, query: Query) -> bool:
    assert route.secondary is not None, "there are two answers"
    one, two = route.primary, route.secondary
    if one.encoder is not two.encoder:
        return False  # distances between the vectors of two models
    hybrid = query.sparse_vector is not None and (query.vector is not None or query.text is not None)
    return scores_compare(
        one.place.metric, two.place.metric, one.store.system, two.store.system, hybrid=hybrid
    )


def _differ(ours: Record, theirs: Record, route: Route) -> bool:
    assert route.secondary is not None, "there are two answers"
    if route.secondary.encoder is not None:  # each side has vectors of its own model
        ours, theirs = (Record.trusted(one.id, None, one.metadata) for one in (ours, theirs))
        return difference(ours, theirs, Metric.DOT) is not None
    metric = min(
        route.primary.place.metric, route.secondary.place.metric
    )  # cosine comes first: it forgives more
    return difference(ours, theirs, metric) is not None
