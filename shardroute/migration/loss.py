"""How much a repair may take away before somebody is asked. Pure.

A repair makes the secondary equal to the primary. Should the primary be the side that is wrong, it takes away what is
right: so one that would delete or replace more than a share of the secondary stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALWAYS = 20
"""Records that a repair may delete or replace whatever their share is."""


@dataclass(slots=True)
class Loss:
    """What a repair would take from the secondary, which holds `held` records; the primary holds `kept`.

    `deleted` and `replaced`: ids, and how the records differ.
    """

    held: int = 0
    kept: int = 0
    deleted: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)

    @property
    def records(self) -> Mapping[str, str]:
        return self.deleted | self.replaced

    def allowed(self, share: float) -> int:
        """How many may go unasked. None, if the primary is empty and the secondary is not."""
        return max(ALWAYS, int(self.held * share)) if self.kept else 0

    def excessive(self, share: float, accepted: int) -> bool:
        """Whether more would go than the `share` of what is held, and than somebody has `accepted`."""
        return len(self.deleted) + len(self.replaced) > max(self.allowed(share), accepted)
