"""The spans and metrics of reads that touch both clusters, and what they do not hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shardroute import telemetry as names
from shardroute.embedded import EmbeddedRedis
from tests.routing.duals import VECTOR, Dual, dual
from tests.routing.stage import until

from .test_secrets import measured as measured  # a fixture
from .test_spans import attributes, named, parents
from .test_spans import spans as spans  # a fixture

SIDES = {("primary", "old"), ("shadow", "new")}


@pytest.fixture
async def pair(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[Dual]:
    async with dual(redis_server.url, namespace, shadow={}, router={"failover_reads": True}) as made:
        yield made


def points(reader: InMemoryMetricReader, name: str) -> list[dict[str, object]]:
    """The attributes of a metric's points."""
    data = reader.get_metrics_data()
    assert data is not None
    return [
        dict(point.attributes or {})
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


async def compared(spans: InMemorySpanExporter, number: int = 1) -> list[ReadableSpan]:
    await until(lambda: len(named(spans, names.COMPARE)) == number)
    return named(spans, names.COMPARE)


def sides(found: list[ReadableSpan]) -> set[tuple[object, object]]:
    return {(attributes(span)[names.ROLE], attributes(span)[names.PATH]) for span in found}


async def test_a_shadow_is_a_younger_sibling_linked_to_the_request_that_was_answered(
    pair: Dual, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    await pair.tenant.query(VECTOR, top_k=3)
    (comparison,) = await compared(spans)
    (root,) = named(spans, "shardroute.query")
    primary, shadow = named(spans, "query")
    assert sides([primary]) | sides([shadow]) == SIDES
    assert root.kind is comparison.kind is SpanKind.INTERNAL
    assert root.context is not None
    assert root.parent is None
    assert parents([primary, shadow, comparison]) == {root.context.span_id}
    assert [link.context for link in shadow.links] == [primary.context]
    assert shadow.start_time is not None
    assert root.end_time is not None
    assert shadow.start_time >= root.end_time
    found = attributes(comparison)
    assert (found[names.VERDICT], found[names.RECALL], found[names.OVERLAP]) == ("same", 1.0, 1.0)
    assert (found[names.PRIMARY_HITS], found[names.SECONDARY_HITS]) == (3, 3)
    assert isinstance(found[names.LATENCY_DIFFERENCE], float)
    assert found[names.PHASE] == "DUAL_OLD"


async def test_a_shadow_that_fails_says_so_and_quotes_nothing(
    pair: Dual, spans: InMemorySpanExporter
) -> None:
    secret = "only-the-tenant-knows"

    def odd(_: object) -> object:
        raise ValueError(secret)

    pair.new.odd = odd
    spans.clear()
    await pair.tenant.query([0.12345, 2, 3, 4], filter={"note": secret})
    (comparison,) = await compared(spans)
    assert attributes(comparison)[names.VERDICT] == "error"
    assert attributes(comparison)[names.ERROR_TYPE] == "ValueError"
    assert comparison.status.status_code is StatusCode.ERROR
    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    assert secret not in everything
    assert "0.12345" not in everything


async def test_a_fetch_has_a_shadow_of_the_same_form(pair: Dual, spans: InMemorySpanExporter) -> None:
    await pair.spoil(gone=("1",))
    spans.clear()
    await pair.tenant.fetch(["0", "1"])
    (comparison,) = await compared(spans)
    assert sides(named(spans, "fetch")) == SIDES
    found = attributes(comparison)
    assert (found[names.VERDICT], found[names.MISSING], found[names.DIFFERING]) == ("differs", 1, 0)
    assert (found[names.PRIMARY_HITS], found[names.SECONDARY_HITS]) == (2, 1)


async def test_a_canary_is_told_by_its_role_and_what_replaces_it_is_its_sibling(
    pair: Dual, spans: InMemorySpanExporter
) -> None:
    await pair.canary(100)
    pair.new.faults.down = True
    spans.clear()
    await pair.tenant.query(VECTOR)
    (root,) = named(spans, "shardroute.query")
    canary, primary = named(spans, "query")
    assert sides([canary]) == {("canary", "new")}
    assert sides([primary]) == {("primary", "old")}
    assert root.context is not None
    assert parents([canary, primary]) == {root.context.span_id}
    assert attributes(canary)[names.ERROR_TYPE] == "ClusterUnavailable"


async def test_a_failover_is_told_by_an_attribute(pair: Dual, spans: InMemorySpanExporter) -> None:
    pair.old.faults.down = True
    spans.clear()
    await pair.tenant.query(VECTOR)
    failed, instead = named(spans, "query")
    assert names.FAILOVER not in attributes(failed)
    assert attributes(instead)[names.FAILOVER] is True
    assert sides([instead]) == {("secondary", "new")}
    await asyncio.sleep(0.05)
    assert not named(spans, names.COMPARE), "there is no answer of the primary to compare with"


async def test_metrics_tell_path_and_phase_and_never_the_tenant(
    pair: Dual, measured: InMemoryMetricReader, spans: InMemorySpanExporter
) -> None:
    await pair.tenant.query(VECTOR)
    await compared(spans)
    pair.old.faults.down = True
    await pair.tenant.query(VECTOR)
    pair.old.faults.down = False
    await pair.canary(100)
    pair.new.faults.down = True
    await pair.tenant.query(VECTOR)
    told = {
        name: points(measured, name)
        for name in (
            "shardroute.shadows",
            "shardroute.agreement",
            "shardroute.reads.failover",
            "shardroute.reads.canary.fallback",
            "db.client.operation.duration",
        )
    }
    assert all(told.values())
    for point in (point for found in told.values() for point in found):
        assert point[names.PHASE] in ("DUAL_OLD", "DUAL_NEW", "OLD")
        assert not {names.TENANT, names.SHARD, names.EPOCH} & point.keys()
    assert {
        names.VERDICT: "same",
        names.DB_OPERATION: "query",
        names.PATH: "new",
        names.PHASE: "DUAL_OLD",
    } in told["shardroute.shadows"]
    shadows = [point for point in told["db.client.operation.duration"] if point[names.ROLE] == "shadow"]
    assert {point[names.PATH] for point in shadows} >= {"new"}
