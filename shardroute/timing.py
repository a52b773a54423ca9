"""The clock of leases and locks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds that also pass while the machine is suspended, where the system has such a clock."""
