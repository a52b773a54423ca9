"""The demo: every tenant of two real clusters moved under live traffic, and every write accounted for."""

from .plan import Plan
from .story import run_demo

__all__ = ["Plan", "run_demo"]
