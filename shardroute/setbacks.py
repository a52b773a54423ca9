"""What a step that is done again and again meets: how long to pause, what to tell, and when a map counts as lost."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .errors import ControlPlaneUnavailable, MapLost
from .timing import Seldom

log = logging.getLogger(__name__)

_FIRST, _LONGEST = 0.1, 1.0
"""Seconds between attempts: twice as long after each."""

_SELDOM = 60.0
"""Seconds in which errors of one kind are told once."""


class Setbacks:
    """Of one step, since it last went well. `proof`: seconds for which a map has to be lost before it counts as lost.

    Why a map has to be lost for a while: a server that was restarted without its data may take writes for some
    seconds, until whoever watches over it makes it a replica of the one that has them.
    """

    def __init__(self, proof: float, clock: Callable[[], float]) -> None:
        self._proof = proof
        self._clock = clock
        self._seldom = Seldom(_SELDOM, clock)
        self._pause = _FIRST
        self._lost_since: float | None = None

    def over(self) -> None:
        """The step went well."""
        if self._pause > _FIRST:
            log.info("Redis answers again")
        self._pause = _FIRST
        self._lost_since = None

    def met(self, error: Exception) -> float:
        """Tells of the error, and answers for how many seconds to pause. Raises MapLost once that is proven."""
        if isinstance(error, MapLost):
            self._suspect(error)
        else:
            self._lost_since = None
            self._tell(error)
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        return pause

    def _suspect(self, error: MapLost) -> None:
        now = self._clock()
        if self._lost_since is None:
            self._lost_since = now
            log.error("writes wait, and stop if this is so for %g s: %s", self._proof, error)
        elif now - self._lost_since >= self._proof:
            raise error

    def _tell(self, error: Exception) -> None:
        if isinstance(error, ControlPlaneUnavailable):
            if self._seldom.due(error.code):
                log.warning("%s", error)
        elif self._seldom.due(type(error).__name__):
            log.error("a fault of shardroute's: report it. Until it ends, leases run out", exc_info=error)
