"""The admin script `shardroute`: a thin wrapper of `shardroute.admin`."""

from .app import main
from .caller import Caller

__all__ = ["Caller", "main"]
