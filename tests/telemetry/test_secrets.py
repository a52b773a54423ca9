"""Whatever is done and however it fails: nothing of the data is in what is exported, in bytes and as a whole."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from qdrant_client import AsyncQdrantClient

from shardroute import Record, Router
from shardroute import telemetry as names
from shardroute.admin import Admin
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ClusterRejected, ShardrouteError
from shardroute.migration import Options
from shardroute.phases import Phase
from shardroute.ports import Store
from shardroute.stores.memory import MemoryStore
from shardroute.stores.qdrant import QdrantStore
from shardroute.testing.qdrant import QdrantServer
from shardroute.topology import Topology
from tests.support import encoders
from tests.support.encoders import LARGE, SMALL
from tests.support.flaky import Faults, FlakyStore
from tests.support.patience import until
from tests.support.world import World

from .receiver import Receiver
from .test_spans import spans as spans  # a fixture

ID, VALUE, FILTER, TEXT = (
    f"secret-{name}-only-the-tenant-knows" for name in ("id", "value", "filter", "text")
)
FIELD = "secret-field"
NUMBER = 0.123456789
VECTOR = [NUMBER, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
SECRETS = [
    *(word.encode() for word in (ID, VALUE, FILTER, TEXT, FIELD, "0.1234")),
    struct.pack("<d", NUMBER),
    struct.pack("<f", NUMBER),
]
EXACTLY = {FIELD: {"$eq": FILTER}}

_Answer = TypeVar("_Answer")
_READER = InMemoryMetricReader()


class QuotingStore(FlakyStore):
    """Refuses, when it is told to, and quotes what it was asked in its error, as clusters do."""

    refusing = False

    async def _read(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        self._refuse()
        return await super()._read(call)

    async def _write(self, call: Callable[[], Awaitable[None]]) -> None:
        self._refuse()
        await super()._write(call)

    def _refuse(self) -> None:
        if self.refusing:
            raise ClusterRejected(self.name, f"cannot: {ID} {VALUE} {FILTER} {TEXT} {FIELD} {VECTOR}")


def note(name: str, **more: Any) -> Record:
    return Record(f"{ID}-{name}", metadata={"text": f"{TEXT} {name}", FIELD: VALUE, **more})


@pytest.fixture
def measured() -> InMemoryMetricReader:
    """A process has one meter provider for good, so it is set once."""
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        metrics.set_meter_provider(MeterProvider([_READER], shutdown_on_exit=False))
    return _READER


@pytest.fixture(params=["memory", "qdrant"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[list[Store]]:
    if request.param == "memory":
        yield [MemoryStore("a"), MemoryStore("b")]
        return
    async with QdrantServer() as one, QdrantServer() as two:
        clients = [AsyncQdrantClient(url=server.url, check_compatibility=False) for server in (one, two)]
        yield [QdrantStore(name, client) for name, client in zip("ab", clients, strict=True)]
        for client in clients:
            await client.close()


@pytest.fixture
async def world(
    redis_server: EmbeddedRedis, namespace: str, stores: list[Store]
) -> AsyncIterator[tuple[World, QuotingStore, QuotingStore]]:
    topologies = {
        "v1": {
            "placement": {"cluster": "a", "collection": "docs"},
            "encoder": "tests.support.encoders:small",
            "source_field": "text",
            "dimension": SMALL,
        },
        "v2": {
            "placement": {"cluster": "b", "collection": "docs"},
            "encoder": "tests.support.encoders:large",
            "source_field": "text",
            "dimension": LARGE,
        },
    }
    sections: dict[str, dict[str, Any]] = {
        "shadow": {"share": 1.0, "floor": 0.5, "budget": 1.0},
        "recording": {"share": 1.0},
        "router": {"failover_reads": True},
    }
    async with World.made(redis_server.url, namespace, topologies=topologies, **sections) as made:
        old, new = (QuotingStore(store, seed=1) for store in stores)
        yield replace(made, old=old, new=new), old, new
    encoders.large.rest()


async def every_operation(router: Router) -> None:
    """Each is tried, whatever becomes of those before it."""
    acme = router.tenant("acme")
    calls: Sequence[Callable[[], Awaitable[object]]] = (
        lambda: acme.upsert([note("a"), note("b")]),
        lambda: acme.update(f"{ID}-a", metadata={"text": f"{TEXT}!", FIELD: f"{VALUE}!"}),
        lambda: acme.query(text=TEXT, filter=EXACTLY),
        lambda: acme.query(VECTOR),
        lambda: acme.query(VECTOR, filter=EXACTLY),
        lambda: acme.query([*VECTOR, NUMBER]),
        lambda: acme.query(VECTOR, filter={FIELD: {"$near": FILTER}}),
        lambda: acme.fetch([f"{ID}-a", f"{ID}-none"]),
        lambda: acme.count(filter=EXACTLY),
        lambda: _all(acme.scan(filter=EXACTLY)),
        lambda: acme.upsert([Record(f"{ID}-v", VECTOR, {FIELD: VALUE})]),
        lambda: acme.upsert([Record(f"{ID}-v", VECTOR[:3], {FIELD: VALUE})]),
        lambda: acme.delete(filter={FIELD: FILTER}),
        lambda: acme.delete([f"{ID}-b"]),
    )
    for call in calls:
        with suppress(ShardrouteError):
            await call()
    await asyncio.sleep(0.05)  # for shadows


async def _all(found: AsyncIterator[object]) -> None:
    async for _ in found:
        pass


async def test_no_span_and_no_metric_holds_anything_of_the_data(
    world: tuple[World, QuotingStore, QuotingStore],
    spans: InMemorySpanExporter,
    measured: InMemoryMetricReader,
) -> None:
    made, old, new = world
    async with made.router() as router, made.admin() as admin:
        for topology, store in ((made.config.route.old, old), (made.config.route.new, new)):
            await store.prepare(topology.place("acme"))
        await every_operation(router)
        await _failing_in_turn(router, old, new)
        await admin.move("migrate", "acme", Options())
        await until(lambda: router.tenant("acme").phase is Phase.DUAL_NEW)
        await every_operation(router)
        await _failing_in_turn(router, old, new)
        await _a_difference_is_found(made, old, admin)
        await admin.verify("acme", repair=True)
        await admin.replay("acme", await admin.recorded("acme"))
        await admin.move("rollback", "acme", Options())
        new.refusing = True
        with suppress(ShardrouteError):
            await admin.move("migrate", "acme", Options())
        new.refusing = False
        await admin.move("abort", "acme", Options())

    finished = spans.get_finished_spans()
    assert {name for name in _OPERATIONS if not any(span.name == name for span in finished)} == set()
    failed = {str((span.attributes or {}).get(names.ERROR_TYPE)) for span in finished}
    assert failed >= {"ClusterRejected", "ClusterUnavailable", "EncoderUnavailable"}
    payload = await exported(spans, measured)
    assert b"acme" in payload
    assert b"db.client.operation.duration" in payload
    assert [secret for secret in SECRETS if secret in payload] == []


_OPERATIONS = (
    *("query", "fetch", "scan", "count", "upsert", "update", "delete"),
    *("shardroute.query", "shardroute.upsert", "shardroute.update", "shardroute.delete"),
    *("shardroute.migrate", "shardroute.rollback", "shardroute.abort", "shardroute.verify"),
    *("shardroute.copy", "shardroute.copy.page", "shardroute.verification", "shardroute.verify.page"),
    *(names.ENCODE, names.COMPARE),
)


async def _failing_in_turn(router: Router, old: QuotingStore, new: QuotingStore) -> None:
    """Each cluster refuses and quotes, then is down; then a model is away, and quotes."""
    for store in (old, new):
        store.refusing = True
        await every_operation(router)
        store.refusing = False
        store.faults = Faults(down=True)
        await every_operation(router)
        store.faults = Faults()
    with encoders.large.away():
        await every_operation(router)


async def _a_difference_is_found(made: World, old: QuotingStore, admin: Admin) -> None:
    """By a verification, which names ids."""
    await old.inner.upsert(made.config.route.old.place("acme"), [_encoded(made.config.route.old)])
    assert (await admin.verify("acme")).differing


def _encoded(topology: Topology) -> Record:
    return Record(f"{ID}-{uuid4()}", [NUMBER] * (topology.dimension or 0), {"text": TEXT, FIELD: VALUE})


async def exported(spans: InMemorySpanExporter, measured: InMemoryMetricReader) -> bytes:
    """All of it, as it goes over the net."""
    data = measured.get_metrics_data()
    assert data is not None
    async with Receiver() as receiver:
        tracing = OTLPSpanExporter(f"{receiver.url}/v1/traces")
        await asyncio.to_thread(tracing.export, spans.get_finished_spans())
        measuring = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
        await asyncio.to_thread(measuring.export, data)
        return b"".join(receiver.payloads)
