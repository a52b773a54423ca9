"""The line of six phases, as tables.

Law 1: a tenant stands on one phase and moves only to a neighbour, forward (a migration) or back
(a rollback). Law 2: what a phase means for reads and writes is said in EFFECTS and nowhere else; no
other module branches on a phase. Law 3: which verb may start where, and where it ends, is said in VERBS.
The rules are numbered in docs/protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import VerbRefused


class Side(StrEnum):
    """Which of the two topologies of a migration."""

    OLD = "old"
    NEW = "new"

    @property
    def other(self) -> Side:
        return Side.NEW if self is Side.OLD else Side.OLD


class Phase(StrEnum):
    """Where a tenant stands."""

    OLD = "OLD"
    DUAL_OLD = "DUAL_OLD"
    HOLD_OLD = "HOLD_OLD"
    HOLD_NEW = "HOLD_NEW"
    DUAL_NEW = "DUAL_NEW"
    NEW = "NEW"

    @property
    def rank(self) -> int:
        """Position on the line, 0 to 5."""
        return _RANK[self]


LINE: tuple[Phase, ...] = tuple(Phase)
_RANK: dict[Phase, int] = {phase: rank for rank, phase in enumerate(LINE)}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a phase does: who is read and written first, who is written too, whether writes wait."""

    primary: Side
    secondary: Side | None = None
    held: bool = False

    @property
    def dual(self) -> bool:
        return self.secondary is not None

    @property
    def settled(self) -> bool:
        """On one cluster, and nothing under way."""
        return not (self.dual or self.held)

    @property
    def alone(self) -> Side | None:
        """The side that a settled tenant is on."""
        return self.primary if self.settled else None


EFFECTS: dict[Phase, Effect] = {
    Phase.OLD: Effect(primary=Side.OLD),
    Phase.DUAL_OLD: Effect(primary=Side.OLD, secondary=Side.NEW),
    Phase.HOLD_OLD: Effect(primary=Side.OLD, held=True),
    Phase.HOLD_NEW: Effect(primary=Side.NEW, held=True),
    Phase.DUAL_NEW: Effect(primary=Side.NEW, secondary=Side.OLD),
    Phase.NEW: Effect(primary=Side.NEW),
}

NEIGHBOURS: dict[Phase, tuple[Phase, ...]] = {
    phase: tuple(LINE[rank] for rank in (_RANK[phase] - 1, _RANK[phase] + 1) if 0 <= rank < len(LINE))
    for phase in LINE
}

CROSSING: frozenset[Phase] = frozenset({Phase.HOLD_OLD, Phase.HOLD_NEW})
"""The two phases between which the primary changes (rule 10)."""

HOLD_ENDS_IN: dict[Phase, Phase] = {Phase.HOLD_OLD: Phase.DUAL_OLD, Phase.HOLD_NEW: Phase.DUAL_NEW}
"""Where an overdue hold is moved on to, by anyone (rule 11)."""


NEXT_WITHOUT_DATA: dict[Phase, Phase] = {
    Phase.OLD: Phase.HOLD_OLD,
    Phase.HOLD_OLD: Phase.HOLD_NEW,
    Phase.HOLD_NEW: Phase.NEW,
}
"""The way of tenants that have no data: there is nothing to write twice, so the dual phases are left out."""


def step_towards(phase: Phase, destination: Phase) -> Phase:
    """The neighbour of `phase` that is nearer to `destination`, which must be another phase."""
    return LINE[phase.rank + (1 if destination.rank > phase.rank else -1)]


@dataclass(frozen=True, slots=True)
class Verb:
    """An admin verb: the phases it may start (or go on) from, and the one it ends in."""

    name: str
    starts: frozenset[Phase]
    destination: Phase | None = None


