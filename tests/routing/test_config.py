"""One file, read once, checked whole: what is wrong is named by its key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shardroute import Config, Router
from shardroute.clusters import connect, connected
from shardroute.config import ClusterConfig
from shardroute.control import ControlPlane
from shardroute.embedded import EmbeddedRedis
from shardroute.errors import ConfigError
from shardroute.records import Metric
from shardroute.stores.memory import MemoryStore

Raw = dict[str, Any]

GOOD: Raw = {
    "control": {"url": "redis://localhost", "namespace": "n", "lease": 5},
    "clusters": {"a": {"kind": "memory"}, "b": {"kind": "memory"}},
    "topologies": {
        "v1": {"dimension": 4, "placement": {"cluster": "a", "collection": "docs"}},
        "v2": {
            "dimension": 4,
            "shards": 3,
            "metric": "dot",
            "placement": {"cluster": "b", "collection": "d_{shard}"},
        },
    },
    "migration": {"from": "v1", "to": "v2"},
}

TOML = """
[control]
url = "redis://localhost"
[clusters.a]
kind = "memory"
[clusters.b]
kind = "memory"
[topologies.v1]
dimension = 4
placement = { cluster = "a", collection = "docs" }
[topologies.v2]
dimension = 4
placement = { cluster = "b", collection = "docs" }
[migration]
from = "v1"
to = "v2"
"""


def changed(path: str, value: object) -> Raw:
    """The good configuration with one key set; `...` takes it away."""
    raw: Raw = copy.deepcopy(GOOD)
    *tables, key = path.split(".")
    table = raw
    for name in tables:
        table = table.setdefault(name, {})
    if value is ...:
        del table[key]
    else:
        table[key] = value
    return raw


def test_a_good_configuration_is_read_with_its_defaults() -> None:
    config = Config.from_dict(GOOD)
    assert config.control.lease == 5.0
    assert config.control.idle_lease == 120.0
    assert config.route.old.shards == 1
    assert config.route.new.metric is Metric.DOT
    assert config.migration.max_hold == 2.0


BAD: dict[str, tuple[str, object, str]] = {
    "a misspelt section": ("contrl", {}, "contrl is not a known key; did you mean 'control'"),
    "a misspelt key": ("control.leese", 1, r"control\.leese .*did you mean 'lease'"),
    "a key like no other": ("router.xyz", 1, r"router\.xyz is not a known key; known are deadline"),
    "a misspelt key of a topology": ("topologies.v1.shard", 2, "did you mean 'shards'"),
    "a misspelt key of a placement": ("topologies.v1.placement.colection", "x", "did you mean 'collection'"),
    "a misspelt key of the migration": ("migration.max_hodl", 1, "did you mean 'max_hold'"),
    "no clusters": ("clusters", {}, r"\[clusters\.NAME\] is missing"),
    "no topologies": ("topologies", ..., r"\[topologies\.NAME\] is missing"),
    "no migration": ("migration", ..., r"migration\.from is missing"),
    "a section that is no table": ("control", 3, "control must be a table"),
    "a cluster that is no table": ("clusters.a", "memory", r"clusters\.a must be a table"),
    "a cluster without a kind": ("clusters.a.kind", ..., r"clusters\.a\.kind is missing"),
    "a text for a number": ("control.lease", "5", r"control\.lease is '5'; expected float"),
    "a number for a text": ("control.url", 5, r"control\.url is of type int; expected str"),
    "a truth for a number": ("control.timeout", True, r"control\.timeout is True; expected float"),
    "a negative number": ("control.lease", -1, r"control\.lease is -1\.0; it must not be negative"),
    "no shards": ("topologies.v1.shards", 0, r"topologies\.v1\.shards is 0"),
    "no dimension": ("topologies.v1.dimension", ..., r"topologies\.v1 needs .*`dimension`"),
    "an unknown metric": (
        "topologies.v1.metric",
        "taxicab",
        r"topologies\.v1\.metric is 'taxicab'; known are",
    ),
    "an unknown cluster": (
        "topologies.v1.placement.cluster",
        "c",
        r"placement\.cluster is 'c'; configured are a, b",
    ),
    "an unknown topology": ("migration.to", "v3", r"migration\.to is 'v3'; configured are v1, v2"),
    "a migration to the same place": (
        "topologies.v2.placement",
        {"cluster": "a", "collection": "docs"},
        "the same collections",
    ),
    "a secret in the file": ("clusters.a.api_key", "s3cret", r"clusters\.a\.api_key: .*use api_key_env"),
    "a variable that is not set": (
        "clusters.a.api_key_env",
        "NO_SUCH",
        "the environment variable NO_SUCH is not set",
    ),
    "a secret's file that is not there": (
        "clusters.a.api_key_file",
        "/no/such",
        r"api_key_file: .*No such file",
    ),
}


@pytest.mark.parametrize(("path", "value", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_by_its_key(path: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.from_dict(changed(path, value), {})


def test_no_error_repeats_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(changed("clusters.a.api_key", "s3cret"), {})
    assert "s3cret" not in str(caught.value)


def test_secrets_come_from_the_environment_or_a_file_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from file\n")
    raw = changed("clusters.a.api_key_env", "KEY")
    raw["clusters"]["b"]["api_key_file"] = str(tmp_path / "key")
    config = Config.from_dict(raw, {"KEY": "from env"})
    assert config.clusters["a"].options == {"api_key": "from env"}
    assert config.clusters["b"].options == {"api_key": "from file"}
    assert "from" not in repr(config.clusters)


@pytest.mark.parametrize(
    ("variable", "text", "get", "value"),
    [
        ("SHARDROUTE_CONTROL__URL", "redis://other:1", lambda config: config.control.url, "redis://other:1"),
        ("SHARDROUTE_CONTROL__LEASE", "7", lambda config: config.control.lease, 7.0),
        ("SHARDROUTE_ROUTER__STALE_READS", "false", lambda config: config.router.stale_reads, False),
        (
            "SHARDROUTE_CLUSTERS__A__URL",
            "http://x",
            lambda config: config.clusters["a"].options["url"],
            "http://x",
        ),
    ],
)
def test_the_environment_overrides_the_file(
    variable: str, text: str, get: Callable[[Config], object], value: object
) -> None:
    assert get(Config.from_dict(GOOD, {variable: text})) == value
    assert GOOD["control"]["lease"] == 5


def test_a_misspelt_variable_is_refused_like_a_misspelt_key() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lease'"):
        Config.from_dict(GOOD, {"SHARDROUTE_CONTROL__LEASSE": "7"})


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shardroute.toml"
    path.write_text(TOML)
    assert Config.load(path, {}).route.new.placement.cluster == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("[control", "Expected"),
        ("\xff", "shardroute.toml"),
        (TOML.replace("[control]", "[contrl]"), "contrl is not a known key"),
    ],
    ids=["missing", "no TOML", "no UTF-8", "wrong"],
)
def test_an_unusable_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "shardroute.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message) as caught:
        Config.load(path, {})
    assert str(path) in str(caught.value)


def test_processes_agree_on_topologies_and_need_not_agree_on_anything_else() -> None:
    digest = Config.from_dict(GOOD).digest()
    assert Config.from_dict(changed("control.lease", 9)).digest() == digest
    assert Config.from_dict(changed("clusters.a.kind", "qdrant")).digest() == digest
    assert Config.from_dict(changed("topologies.v2.shards", 4)).digest() != digest
    assert Config.from_dict(changed("topologies.v1.placement.collection", "other")).digest() != digest


CLUSTERS: dict[str, tuple[ClusterConfig, str]] = {
    "an unknown kind": (
        ClusterConfig("a", "chroma"),
        r"clusters\.a\.kind is 'chroma'; known are memory, qdrant",
    ),
    "an unknown option": (
        ClusterConfig("a", "memory", {"colour": "red"}),
        r"clusters\.a\.colour is not an option of kind 'memory'",
    ),
}


@pytest.mark.parametrize(("cluster", "message"), CLUSTERS.values(), ids=CLUSTERS)
def test_a_cluster_that_cannot_be_made_is_named(cluster: ClusterConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        connect(cluster)


async def test_a_router_that_cannot_make_its_clusters_leaves_no_session(
    redis_server: EmbeddedRedis, namespace: str
) -> None:
    raw = changed("clusters.a.kind", "chroma")
    raw["control"] |= {"url": redis_server.url, "namespace": namespace}
    config = Config.from_dict(raw)
    plane = ControlPlane.open(config.control)
    await plane.maps.create(config.digest())
    with pytest.raises(ConfigError, match="chroma"):
        async with Router(config):
            pass
    assert await plane.sessions.all() == []
    await plane.aclose()


async def test_clusters_are_made_by_their_kind() -> None:
    async with connected(Config.from_dict(GOOD).clusters) as stores:
        assert {name: type(store) for name, store in stores.items()} == {"a": MemoryStore, "b": MemoryStore}


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"control\.url \(gopher://x\).*redis://"):
        Config.from_dict(changed("control.url", "gopher://x"))
    config = Config.from_dict(changed("control.url", "redis://x/0?socket_timeout=soon"))
    with pytest.raises(ConfigError, match=r"control\.url"):
        ControlPlane.open(config.control)
