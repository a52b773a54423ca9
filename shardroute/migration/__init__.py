"""Moves tenants: preflight, copy, debt, verification, cut-over."""

from .finish import Finisher
from .fleet import each
from .migrator import Migrator, Options, Outcome
from .observer import Observer, Silent, Stage
from .preflight import Plan, mismatches, session_problems
from .verifier import Verification

__all__ = [
    "Finisher",
    "Migrator",
    "Observer",
    "Options",
    "Outcome",
    "Plan",
    "Silent",
    "Stage",
    "Verification",
    "each",
    "mismatches",
    "session_problems",
]
