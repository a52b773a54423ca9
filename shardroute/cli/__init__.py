"""The admin script `shardroute`: a thin wrapper of `shardroute.admin`."""

from .app import main

__all__ = ["main"]
