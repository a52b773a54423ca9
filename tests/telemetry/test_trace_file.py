"""The file of `--trace-file` is what Jaeger's page opens, is there as a whole or not at all, and is refused early."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from shardroute.control import ControlPlane
from shardroute.errors import MapLost
from shardroute.phases import Side
from shardroute.trace_file import TraceFileExporter, spans_of
from tests.cli.conftest import Deployment, record
from tests.cli.conftest import deployment as deployment  # fixtures
from tests.cli.conftest import servers as servers
from tests.support.patience import patience

from .application import GUIDE

pytestmark = pytest.mark.slow


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def named(path: Path) -> dict[str, dict[str, Any]]:
    return {span["name"]: span for span in spans_of(read(path))}


def provider(exporter: TraceFileExporter) -> TracerProvider:
    made = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


# -- the document ------------------------------------------------------------------------------------------------


def test_it_is_one_document_of_otlp_in_json(tmp_path: Path) -> None:
    made = provider(TraceFileExporter(tmp_path / "t.json"))
    tracer = made.get_tracer("test")
    with tracer.start_as_current_span("above", attributes={"n": 2**53, "yes": True, "x": 0.5}) as above:
        link = Link(above.get_span_context())
        with tracer.start_as_current_span("below", kind=SpanKind.CLIENT, links=[link]) as below:
            below.set_status(Status(StatusCode.ERROR, "Broken"))
    made.shutdown()

    (group,) = read(tmp_path / "t.json")["resourceSpans"]
    assert group["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    spans = named(tmp_path / "t.json")
    context = above.get_span_context()
    assert spans["above"]["traceId"] == f"{context.trace_id:032x}"
    assert spans["above"]["spanId"] == spans["below"]["parentSpanId"] == f"{context.span_id:016x}"
    assert "parentSpanId" not in spans["above"]
    (linked,) = spans["below"]["links"]
    assert (linked["traceId"], linked["spanId"]) == (spans["above"]["traceId"], spans["above"]["spanId"])
    assert [spans["above"]["kind"], spans["below"]["kind"]] == [1, 3]
    assert spans["below"]["status"] == {"code": 2, "message": "Broken"}
    assert spans["above"]["attributes"] == [
        {"key": "n", "value": {"intValue": str(2**53)}},
        {"key": "yes", "value": {"boolValue": True}},
        {"key": "x", "value": {"doubleValue": 0.5}},
    ]
    assert re.fullmatch(r"\d{19}", spans["above"]["startTimeUnixNano"])


@pytest.mark.parametrize("count", [0, 1, 512, 1300])
def test_it_holds_every_span_once(tmp_path: Path, count: int) -> None:
    made = provider(TraceFileExporter(tmp_path / "t.json"))
    for number in range(count):
        made.get_tracer("test").start_span(str(number)).end()
    made.shutdown()
    assert [span["name"] for span in spans_of(read(tmp_path / "t.json"))] == [str(n) for n in range(count)]


def test_an_application_adds_it_as_the_guide_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(
        r"```python\n(.*?TraceFileExporter.*?)```", GUIDE.read_text().split("a file\n")[1], re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    made = TracerProvider(shutdown_on_exit=False)
    exec(block, {"provider": made, "BatchSpanProcessor": BatchSpanProcessor})
    made.get_tracer("test").start_span("one").end()
    made.shutdown()
    assert list(named(tmp_path / "trace.json")) == ["one"]


# -- as a whole or not at all ------------------------------------------------------------------------------------


def test_until_it_is_complete_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("before")
    made = provider(TraceFileExporter(path))
    for _ in range(600):
        made.get_tracer("test").start_span("one").end()
    assert path.read_text() == "before"
    made.shutdown()
    assert len(list(spans_of(read(path)))) == 600
    assert os.listdir(tmp_path) == ["t.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_told_at_the_end_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("before")
    exporter = TraceFileExporter(path)
    _fill_the_disk_of(path)
    made = provider(exporter)
    for _ in range(600):
        made.get_tracer("test").start_span("one").end()
    with pytest.raises(OSError, match="No space left"):
        exporter.shutdown()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["t.json"]


def _fill_the_disk_of(path: Path) -> None:
    """What is open beside it writes to a full device from now on."""
    for number in os.listdir("/proc/self/fd"):
        link = f"/proc/self/fd/{number}"
        if os.path.islink(link) and os.readlink(link).startswith(f"{path.parent}/.{path.name}."):
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, int(number))
            os.close(full)


@pytest.mark.parametrize("unusable", ["missing/t.json", ".", "fifo"])
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path, unusable: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"not a file|No such file"):
        TraceFileExporter(tmp_path / unusable)
    assert os.listdir(tmp_path) == ["fifo"]


# -- by the script -----------------------------------------------------------------------------------------------


async def run(deployment: Deployment, *arguments: str) -> Sequence[Any]:
    answer = await deployment.run(*arguments, "--trace-file", "t.json")
    return answer.code, answer.err


async def test_the_script_writes_the_trace_of_a_verb(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill("acme", 120)
    assert (await run(deployment, "migrate", "acme"))[0] == 0
    spans = named(deployment.folder / "t.json")
    assert spans["shardroute.copy"]["parentSpanId"] == spans["shardroute.migrate"]["spanId"]
    assert spans["shardroute.copy.page"]["links"][0]["spanId"] == spans["shardroute.copy"]["spanId"]
    (group,) = read(deployment.folder / "t.json")["resourceSpans"]
    attributes = {pair["key"]: pair["value"] for pair in group["resource"]["attributes"]}
    assert attributes["service.name"] == {"stringValue": "shardroute-admin"}
    assert {path.name for path in deployment.folder.iterdir()} == {"shardroute.toml", "t.json"}


async def test_the_script_refuses_a_bad_path_before_anything_is_done(deployment: Deployment) -> None:
    answer = await deployment.run("init", "--trace-file", "missing/t.json")
    assert answer.code == 2
    assert "--trace-file missing/t.json: No such file or directory" in answer.err
    plane = ControlPlane.open(deployment.config.control)
    with pytest.raises(MapLost):
        await plane.maps.load()
    await plane.aclose()


async def test_the_script_writes_it_after_ctrl_c(deployment: Deployment) -> None:
    deployment.write(rate=100)
    await deployment.init()
    await deployment.fill("acme", 400)
    process = await deployment.start("migrate", "acme", "--trace-file", "t.json")
    assert process.stderr is not None
    while b"copy 0 of 400" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    async with patience():
        await process.communicate()
    assert process.returncode == 130
    assert failure(deployment.folder / "t.json") == "CancelledError"


async def test_the_script_writes_it_after_a_failure(deployment: Deployment) -> None:
    await deployment.init()
    await deployment.fill("acme", 10)
    async with deployment.side(Side.NEW, "acme") as (store, place):
        await store.prepare(place)
        await store.upsert(place, [record(1)])
    code, err = await run(deployment, "migrate", "acme")
    assert code != 0, err
    assert failure(deployment.folder / "t.json") == "PreflightFailed"


def failure(path: Path) -> str:
    """The error that ended the verb."""
    span = named(path)["shardroute.migrate"]
    assert span["status"]["code"] == 2
    (found,) = (pair["value"]["stringValue"] for pair in span["attributes"] if pair["key"] == "error.type")
    return str(found)
