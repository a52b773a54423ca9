"""Numbers, times and steps as short words."""

from __future__ import annotations

from ..phases import EFFECTS, Phase

_UNITS = "kMGT"


def compact(count: float) -> str:
    """At most six characters: 99,999, then 123k, 1.23M."""
    if count < 99_999.5:
        return f"{count:,.0f}"
    thousands = 0
    while count >= 999.5 and thousands < len(_UNITS):
        count, thousands = count / 1000, thousands + 1
    decimals = 0 if count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{decimals}f}{_UNITS[thousands - 1]}"


def clock(seconds: float | None) -> str:
    """``0:42``, ``1:02:03``; dashes for what is not known."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def activity(step: str) -> str | None:
    """What goes on after a step of a migration, if that is another thing than before.

    Between two phases it is the barrier, in a hold the cut-over.
    """
    if step == "locked":
        return "starting"
    moved = step.removeprefix("moved to ")
    if moved == step:
        return None
    return "cut-over" if EFFECTS[Phase(moved)].held else "barrier"


def plural(count: int, noun: str, several: str | None = None) -> str:
    """``1 tenant``, ``1,200 tenants``; `several` where an s is not all."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"
