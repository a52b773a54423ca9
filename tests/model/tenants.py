"""Rules 2 and 3 for one session that serves two tenants: whose barrier a slow write holds up.

One router with stale views of the map, two tenants with a migrator each, at most one write of each tenant in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from shardroute import rules
from shardroute.rules import Acknowledgement, Session

_T = TypeVar("_T")
TENANTS = ("one", "two")
SESSION = "router"


class Flying(NamedTuple):
    """A write: how often its tenant had moved by the map it began under; the last version that map was current for."""

    epoch: int
    overtaken: int | None = None


class State(NamedTuple):
    version: int
    epochs: tuple[int, int]  # how often each tenant has moved
    moved: tuple[int, int]  # the version of each tenant's last move
    adopted: int
    known: tuple[int, int]  # the epochs by the router's map
    flying: tuple[Flying | None, Flying | None]
    told: tuple[int, tuple[tuple[str, int], ...]]  # the acknowledgement that Redis has


@dataclass(frozen=True)
class TenantsModel:
    moves: int = 3  # of each tenant
    acknowledgement: Callable[..., Acknowledgement] = rules.acknowledgement
    lagging: Callable[..., list[str]] = rules.lagging

    def initial(self) -> State:
        return State(0, (0, 0), (0, 0), 0, (0, 0), (None, None), (0, ()))

    def steps(self, state: State) -> Iterator[State]:
        for tenant in range(2):
            if state.epochs[tenant] < self.moves and self._passed(state, tenant):
                version = state.version + 1
                epochs = _put(state.epochs, tenant, state.epochs[tenant] + 1)
                yield state._replace(version=version, epochs=epochs, moved=_put(state.moved, tenant, version))
            flying = state.flying[tenant]
            after = Flying(state.known[tenant]) if flying is None else None
            yield state._replace(flying=_put(state.flying, tenant, after))
        if state.adopted < state.version:
            yield self._adopted(state)
        acknowledged = self._acknowledgement(state)
        yield state._replace(told=(acknowledged.version, tuple(sorted(acknowledged.withheld.items()))))

    def violation(self, state: State) -> str | None:
        for tenant, name in enumerate(TENANTS):
            flying = state.flying[tenant]
            if flying is not None and state.epochs[tenant] > flying.epoch + 1:
                return f"a write of tenant {name} is under way two phases after the one it began in"
            if flying is None and self._told_all(state) and not self._passed(state, tenant):
                return f"the barrier of tenant {name} waits for a write of another tenant"
        return None

    def _told_all(self, state: State) -> bool:
        now = self._acknowledgement(state)
        return state.adopted == state.version and _told(state) == now

    def _acknowledgement(self, state: State) -> Acknowledgement:
        pairs = zip(TENANTS, state.flying, strict=True)
        overtaken = [
            (name, one.overtaken) for name, one in pairs if one is not None and one.overtaken is not None
        ]
        return self.acknowledgement(state.adopted, overtaken)

    def _passed(self, state: State, tenant: int) -> bool:
        session = Session(SESSION, _told(state), expires=1.0)
        return not self.lagging([session], state.moved[tenant], TENANTS[tenant], 0.0)

    @staticmethod
    def _adopted(state: State) -> State:
        flying = tuple(
            one._replace(overtaken=state.adopted)
            if one is not None and one.overtaken is None and one.epoch != epoch
            else one
            for one, epoch in zip(state.flying, state.epochs, strict=True)
        )
        return state._replace(adopted=state.version, known=state.epochs, flying=(flying[0], flying[1]))


def _told(state: State) -> Acknowledgement:
    version, withheld = state.told
    return Acknowledgement(version, dict(withheld))


def _put(pair: tuple[_T, _T], index: int, value: _T) -> tuple[_T, _T]:
    return (pair[0], value) if index else (value, pair[1])
