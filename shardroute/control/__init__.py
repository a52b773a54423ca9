"""Everything in Redis: the map and its changes, sessions, the journal, locks, statistics."""

from .journal import Begun, Checkpoint, Journal, Window
from .locks import Locks, LockState
from .mapstore import MapStore, default_lock
from .plane import ControlPlane
from .sessions import PROTOCOL, Heartbeat, SessionInfo, Sessions, SessionState, new_session_id
from .stats import Stats
from .usage import Memory, Usage

__all__ = [
    "PROTOCOL",
    "Begun",
    "Checkpoint",
    "ControlPlane",
    "Heartbeat",
    "Journal",
    "LockState",
    "Locks",
    "MapStore",
    "Memory",
    "SessionInfo",
    "SessionState",
    "Sessions",
    "Stats",
    "Usage",
    "Window",
    "default_lock",
    "new_session_id",
]
