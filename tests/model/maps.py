"""Rule 13 over maps that fork and errors that pass: what ends writing, and that nothing else does.

A router follows a map of numbered versions, each with a stamp. Redis fails over to a replica that lacks the newest
versions, and goes on from there; or it answers with errors for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from shardroute import rules

VERSIONS = 4


class State(NamedTuple):
    stamps: tuple[str, ...]  # of the map in Redis: one for each version
    seen: tuple[str, ...]  # of the versions that the router has adopted
    forked: bool
    away: bool  # Redis answers with errors
    leased: bool
    ended: bool  # the router writes no more


@dataclass(frozen=True)
class MapsModel:
    follows: Callable[[str, str], bool] = rules.follows
    error_ends_writing: bool = False
    """As if an error that passes were taken for the end."""

    def initial(self) -> State:
        return State(("a1",), ("a1",), forked=False, away=False, leased=True, ended=False)

    def steps(self, state: State) -> Iterator[State]:
        yield state._replace(away=not state.away)
        yield state._replace(leased=False)
        if state.away:
            yield state._replace(leased=False, ended=state.ended or self.error_ends_writing)
            return
        if len(state.stamps) < VERSIONS:
            line = "b" if state.forked else "a"
            yield state._replace(stamps=(*state.stamps, f"{line}{len(state.stamps) + 1}"))
        if not state.forked:
            for kept in range(1, len(state.stamps)):
                yield state._replace(stamps=state.stamps[:kept], forked=True)
        if not state.ended:
            yield self._renewed(state)

    def _renewed(self, state: State) -> State:
        """A heartbeat, and then the changes after the last version that the router knows."""
        known = len(state.seen)
        if len(state.stamps) < known or not self.follows(state.seen[-1], state.stamps[known - 1]):
            return state._replace(ended=True, leased=False)
        return state._replace(seen=state.seen + state.stamps[known:], leased=True)

    def violation(self, state: State) -> str | None:
        if state.ended and not state.forked:
            return "writing has ended, though the map is the one that the router knows"
        lost = set(state.seen) - set(state.stamps)
        if lost and any(stamp.startswith("b") for stamp in state.seen):
            return f"the router follows the fork, and knows of {sorted(lost)} that is not in it"
        return None
