"""What arrives at a collector: of an application that is set up as the guide says, and of the script."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shardroute import telemetry as names
from shardroute.cli.tracing import asked_for
from shardroute.embedded import EmbeddedRedis
from tests.cli.conftest import Deployment
from tests.cli.conftest import deployment as deployment  # fixtures
from tests.cli.conftest import servers as servers
from tests.support.patience import patience

from .receiver import Receiver, Sent

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as served:
        yield served


@pytest.fixture
async def filled(deployment: Deployment) -> Deployment:
    """A tenant of 120 records, which are three pages."""
    await deployment.init()
    await deployment.fill("acme", 120)
    return deployment


def told(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **more}


async def application(receiver: Receiver, redis: EmbeddedRedis, namespace: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.telemetry.application", redis.url, namespace),
        cwd=ROOT,
        env={**os.environ, **told(receiver, OTEL_SERVICE_NAME="shop")},
    )
    assert await process.wait() == 0


def one(spans: list[Sent]) -> Sent:
    (span,) = spans
    return span


# -- an application ----------------------------------------------------------------------------------------------


async def test_an_application_that_is_set_up_as_the_guide_says_exports_trees_and_metrics(
    receiver: Receiver, redis_server: EmbeddedRedis, namespace: str
) -> None:
    await application(receiver, redis_server, namespace)
    assert {span.service for span in receiver.spans} == {"shop"}
    assert not [span for span in receiver.spans if span.failed or span.events]
    _a_write_to_one_cluster_is_one_span(receiver)
    _a_dual_write_is_a_root_above_both_requests(receiver)
    for root, verdict in zip(receiver.named("shardroute.query"), ("same", "differs"), strict=True):
        _a_shadow_is_a_sibling_linked_to_the_primarys_request(receiver, root, verdict)
    assert receiver.measured["db.client.operation.duration"] >= {names.PATH, names.ROLE, names.PHASE}
    assert receiver.measured["shardroute.shadows"] >= {names.VERDICT, names.PATH, names.PHASE}
    assert receiver.measured["shardroute.agreement"] == {names.PHASE}
    assert receiver.measured["shardroute.copy.records"] == {names.PATH}


def _a_write_to_one_cluster_is_one_span(receiver: Receiver) -> None:
    below = {root.id for root in receiver.named("shardroute.upsert")}
    alone = one([span for span in receiver.named("upsert") if span.parent not in below])
    assert (alone.kind, alone.parent, alone.attributes[names.PHASE]) == ("CLIENT", "", "OLD")


def _a_dual_write_is_a_root_above_both_requests(receiver: Receiver) -> None:
    root = one(receiver.named("shardroute.upsert"))
    paths = receiver.below(root)
    assert (root.kind, root.parent, root.links) == ("INTERNAL", "", ())
    assert root.attributes == {
        names.TENANT: "acme",
        names.SHARD: root.attributes[names.SHARD],
        names.PHASE: "DUAL_NEW",
        names.EPOCH: root.attributes[names.EPOCH],
        names.DEBT: False,
    }
    assert [(span.name, span.kind, span.links) for span in paths] == [("upsert", "CLIENT", ())] * 2
    assert {(span.attributes[names.PATH], span.attributes[names.ROLE]) for span in paths} == {
        ("new", "primary"),
        ("old", "secondary"),
    }
    for span in paths:
        assert span.attributes.items() >= {
            (names.TENANT, "acme"),
            (names.PHASE, "DUAL_NEW"),
            (names.DB_SYSTEM, "memory"),
            (names.DB_OPERATION, "upsert"),
            (names.DB_NAMESPACE, "acme"),
        }


def _a_shadow_is_a_sibling_linked_to_the_primarys_request(
    receiver: Receiver, root: Sent, verdict: str
) -> None:
    below = receiver.below(root)
    assert (root.kind, root.parent, root.attributes[names.PHASE]) == ("INTERNAL", "", "DUAL_NEW")
    assert sorted((span.name, span.kind) for span in below) == [
        ("query", "CLIENT"),
        ("query", "CLIENT"),
        ("shardroute.compare", "INTERNAL"),
    ]
    queries = {span.attributes[names.ROLE]: span for span in below if span.name == "query"}
    primary, shadow = queries["primary"], queries["shadow"]
    assert (primary.attributes[names.PATH], shadow.attributes[names.PATH]) == ("new", "old")
    assert (primary.links, shadow.links) == ((), (primary.id,))
    compare = one([span for span in below if span.name == names.COMPARE])
    assert compare.attributes[names.VERDICT] == verdict
    assert compare.attributes.keys() >= {names.RECALL, names.OVERLAP, names.LATENCY_DIFFERENCE}
    assert (compare.attributes[names.RECALL] == 1.0) == (verdict == "same")


# -- the script --------------------------------------------------------------------------------------------------


async def test_a_migration_by_the_script_arrives_as_a_tree_with_its_pages_linked(
    filled: Deployment, receiver: Receiver
) -> None:
    answer = await filled.run("migrate", "acme", environment=told(receiver))
    assert answer.code == 0, answer.err
    assert {span.service for span in receiver.spans} == {"shardroute-admin"}
    verb = one(receiver.named("shardroute.migrate"))
    stages = {span.name: span for span in receiver.spans if span.parent == verb.id}
    assert (verb.kind, verb.parent, verb.attributes) == ("INTERNAL", "", {names.TENANT: "acme"})
    assert {"shardroute.copy", "shardroute.verification"} <= set(stages)
    for name, page, number in (
        ("shardroute.copy", "shardroute.copy.page", 3),
        ("shardroute.verification", "shardroute.verify.page", None),
    ):
        pages = receiver.named(page)
        assert len(pages) == number or (number is None and pages)
        assert {(span.kind, span.parent, span.links) for span in pages} == {
            ("INTERNAL", "", (stages[name].id,))
        }
        assert sum(span.attributes[names.POINTS] for span in pages) == 120
    assert not [span for span in receiver.spans if span.failed or span.events]
    assert receiver.measured["shardroute.copy.records"] == {names.PATH}


async def test_the_services_name_is_the_environments_if_it_has_one(
    filled: Deployment, receiver: Receiver
) -> None:
    environment = told(receiver, OTEL_SERVICE_NAME="moves", OTEL_METRICS_EXPORTER="none")
    answer = await filled.run("verify", "acme", environment=environment)
    assert answer.code == 2
    await filled.run("migrate", "acme", environment=environment)
    assert {span.service for span in receiver.spans} == {"moves"}
    assert receiver.metrics == []


async def test_what_was_done_until_ctrl_c_is_delivered(deployment: Deployment, receiver: Receiver) -> None:
    deployment.write(rate=100)
    await deployment.init()
    await deployment.fill("acme", 400)
    process = await deployment.start("migrate", "acme", environment=told(receiver))
    assert process.stderr is not None
    while b"copy 0 of 400" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    async with patience():
        _, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    verb = one(receiver.named("shardroute.migrate"))
    assert verb.failed
    assert verb.attributes[names.ERROR_TYPE] == "CancelledError"


@pytest.mark.parametrize("status", [404, 503])
async def test_a_collector_that_takes_nothing_is_one_sentence_and_no_failure(
    filled: Deployment, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    answer = await filled.run("migrate", "acme", environment=told(receiver))
    assert answer.code == 0
    assert answer.err.count(f"note: export to {receiver.url}: ") == 1
    assert "Traceback" not in answer.err
    assert "Transient" not in answer.err


async def test_a_collector_that_never_answers_is_not_waited_for(filled: Deployment) -> None:
    """The exporters themselves would wait for ten seconds, and for the metrics again."""
    connections: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    answer = await filled.run(
        "migrate", "acme", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}"}
    )
    for connection in connections:
        connection.close()
    silent.close()
    await silent.wait_closed()
    assert answer.code == 0
    assert (
        f"note: export to http://{host}:{port}: not all of it was taken within 3 s of the end" in answer.err
    )


async def test_the_address_is_told_without_its_password(filled: Deployment) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@127.0.0.1:1"}
    answer = await filled.run("migrate", "acme", environment=environment)
    assert answer.code == 0
    assert "note: export to http://127.0.0.1:1: " in answer.err
    assert "secret" not in answer.err


async def test_another_protocol_is_one_sentence_and_nothing_is_exported(
    filled: Deployment, receiver: Receiver
) -> None:
    answer = await filled.run("status", environment=told(receiver, OTEL_EXPORTER_OTLP_PROTOCOL="grpc"))
    assert answer.code == 0
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not known here, only http/protobuf is" in answer.err
    assert receiver.payloads == []


async def test_a_variable_that_makes_no_sense_is_one_sentence_and_no_failure(
    filled: Deployment, receiver: Receiver
) -> None:
    answer = await filled.run("status", environment=told(receiver, OTEL_METRIC_EXPORT_INTERVAL="-1"))
    assert answer.code == 0
    assert answer.err.count("note: not all traces and metrics are exported") == 1
    assert "-1" in answer.err
    assert receiver.payloads == []


_WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.exporter", "opentelemetry.sdk")):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
"""


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--trace-file", "traces.json"), 2)])
async def test_a_missing_package_is_one_sentence_and_fails_only_what_asked_for_a_file(
    filled: Deployment, receiver: Receiver, arguments: tuple[str, ...], code: int
) -> None:
    (filled.folder / "sitecustomize.py").write_text(_WITHOUT)
    environment = {"PYTHONPATH": f"{filled.folder}:{ROOT}"}
    if not arguments:
        environment |= told(receiver)
    answer = await filled.run("status", *arguments, environment=environment)
    assert answer.code == code, answer.err
    assert answer.err.count("pip install 'shardroute[otel]'") == 1


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "TRACES METRICS"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ""),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "TRACES"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "TRACES"),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, "TRACES"),
        ({"OTEL_TRACES_EXPORTER": "console"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, "TRACES"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, ""),
    ],
    ids=str,
)
def test_the_standard_variables_say_what_is_exported(environment: dict[str, str], asked: str) -> None:
    assert {signal for signal in ("TRACES", "METRICS") if asked_for(signal, environment)} == set(
        asked.split()
    )
