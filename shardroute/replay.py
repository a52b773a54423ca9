"""Recorded queries asked again, of both of a tenant's clusters at once: how far the answers agree, and how fast.

No router is asked and nothing is written. The stores are asked directly, so the application's traffic is not needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .comparisons import Example, RecordedQuery
from .errors import InvalidInput, ShardrouteError, TenantBreach
from .phases import Side
from .questions import Search
from .recording import as_query, from_line
from .records import Match, Query, as_vector, check_dimension
from .routing import Route, Sides, Target
from .shardmap import Standing
from .statistics import Events, Tally

_WORST = 20


@dataclass(slots=True)
class Replayed:
    """What a replay found. `worst`: the comparisons that agreed least, worst first."""

    tally: Tally = field(default_factory=Tally)
    worst: list[Example] = field(default_factory=list)

    def note(self, example: Example) -> None:
        self.worst = sorted([*self.worst, example], key=lambda one: -one.badness)[:_WORST]


def read_lines(lines: Iterable[str], sides: Sides) -> list[RecordedQuery]:
    """The queries of a file, each of which both sides can answer. Raises InvalidInput with the number of the line."""
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            recorded = from_line(line)
            check_fits(recorded, sides)
        except InvalidInput as error:
            raise InvalidInput(f"line {number}: {error}") from error
        found.append(recorded)
    return found


def check_fits(recorded: RecordedQuery, sides: Sides) -> None:
    """Raises InvalidInput for a query that one of the sides cannot answer."""
    query, encoding = as_query(recorded), sides.encoding
    if query.text is not None and encoding is None:
        raise InvalidInput("a query by text needs topologies with an encoder")
    if query.vector is not None and encoding is not None and encoding.shared is None:
        raise InvalidInput("the two sides make their vectors by different encoders: queries are by text")
    for side in Side:
        target = sides[side]
        check_dimension(query.vector, target.place.dimension, target.place.metric, what="query")
        reason = None if query.filter is None else target.store.filter_misfit(query.filter)
        if reason is not None:
            raise InvalidInput(f"cluster {target.store.name!r} cannot evaluate the filter: {reason}")


async def replay(
    sides: Sides, standing: Standing, queries: Sequence[RecordedQuery], *, concurrency: int, timeout: float
) -> Replayed:
    """Asks both sides each query at the same time, and the primary once more for the noise floor.

    `concurrency`: queries under way at once. `timeout`: seconds for each request; failures are counted by type.
    """
    found, places = Replayed(), asyncio.Semaphore(concurrency)
    asker = _Asker(sides.route(standing), timeout, found)

    async def one(recorded: RecordedQuery) -> None:
        async with places:
            await asker.ask(Search(await _ready(recorded, sides)))

    async with asyncio.TaskGroup() as group:
        for recorded in queries:
            group.create_task(one(recorded))
    return found


async def _ready(recorded: RecordedQuery, sides: Sides) -> Query:
    query, encoding = as_query(recorded), sides.encoding
    if encoding is None or query.text is None:
        return query
    vector, text = await encoding.asked(None, query.text)
    return replace(query, vector=None if vector is None else as_vector(vector), text=text)


@dataclass(frozen=True, slots=True)
class _Answer:
    matches: list[Match]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Asker:
    route: Route
    timeout: float
    found: Replayed

    async def ask(self, search: Search) -> None:
        """The primary's second turn comes afterwards, so that the two do not slow each other down."""
        primary, other = self.route.targets
        ours, theirs = await asyncio.gather(self._timed(primary, search), self._timed(other, search))
        again = await self._timed(primary, search)
        if ours is not None and again is not None:
            search.repeated(ours.matches, again.matches, self.found.tally)
        if ours is not None and theirs is not None:
            self._compare(search, ours, theirs)

    async def _timed(self, target: Target, search: Search) -> _Answer | None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.timeout):
                matches = await search.put(target)
        except (ShardrouteError, TimeoutError) as error:
            self.found.tally.failed(target.side, type(error).__name__)
            self.found.tally.event(Events.BREACH, isinstance(error, TenantBreach))
            return None
        answer = _Answer(matches, time.perf_counter() - began)
        self.found.tally.answered(target.side, answer.seconds)
        return answer

    def _compare(self, search: Search, ours: _Answer, theirs: _Answer) -> None:
        finding = search.compared(ours.matches, theirs.matches, self.route)
        finding.count(self.found.tally)
        if finding.same:
            return
        example = Example(
            digest=search.digest(),
            badness=finding.badness,
            at=time.time(),
            phase=self.route.standing.phase,
            top_k=search.size,
            primary_ids=finding.ours,
            other_ids=finding.theirs,
            primary_seconds=ours.seconds,
            other_seconds=theirs.seconds,
        )
        self.found.note(example)
