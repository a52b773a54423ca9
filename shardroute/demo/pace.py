"""How fast the traffic may be: as fast as the machine answers. Pure.

On a machine that is slow, or busy with other things, requests would else queue until their time is up, and that says
nothing of what is shown here.
"""

from __future__ import annotations

from dataclasses import dataclass

GOAL = 0.25
"""Seconds that a read should take at most."""
LONGEST = 64.0
_UP, _DOWN = (
    1.05,
    0.98,
)  # of each late read, and of each that is not: two in seven are late where it stays as it is


@dataclass(slots=True)
class Pace:
    """`factor`: so many times longer than planned the clients of a process rest between two requests."""

    factor: float = 1.0

    def note(self, seconds: float) -> None:
        """A read took so long, answered or not."""
        change = _UP if seconds > GOAL else _DOWN
        self.factor = min(LONGEST, max(1.0, self.factor * change))
