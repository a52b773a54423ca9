"""The spans that whoever opens Jaeger sees: one on one cluster, a tree of three on two, and none of the data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shardroute import ClusterUnavailable, Router
from shardroute import telemetry as names
from shardroute.embedded import embedded_redis
from shardroute.migration import Options, Silent
from shardroute.phases import Phase
from tests.support.flaky import Faults
from tests.support.patience import patience, until
from tests.support.world import World, record

_EXPORTER = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is exported during the test. A process has one provider for good, so it is set once."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
        trace.set_tracer_provider(provider)
    _EXPORTER.clear()
    yield _EXPORTER
    _EXPORTER.clear()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def parents(spans: Sequence[ReadableSpan]) -> set[int | None]:
    return {span.parent.span_id if span.parent else None for span in spans}


async def dual(world: World, router: Router) -> None:
    """Moves the tenant; returns when the router has heard of it."""
    async with world.admin() as admin:
        await admin.move("migrate", "acme", Options(empty=True))
    await until(lambda: router.tenant("acme").phase is Phase.DUAL_NEW)


async def test_a_request_to_one_cluster_is_one_client_span(world: World, spans: InMemorySpanExporter) -> None:
    async with world.router() as router:
        await router.tenant("acme").upsert([record("a")])
        await router.tenant("acme").query([1, 2, 3, 4])
    assert [span.name for span in spans.get_finished_spans()] == ["upsert", "query"]
    for span in spans.get_finished_spans():
        assert span.kind is SpanKind.CLIENT
        assert attributes(span) == {
            names.DB_SYSTEM: "memory",
            names.DB_COLLECTION: "docs",
            names.DB_NAMESPACE: "acme",
            names.DB_OPERATION: span.name,
            names.CLUSTER: "a",
            names.PATH: "old",
            names.ROLE: "primary",
            names.TENANT: "acme",
            names.SHARD: 0,
            names.PHASE: "OLD",
            names.EPOCH: 0,
        }


async def test_a_dual_write_is_a_root_with_two_siblings_of_one_name(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router:
        await router.tenant("acme").upsert([record("a")])
        await dual(world, router)
        spans.clear()
        await router.tenant("acme").upsert([record("b")])
    (root,) = named(spans, "shardroute.upsert")
    siblings = named(spans, "upsert")
    assert root.kind is SpanKind.INTERNAL
    assert root.parent is None
    assert root.context is not None
    assert parents(siblings) == {root.context.span_id}
    assert {(attributes(span)[names.PATH], attributes(span)[names.ROLE]) for span in siblings} == {
        ("new", "primary"),
        ("old", "secondary"),
    }
    assert attributes(root)[names.PHASE] == "DUAL_NEW"
    assert attributes(root)[names.DEBT] is False


async def test_a_failed_secondary_shows_on_its_span_and_as_debt_on_the_root(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router:
        await dual(world, router)
        spans.clear()
        world.old.faults = Faults(refused=1.0)
        await router.tenant("acme").upsert([record("b")])
    (root,) = named(spans, "shardroute.upsert")
    (failed,) = [span for span in named(spans, "upsert") if attributes(span)[names.ROLE] == "secondary"]
    assert attributes(root)[names.DEBT] is True
    assert attributes(failed)[names.ERROR_TYPE] == "ClusterUnavailable"
    assert failed.status.status_code is StatusCode.ERROR


async def test_a_failed_request_names_its_error_and_quotes_nothing(
    world: World, spans: InMemorySpanExporter
) -> None:
    world.old.faults = Faults(down=True)
    async with world.router() as router:
        with pytest.raises(ClusterUnavailable):
            await router.tenant("acme").fetch(["a"])
    (span,) = named(spans, "fetch")
    assert attributes(span)[names.ERROR_TYPE] == "ClusterUnavailable"
    assert span.events == ()


async def test_a_write_that_waited_out_a_hold_says_for_how_long(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([record("a")])
        writes: list[asyncio.Task[None]] = []

        class WriteInTheHold(Silent):
            def step(self, tenant: str, step: str) -> None:
                if step == "barrier of HOLD_OLD":
                    writes.append(asyncio.get_running_loop().create_task(acme.upsert([record("b")])))

        async with world.admin(WriteInTheHold()) as admin:
            await admin.move("migrate", "acme")
        await asyncio.gather(*writes)
    waited = [span for span in named(spans, "shardroute.upsert") if names.HOLD_WAIT in attributes(span)]
    assert len(writes) == len(waited) == 1
    assert attributes(waited[0])[names.PHASE] == "DUAL_NEW"


async def test_a_migration_is_a_trace_whose_pages_are_roots_linked_to_it(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router:
        await router.tenant("acme").upsert(record(f"r{number}", number) for number in range(50))
        await dual(world, router)
    (verb,) = named(spans, "shardroute.migrate")
    (stage,) = named(spans, "shardroute.copy")
    pages = named(spans, "shardroute.copy.page")
    assert verb.context is not None
    assert stage.parent is not None
    assert stage.parent.span_id == verb.context.span_id
    assert len(pages) == 3
    assert parents(pages) == {None}
    assert {link.context.trace_id for page in pages for link in page.links} == {verb.context.trace_id}


async def test_no_span_holds_a_vector_or_a_metadata_value(world: World, spans: InMemorySpanExporter) -> None:
    secret = "only-the-tenant-knows"
    async with world.router() as router:
        acme = router.tenant("acme")
        await acme.upsert([record("a", 1, note=secret)])
        await dual(world, router)
        await acme.upsert([record("b", 2, note=secret)])
        await acme.query([0.12345, 2, 3, 4], filter={"note": secret})
        await acme.update("a", metadata={"note": f"{secret}!"})
        await acme.delete(filter={"note": secret})
        world.new.faults = Faults(down=True)
        with pytest.raises(ClusterUnavailable):
            await acme.query([0.12345, 2, 3, 4], filter={"note": secret})
    for span in spans.get_finished_spans():
        assert secret not in span.to_json()
        assert "0.12345" not in span.to_json()


async def test_a_read_by_a_lapsed_lease_is_marked_stale(spans: InMemorySpanExporter) -> None:
    async with embedded_redis() as server, World.made(server.url, "stale") as world, world.router() as router:
        server.kill()
        async with patience():
            view = router._open.view
            while view.lease.holds(view.clock()):  # noqa: ASYNC110 - the lease is time, nothing announces its end
                await asyncio.sleep(0.05)
        spans.clear()
        await router.tenant("acme").fetch(["a"])
    assert attributes(named(spans, "fetch")[0])[names.STALE] is True
