"""When reads see what was written: a fence in the log, the time that reads may lag, and what was learnt of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from ..records import RESERVED_PREFIX
from ..telemetry import CLUSTER, search_lag

log = logging.getLogger(__name__)

SAFE_LAG = 60.0
"""Seconds. Nothing is documented: the SDK's own tests look for a minute as a rule, and for five at most, until reads
show a write; 30 seconds is what they sleep where no position is told."""

FENCE_ID = f"{RESERVED_PREFIX}_fence__"
"""The id of a record that never exists. An update of it changes nothing and takes a position in the log."""

FENCE_KEY = "shardroute_fence"

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ANSWERS = 3
"""Searches in a row that must have seen the fence: replicas differ, and the next answer may be of another."""

_MARGIN = 2.0
"""Times the lag that searches were seen to have: what fetches and lists are given, which tell nothing of theirs."""

_REMEMBERED = 16

Write = Callable[[], Awaitable[int | None]]
See = Callable[[], Awaitable[int | None]]


class Freshness:
    """Of one cluster. `configured`: seconds after which its owner says that every read sees a write; 0: at once.

    Positions tell how far searches are behind. Where that is much, all else may be: so what was seen lengthens the
    wait. It never shortens it, as fetches, lists, fetches by metadata and counts each lag by themselves, untold.
    """

    def __init__(self, cluster: str, configured: float) -> None:
        self._cluster = cluster
        self._configured = configured
        self._seen: deque[float] = deque(maxlen=_REMEMBERED)
        self._warned = False

    @property
    def lag(self) -> float:
        """Seconds after which every read sees a write, as far as is known."""
        return max(self._configured, _MARGIN * max(self._seen, default=0.0))

    async def caught_up(self, write_fence: Write, seen: See) -> None:
        """Returns when searches have seen the fence, and not before `lag` seconds after it was acknowledged.

        `write_fence` answers the position of its write, `seen` the one that a search has seen; None is unknown.
        Positions are a namespace's own and only grow, so what was acknowledged before the fence, by whomever,
        is before it in the log. One answer proves nothing: several in a row must have seen it, after the time too.
        """
        position, acknowledged = await write_fence(), time.monotonic()
        behind = await _reached(position, seen, acknowledged)
        while (left := acknowledged + max(self.lag, _MARGIN * behind) - time.monotonic()) > 0:
            await asyncio.sleep(left)
            behind = max(behind, await _reached(position, seen, acknowledged))
        if position is not None:
            self._learn(behind)

    def _learn(self, behind: float) -> None:
        """So many seconds after the write a search had not seen it."""
        self._seen.append(behind)
        search_lag.record(behind, {CLUSTER: self._cluster})
        if behind > self._configured > 0 and not self._warned:
            self._warned = True
            log.warning(
                "cluster %r: searches were %.1f s behind writes, and clusters.%s.lag is %g s: moves wait longer by "
                "themselves; set it to more than its reads need",
                self._cluster, behind, self._cluster, self._configured,
            )  # fmt: skip


async def _reached(position: int | None, seen: See, since: float) -> float:
    """Returns once so many answers in a row have got there; how late the last one was that had not, 0 if none was.

    At once where positions are not told.
    """
    behind, in_a_row = 0.0, 0
    pauses = itertools.chain(
        (_FIRST_PAUSE * 2**attempt for attempt in range(5)), itertools.repeat(_LONGEST_PAUSE)
    )
    while position is not None and in_a_row < _ANSWERS:
        found = await seen()
        if found is None:
            return behind
        if found >= position:
            in_a_row += 1
            continue
        behind, in_a_row = time.monotonic() - since, 0
        await asyncio.sleep(next(pauses))
    return behind
