"""Each pair of kinds gives a configuration that the library takes, and a hold that outlasts the lag."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import httpx
import pytest

from shardroute.cli.app import Kind, main
from shardroute.config import Config
from shardroute.demo.kinds import KINDS, Cluster
from shardroute.demo.plan import Plan
from shardroute.demo.world import configuration
from shardroute.errors import InvalidInput
from shardroute.testing.serving import ChildServer
from shardroute.topology import TenancyKind

PAIRS = list(product(KINDS, KINDS))


LAG = 0.5


def _configured(source: str, target: str, folder: Path) -> Config:
    key = folder / "api-key"
    key.write_text("made-up")
    server = ChildServer("nothing.that.runs")
    old, new = (Cluster(server, _options(kind, key, place)) for place, kind in enumerate((source, target)))
    path = folder / "shardroute.toml"
    path.write_text(configuration(Plan(source=source, target=target, lag=LAG), "redis://localhost", old, new))
    return Config.load(path, environment={})


def _options(kind: str, key: Path, place: int) -> dict[str, str | float]:
    address = f"http://localhost:{5000 + place}"
    if not KINDS[kind].lags:
        return {"url": address}
    return {"host": address, "api_key_file": str(key), "lag": LAG}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_has_a_configuration(source: str, target: str, tmp_path: Path) -> None:
    config = _configured(source, target, tmp_path)
    assert (config.clusters["old"].kind, config.clusters["new"].kind) == (source, target)
    lags = KINDS[source].lags or KINDS[target].lags
    assert config.migration.max_hold == (10.0 + 3 * LAG if lags else 10.0)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_new_qdrant_has_shards_and_a_pinecone_a_namespace_for_each_tenant(
    source: str, target: str, tmp_path: Path
) -> None:
    route = _configured(source, target, tmp_path).route
    assert route.old.shards == 1
    assert route.new.shards == (4 if target == "qdrant" else 1)
    for topology, kind in ((route.old, source), (route.new, target)):
        expected = TenancyKind.PAYLOAD if kind == "qdrant" else TenancyKind.NAMESPACE
        assert topology.placement.tenancy.kind is expected


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.lags])
async def test_no_cluster_lags_more_than_the_configuration_says(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind].start(0.5, tmp_path) as cluster, httpx.AsyncClient() as client:
        lags = (await client.get(f"{cluster.server.url}/_lag")).json()
        assert cluster.options["lag"] == 0.5
        assert 0 < lags["search"] != lags["fetch"] < 0.5


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="'redis' is not a kind of cluster; known are qdrant, pinecone-"):
        Plan(source="redis")


def test_the_command_takes_the_kinds_that_there_are() -> None:
    assert get_args(Kind) == tuple(KINDS)


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_the_command_refuses_an_unknown_kind_with_the_known_ones(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", option, "redis"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert all(kind in said for kind in ("redis", *KINDS))
