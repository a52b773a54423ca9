"""Exit codes, and which error ends in which."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ..errors import (
    ConfigError,
    InvalidInput,
    LossRefused,
    PurgeRefused,
    SuspectsDiffer,
    TenantLocked,
    VerbRefused,
    VerificationFailed,
)


class Exit(IntEnum):
    """What the script tells the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 3
    LOCKED = 4
    INTERRUPTED = 130


_OF_ERROR: tuple[tuple[type[Exception], Exit], ...] = (
    (ConfigError, Exit.USAGE),
    (InvalidInput, Exit.USAGE),
    (VerbRefused, Exit.USAGE),
    (VerificationFailed, Exit.DIFFERENT),
    (LossRefused, Exit.DIFFERENT),
    (PurgeRefused, Exit.DIFFERENT),
    (SuspectsDiffer, Exit.DIFFERENT),
    (TenantLocked, Exit.LOCKED),
)
"""The first that fits; every other error is a failure."""

_BY_SEVERITY = (Exit.DONE, Exit.LOCKED, Exit.USAGE, Exit.FAILED, Exit.DIFFERENT, Exit.INTERRUPTED)
"""Of several tenants the worst counts: a difference in the data is worse than not knowing of one."""


def exit_of(error: BaseException) -> Exit:
    """The code for an error."""
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), Exit.FAILED)


def worst(codes: Iterable[Exit]) -> Exit:
    """The code for several; DONE for none."""
    return max(codes, key=_BY_SEVERITY.index, default=Exit.DONE)