def _verb(name: str, starts: str, destination: Phase | None = None) -> Verb:
    return Verb(name, frozenset(Phase(start) for start in starts.split()), destination)


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        _verb("migrate", "OLD DUAL_OLD HOLD_OLD HOLD_NEW DUAL_NEW", Phase.DUAL_NEW),
        _verb("rollback", "NEW DUAL_NEW HOLD_NEW HOLD_OLD DUAL_OLD", Phase.DUAL_OLD),
        _verb("abort", "HOLD_OLD DUAL_OLD OLD", Phase.OLD),
        _verb("complete", "HOLD_NEW DUAL_NEW NEW", Phase.NEW),
        _verb("verify", "DUAL_OLD DUAL_NEW"),
        _verb("replay", "DUAL_OLD DUAL_NEW"),
        _verb("purge", "OLD NEW"),
    )
}

_INSTEAD: dict[tuple[str, Phase], str] = {
    ("migrate", Phase.NEW): "it has been moved and completed; `rollback` brings it back",
    ("rollback", Phase.OLD): "it is on the old cluster alone; `migrate` moves it",
    ("abort", Phase.HOLD_NEW): "it has crossed already; `rollback` brings it back first",
    ("abort", Phase.DUAL_NEW): "it has crossed already; `rollback` brings it back first",
    ("abort", Phase.NEW): "it has crossed already; `rollback` brings it back first",
    ("complete", Phase.OLD): "it is on the old cluster alone; `migrate` moves it",
    ("complete", Phase.DUAL_OLD): "it has not crossed yet; `migrate` takes it across",
    ("complete", Phase.HOLD_OLD): "it has not crossed yet; `migrate` takes it across",
    ("verify", Phase.OLD): "its data is on the old cluster alone; `migrate` copies it",
    ("verify", Phase.NEW): "its data is on the new cluster alone; `rollback` copies it back",
    ("verify", Phase.HOLD_OLD): "a cut-over is under way; `migrate` or `rollback` finishes it",
    ("verify", Phase.HOLD_NEW): "a cut-over is under way; `migrate` or `rollback` finishes it",
    ("replay", Phase.OLD): "its data is on the old cluster alone; `migrate` copies it",
    ("replay", Phase.HOLD_OLD): "a cut-over is under way; `migrate` or `rollback` finishes it",
    ("replay", Phase.HOLD_NEW): "a cut-over is under way; `migrate` or `rollback` finishes it",
    ("replay", Phase.NEW): "its data is on the new cluster alone; `rollback` copies it back",
    ("purge", Phase.DUAL_OLD): "both clusters are in use; `abort` or `migrate` comes first",
    ("purge", Phase.HOLD_OLD): "both clusters are in use; `abort` or `migrate` comes first",
    ("purge", Phase.HOLD_NEW): "both clusters are in use; `complete` or `rollback` comes first",
    ("purge", Phase.DUAL_NEW): "both clusters are in use; `complete` comes first",
}


_HALF_WAY_BACK: dict[Phase, str] = {
    Phase.DUAL_NEW: "its rollback was interrupted: `rollback` goes on with it, `complete` gives it up",
    Phase.DUAL_OLD: "its migration was interrupted: `migrate` goes on with it, `abort` gives it up",
}


def check_arrived(verb: Verb, tenant: str, phase: Phase, *, synced: bool) -> None:
    """Raises VerbRefused for a tenant that is where the verb ends, but on a way in the other direction.

    Its other side is not in step, so it would be no standby.
    """
    if phase is verb.destination and EFFECTS[phase].dual and not synced:
        raise VerbRefused(f"tenant {tenant!r} is in {phase}, and not in step: {_HALF_WAY_BACK[phase]}.")


def check_verb(name: str, tenant: str, phase: Phase) -> Verb:
    """The verb, if `phase` allows it.

    Raises VerbRefused naming the phase and the verb that does fit.
    """
    verb = VERBS[name]
    if phase not in verb.starts:
        raise VerbRefused(f"tenant {tenant!r} is in {phase}, where `{name}` has nothing to do: "
                          f"{_INSTEAD[name, phase]}.")  # fmt: skip
    return verb
