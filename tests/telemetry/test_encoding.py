"""Encoding has a span of its own, in its place in the trace, and no span holds any of the text."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shardroute import Record
from shardroute import telemetry as names
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import EncoderUnavailable, ShardrouteError
from shardroute.migration import Silent
from tests.support import encoders
from tests.support.encoders import LARGE, SMALL
from tests.support.world import World

from .test_spans import attributes, dual, named, parents
from .test_spans import spans as spans  # a fixture

SECRET = "only-the-tenant-knows"
OLD = {"encoder": "tests.support.encoders:small", "source_field": "text", "dimension": SMALL}
NEW = {"encoder": "tests.support.encoders:large", "source_field": "text", "dimension": LARGE}


@pytest.fixture
async def world(redis_server: EmbeddedRedis, namespace: str) -> AsyncIterator[World]:
    topologies = {
        "v1": {"placement": {"cluster": "a", "collection": "docs"}, **OLD},
        "v2": {"placement": {"cluster": "b", "collection": "docs"}, **NEW},
    }
    async with World.made(redis_server.url, namespace, topologies=topologies) as made:
        yield made
    encoders.large.rest()


def note(name: str) -> Record:
    return Record(name, metadata={"text": f"{SECRET} {name}"})


async def test_encoding_is_a_child_of_the_request_that_it_is_for(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router:
        await dual(world, router)
        spans.clear()
        await router.tenant("acme").upsert([note("a"), note("b")])
    requests = {attributes(span)[names.PATH]: span.context for span in named(spans, "upsert")}
    encodings = {attributes(span)[names.ENCODER]: span for span in named(spans, names.ENCODE)}
    assert list(map(len, (requests, encodings))) == [2, 2]
    for path, side in (("old", OLD), ("new", NEW)):
        span, above = encodings[side["encoder"]], requests[path]
        assert span.kind is SpanKind.INTERNAL
        assert attributes(span) == {names.ENCODER: side["encoder"], names.TEXTS: 2}
        assert above is not None
        assert parents([span]) == {above.span_id}


async def test_no_span_holds_any_of_the_text_even_when_an_encoder_quotes_it(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router, world.admin() as admin:
        acme = router.tenant("acme")
        await acme.upsert([note("a")])
        await dual(world, router)
        await acme.update("a", metadata={"text": f"{SECRET}!"})
        await acme.query(text=SECRET)
        with encoders.large.away():
            for call in (acme.query(text=SECRET), acme.upsert([note("b")])):
                with pytest.raises(EncoderUnavailable, match=SECRET):
                    await call
        await admin.move("rollback", "acme")
    failed = [span for span in named(spans, names.ENCODE) if span.status.status_code is StatusCode.ERROR]
    assert len(failed) == 2
    assert {attributes(span)[names.ERROR_TYPE] for span in failed} == {"EncoderUnavailable"}
    assert SECRET not in "".join(span.to_json() for span in spans.get_finished_spans())


class Refusing(Silent):
    """The copy is about to begin, and the model begins to quote what it is asked."""

    def step(self, tenant: str, step: str) -> None:
        if step == "barrier of DUAL_OLD":
            encoders.large.refusing = True


async def test_a_move_that_an_encoder_ends_says_so_in_its_spans_and_quotes_nothing(
    world: World, spans: InMemorySpanExporter
) -> None:
    async with world.router() as router, world.admin(Refusing()) as admin:
        await router.tenant("acme").upsert([note("a")])
        with pytest.raises(ShardrouteError, match=SECRET):
            await admin.move("migrate", "acme")
    for name in ("shardroute.migrate", "shardroute.copy", "shardroute.copy.page"):
        (span,) = named(spans, name)
        assert attributes(span)[names.ERROR_TYPE] == "InvalidRecord"
        assert span.status.status_code is StatusCode.ERROR
    assert SECRET not in "".join(span.to_json() for span in spans.get_finished_spans())
