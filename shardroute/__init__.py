"""Move tenants between vector database clusters under live traffic, one at a time, losing nothing."""

from .config import Config
from .errors import (
    ClusterRejected,
    ClusterUnavailable,
    ConfigError,
    ControlPlaneUnavailable,
    EncoderMismatch,
    EncoderUnavailable,
    InvalidFilter,
    InvalidInput,
    InvalidRecord,
    InvalidTenant,
    LeaseLost,
    MapLost,
    MigrationError,
    NotCovered,
    RateLimited,
    ShardrouteError,
    TenantHasData,
    TenantHeld,
    Unavailable,
    UnknownTenant,
)
from .phases import Phase
from .records import Match, Metric, Record, SparseVector
from .router import Router
from .tenant import Tenant
from .topology import percent_encoded

__version__ = "0.1.0"

__all__ = [
    "ClusterRejected",
    "ClusterUnavailable",
    "Config",
    "ConfigError",
    "ControlPlaneUnavailable",
    "EncoderMismatch",
    "EncoderUnavailable",
    "InvalidFilter",
    "InvalidInput",
    "InvalidRecord",
    "InvalidTenant",
    "LeaseLost",
    "MapLost",
    "Match",
    "Metric",
    "MigrationError",
    "NotCovered",
    "Phase",
    "RateLimited",
    "Record",
    "Router",
    "ShardrouteError",
    "SparseVector",
    "Tenant",
    "TenantHasData",
    "TenantHeld",
    "Unavailable",
    "UnknownTenant",
    "percent_encoded",
]
