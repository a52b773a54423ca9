"""Rule 4 over two clocks: a router gives its lease up before Redis ends it, though Redis's host sets its clock.

Time is whole: a lease of 20, of which a router uses 17. Redis counts only while a script looks at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from shardroute import rules

LEASE = 20
MOST = int(LEASE * rules.STEP)
JUMPS = (-100, -3, 1, 2, 3, 7, 19, 100)


class State(NamedTuple):
    real: int
    wall: int  # Redis's clock
    looked: int  # at which wall time a script looked last
    counted: int  # the lease time by then
    jumped: bool


@dataclass(frozen=True)
class ClocksModel:
    lease_time: Callable[[int, int, int], int] = rules.lease_time

    def initial(self) -> State:
        return State(0, 0, 0, 0, jumped=False)

    def steps(self, state: State) -> Iterator[State]:
        if state.real < LEASE:
            yield state._replace(real=state.real + 1, wall=state.wall + 1)
        if not state.jumped:
            for jump in JUMPS:
                yield state._replace(wall=state.wall + jump, jumped=True)
        counted = self.lease_time(state.counted, state.wall - state.looked, MOST)
        yield state._replace(looked=state.wall, counted=counted)

    def violation(self, state: State) -> str | None:
        if state.counted >= LEASE and state.real < LEASE - rules.margin(LEASE):
            return f"the session ended at {state.real} of {LEASE}, while its router holds the lease"
        return None
