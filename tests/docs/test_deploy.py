"""What compose.yaml starts fits together, and its names are those of the library."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Metric

from shardroute import telemetry
from shardroute.cli.tracing import SERVICE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "jaeger"

KNOWN = {
    "receivers": {"otlp"},
    "processors": {"batch", "tail_sampling"},
    "exporters": {"otlp_grpc", "prometheus", "jaeger_storage_exporter"},
    "connectors": {"spanmetrics"},
    "extensions": {"jaeger_storage", "jaeger_query"},
}
"""Components that otelcol-contrib 0.155 and Jaeger 2.20 have, as far as they are used here."""

POLICIES = {"always_sample", "boolean_attribute", "latency", "ottl_condition", "probabilistic", "status_code"}
POLICIES |= {"string_attribute", "numeric_attribute", "rate_limiting", "span_count"}
"""Of the collector's tail_sampling."""


def config(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
COLLECTOR, JAEGER = config("collector.yaml"), config("jaeger.yaml")
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
NAMES = {value for value in vars(telemetry).values() if isinstance(value, str) and "." in value}


# -- compose -----------------------------------------------------------------------------------------------------


def test_every_file_that_a_service_is_given_is_there() -> None:
    volumes = [volume for service in COMPOSE["services"].values() for volume in service.get("volumes", ())]
    sources = {volume.split(":")[0] for volume in volumes}
    assert sources & set(COMPOSE["volumes"]) == set(COMPOSE["volumes"])
    files = sources - set(COMPOSE["volumes"])
    assert {path.name for path in FOLDER.iterdir()} == {Path(name).name for name in files}
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_services_wait_for_services_that_there_are() -> None:
    services = COMPOSE["services"]
    assert {name for service in services.values() for name in service.get("depends_on", ())} <= set(services)


def test_no_port_is_published_twice() -> None:
    published = [port.split(":")[0] for service in COMPOSE["services"].values() for port in service["ports"]]
    assert len(published) == len(set(published))
    assert {"4318", "16686", "9090", "3000"} <= set(published)


# -- the collector and Jaeger ------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [COLLECTOR, JAEGER], ids=["collector", "jaeger"])
def test_pipelines_are_made_of_known_components_that_are_configured_and_all_used(
    document: dict[str, Any],
) -> None:
    used = {"extensions": set(document["service"].get("extensions", ()))}
    connectors = set(document.get("connectors", {}))
    for pipeline in document["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            used.setdefault(kind, set()).update(set(pipeline.get(kind, ())) - connectors)
    for kind, known in KNOWN.items():
        configured = set(document.get(kind, {}))
        assert {name.split("/")[0] for name in configured} <= known
        assert configured == (connectors if kind == "connectors" else used.get(kind, set()))


def test_a_connector_ends_one_pipeline_and_begins_another() -> None:
    pipelines = COLLECTOR["service"]["pipelines"]
    assert "spanmetrics" in pipelines["traces/counted"]["exporters"]
    assert "spanmetrics" in pipelines["metrics"]["receivers"]


def test_spans_are_counted_before_any_are_thrown_away() -> None:
    pipelines = COLLECTOR["service"]["pipelines"]
    assert "processors" not in pipelines["traces/counted"]
    assert [name for name, each in pipelines.items() if "tail_sampling" in each.get("processors", ())] == [
        "traces/kept"
    ]


def test_what_is_kept_is_documented_policy_by_policy() -> None:
    policies = COLLECTOR["processors"]["tail_sampling"]["policies"]
    section = (
        (ROOT / "docs" / "tracing.md").read_text().split("### What the collector keeps")[1].split("###")[0]
    )
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [policy["name"] for policy in policies]


@pytest.mark.parametrize(
    "policy", COLLECTOR["processors"]["tail_sampling"]["policies"], ids=lambda policy: str(policy["name"])
)
def test_a_policy_is_of_a_known_type_and_asks_for_attributes_that_there_are(policy: dict[str, Any]) -> None:
    assert policy["type"] in POLICIES
    assert set(policy) == {"name", "type", policy["type"]}
    asked = re.findall(r'attributes\["([^"]+)"\]', str(policy)) + re.findall(r"'key': '([^']+)'", str(policy))
    assert set(asked) <= NAMES | {"service.name"}
    assert "invert_match" not in str(policy)


def test_mismatches_errors_debt_and_the_scripts_own_traces_are_kept() -> None:
    policies = {
        each["name"]: each[each["type"]] for each in COLLECTOR["processors"]["tail_sampling"]["policies"]
    }
    (condition,) = policies["mismatches"]["span"]
    assert f'attributes["{telemetry.VERDICT}"] != "same"' in condition
    assert policies["errors"] == {"status_codes": ["ERROR"]}
    assert policies["debt"] == {"key": telemetry.DEBT, "value": True}
    assert policies["admin"] == {"key": "service.name", "values": [SERVICE]}


def test_spans_are_told_apart_by_attributes_that_there_are() -> None:
    assert {each["name"] for each in COLLECTOR["connectors"]["spanmetrics"]["dimensions"]} <= NAMES


def test_each_finds_the_next_one() -> None:
    services = set(COMPOSE["services"])
    kept = COLLECTOR["exporters"]["otlp_grpc/jaeger"]["endpoint"]
    assert kept.split(":")[0] in services
    assert JAEGER["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].split(":")[1] == kept.split(":")[1]
    (scrape,) = config("prometheus.yaml")["scrape_configs"]
    ((target,),) = [each["targets"] for each in scrape["static_configs"]]
    assert target.split(":")[0] in services
    assert COLLECTOR["exporters"]["prometheus"]["endpoint"].split(":")[1] == target.split(":")[1]
    storage, asked = JAEGER["extensions"]["jaeger_storage"], JAEGER["extensions"]["jaeger_query"]["storage"]
    assert asked["traces"] in storage["backends"]
    address = storage["metric_backends"][asked["metrics"]]["prometheus"]["endpoint"]
    (source,) = config("grafana.yaml")["datasources"]
    assert address == source["url"] == "http://prometheus:9090"
    assert JAEGER["exporters"]["jaeger_storage_exporter"]["trace_storage"] in storage["backends"]


# -- the dashboard -----------------------------------------------------------------------------------------------


def expressions() -> Iterator[tuple[str, str]]:
    """What is asked of Prometheus, and how its series are named."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]


def prometheus(metric: Metric) -> set[str]:
    """The names that the collector gives to a metric in Prometheus (its UnderscoreEscapingWithSuffixes)."""
    unit = {"s": "_seconds", "ms": "_milliseconds", "By": "_bytes"}.get(metric.unit or "", "")
    name = re.sub(r"\W", "_", metric.name) + unit
    if isinstance(metric.data, Histogram):
        return {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return {name if isinstance(metric.data, Gauge) else f"{name}_total"}


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Of every instrument of the library, made anew on a provider of this test's, and used once."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics, "get_meter", MeterProvider([reader], shutdown_on_exit=False).get_meter)
    spec = importlib.util.spec_from_file_location("instruments", telemetry.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for value in list(vars(module).values()):
        for verb in ("record", "add", "set"):
            if hasattr(value, verb) and hasattr(value, "instrumentation_scope"):
                getattr(value, verb)(1)
    data = reader.get_metrics_data()
    assert data is not None
    found = [
        metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics
    ]
    assert len(found) >= 8
    return {name for metric in found for name in prometheus(metric)}


def test_every_metric_of_the_dashboard_is_one_that_the_library_emits(emitted: set[str]) -> None:
    for expression, _ in expressions():
        asked = set(re.findall(r"[a-z]\w*(?=[{\[])", expression))
        assert asked, expression
        assert asked <= emitted
    asked = set(re.findall(r"label_values\((\w+),", json.dumps(DASHBOARD["templating"])))
    assert asked
    assert asked <= emitted


def test_every_label_of_the_dashboard_is_an_attribute() -> None:
    attributes = {name.replace(".", "_") for name in NAMES}
    for expression, legend in expressions():
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression)))) - {"le"}
        matched = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", expression))
        assert kept | matched <= attributes
        assert set(re.findall(r"{{(\w+)}}", legend)) <= kept
    assert set(re.findall(r"label_values\(\w+, (\w+)\)", json.dumps(DASHBOARD["templating"]))) <= attributes


def test_the_dashboard_shows_what_a_move_is_watched_by() -> None:
    asked = " ".join(expression for expression, _ in expressions())
    for metric in (
        "db_client_operation_duration_seconds",
        "shardroute_agreement",
        "shardroute_debt_marked_total",
    ):
        assert metric in asked
    for metric in (
        "shardroute_hold_wait_seconds",
        "shardroute_shadows_shed_total",
        "shardroute_copy_records_total",
    ):
        assert metric in asked


def test_panels_do_not_overlap_and_each_has_a_number_of_its_own() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
