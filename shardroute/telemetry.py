"""Names of spans, attributes and metrics, in one place; OpenTelemetry's API is called directly."""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics, trace

_SCOPE: Final = "shardroute"

tracer: Final = trace.get_tracer(_SCOPE)
_meter: Final = metrics.get_meter(_SCOPE)

# OpenTelemetry semantic conventions for database clients, stable names.
DB_SYSTEM: Final = "db.system.name"
DB_OPERATION: Final = "db.operation.name"
DB_COLLECTION: Final = "db.collection.name"
DB_NAMESPACE: Final = "db.namespace"
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# Ours.
TENANT: Final = "shardroute.tenant"
SHARD: Final = "shardroute.shard"
PHASE: Final = "shardroute.phase"
EPOCH: Final = "shardroute.epoch"
PATH: Final = "shardroute.path"  # old or new
ROLE: Final = "shardroute.role"  # primary or secondary
CLUSTER: Final = "shardroute.cluster"
POINTS: Final = "shardroute.points.count"
HOLD_WAIT: Final = "shardroute.hold.wait_ms"
STALE: Final = "shardroute.stale"
DEBT: Final = "shardroute.debt"
ATTEMPTS: Final = "shardroute.attempts"
ENCODER: Final = "shardroute.encoder"
TEXTS: Final = "shardroute.texts.count"
ENCODE: Final = "shardroute.encode"  # a span

duration: Final = _meter.create_histogram(
    "db.client.operation.duration",
    unit="s",
    description="Duration of requests to a cluster.",
    explicit_bucket_boundaries_advisory=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
)
encode_duration: Final = _meter.create_histogram(
    "shardroute.encode.duration", unit="s", description="How long encoding took, the encoder waited for."
)
hold_wait: Final = _meter.create_histogram(
    "shardroute.hold.wait", unit="s", description="How long writes waited for a hold to end."
)
debt_marked: Final = _meter.create_counter(
    "shardroute.debt.marked", unit="{record}", description="Records that a dual write left as debt."
)
debt_paid: Final = _meter.create_counter(
    "shardroute.debt.paid", unit="{record}", description="Records of debt that were paid."
)
writes_repeated: Final = _meter.create_counter(
    "shardroute.writes.repeated", unit="{write}", description="Writes done again because the lease broke."
)
stale_reads: Final = _meter.create_counter(
    "shardroute.reads.stale", unit="{read}", description="Reads by a map whose lease had run out."
)
records_copied: Final = _meter.create_counter(
    "shardroute.copy.records", unit="{record}", description="Records copied from primary to secondary."
)
