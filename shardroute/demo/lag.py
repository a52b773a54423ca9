"""How far reads of either side may be behind writes, by the stores' own word."""

from __future__ import annotations

from collections.abc import Mapping

from ..phases import Side
from ..router import Router
from ..topology import Topology

Lags = Mapping[Side, float]
"""Of each side, in seconds: a read shows what was acknowledged so long before it began, or later."""


def lags_of(router: Router) -> Lags:
    """0 where reads do not lag."""

    def lag(topology: Topology) -> float:
        return router.stores[topology.placement.cluster].lag

    return {Side.OLD: lag(router.config.route.old), Side.NEW: lag(router.config.route.new)}
