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
ROLE: Final = "shardroute.role"  # primary, secondary, shadow or canary
CLUSTER: Final = "shardroute.cluster"
POINTS: Final = "shardroute.points.count"
HOLD_WAIT: Final = "shardroute.hold.wait_ms"
STALE: Final = "shardroute.stale"
DEBT: Final = "shardroute.debt"
ATTEMPTS: Final = "shardroute.attempts"
ENCODER: Final = "shardroute.encoder"
TEXTS: Final = "shardroute.texts.count"
ENCODE: Final = "shardroute.encode"  # a span
FAILOVER: Final = "shardroute.failover"
COMPARE: Final = "shardroute.compare"  # a span
VERDICT: Final = "shardroute.compare.verdict"  # same, differs, error or breach; of a metric, moved as well
RECALL: Final = "shardroute.compare.recall"
OVERLAP: Final = "shardroute.compare.overlap"
LATENCY_DIFFERENCE: Final = "shardroute.compare.latency_ms"  # the secondary's less the primary's
PRIMARY_HITS: Final = "shardroute.compare.hits.primary"
SECONDARY_HITS: Final = "shardroute.compare.hits.secondary"
MISSING: Final = "shardroute.compare.missing"
DIFFERING: Final = "shardroute.compare.differing"

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
search_lag: Final = _meter.create_histogram(
    "shardroute.search.lag",
    unit="s",
    description="How long after a write searches of a cluster had not seen it.",
    explicit_bucket_boundaries_advisory=[0.1, 0.5, 1, 2, 5, 10, 30, 60, 300],
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
failover_reads: Final = _meter.create_counter(
    "shardroute.reads.failover", unit="{read}", description="Reads that the standby was asked instead."
)
canary_fallbacks: Final = _meter.create_counter(
    "shardroute.reads.canary.fallback",
    unit="{read}",
    description="Canary reads that the primary was asked instead.",
)
shadows_cast: Final = _meter.create_counter(
    "shardroute.shadows", unit="{read}", description="Reads that the other side was asked too, by outcome."
)
shadows_shed: Final = _meter.create_counter(
    "shardroute.shadows.shed", unit="{read}", description="Shadows that the queue had no room for."
)
agreement: Final = _meter.create_histogram(
    "shardroute.agreement",
    unit="1",
    description="Recall of the secondary's answers to queries, the primary's taken as the yardstick.",
    explicit_bucket_boundaries_advisory=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999],
)
records_copied: Final = _meter.create_counter(
    "shardroute.copy.records", unit="{record}", description="Records copied from primary to secondary."
)
