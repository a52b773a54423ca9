"""What the machine can do, by how long it takes to read the corpus; and how that is said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")

_QUIET = 2.0
"""Seconds that the standard library's docstrings take on one processor of an ordinary machine that is quiet."""


def timed(work: Callable[[], _Answer]) -> tuple[_Answer, float]:
    """What `work` answers, and how many times longer than on a quiet machine it took; 1 at least."""
    began = time.monotonic()
    answer = work()
    return answer, max(1.0, (time.monotonic() - began) / _QUIET)


def load_in_words() -> str:
    """The load of the last minute and the processors that share it; empty where the system does not tell."""
    try:
        return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    except (AttributeError, OSError):  # Windows
        return ""
