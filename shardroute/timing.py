"""The clock of leases and locks."""

from __future__ import annotations

import time


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


clock = _boottime if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
"""Seconds that also pass while the machine is suspended, where the system has such a clock."""
