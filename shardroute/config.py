"""Configuration: one TOML file, read once, checked whole. Unknown keys and missing secrets are refused.

Secrets never stand in the file: `api_key_env` names a variable, `api_key_file` a file. Any key can be
overridden by the environment: ``SHARDROUTE_CONTROL__URL`` stands for ``control.url``.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from .addresses import flaw, shown
from .errors import ConfigError
from .gates import Gates
from .records import Metric
from .shardmap import Migration
from .topology import IdScheme, Placement, Tenancy, TenancyKind, TenantOf, Topology, check_encoders

_Section = TypeVar("_Section")
_ENVIRONMENT = "SHARDROUTE_"
_ENCODING = {
    "encoder": str,
    "source_field": str,
    "encoder_batch": int,
    "encoder_concurrency": int,
    "encoder_timeout": float,
}
_SECRET = frozenset({"control.url"})
"""Keys whose values are not shown."""
_ADDRESSES = ("url", "host", "control_host")
"""Options of clusters that are addresses, and never let anybody in."""
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_IN_NAMESPACES = {"pinecone-vectors", "pinecone-documents"}
"""Kinds of cluster that keep each tenant in a namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlConfig:
    """Where the map is. Durations in seconds.

    `lease`: of a router's session while any tenant moves; `idle_lease`: while none does.
    `replicas`: how many replicas must have a move before it is acted on.
    `statistics_bytes`: of Redis's memory, for the counts, examples and recorded queries of all tenants together.
    """

    url: str = "redis://localhost:6379/0"
    namespace: str = "default"
    cluster: bool = False
    timeout: float = 2.0
    lease: float = 10.0
    idle_lease: float = 120.0
    replicas: int = 0
    statistics_bytes: int = 32_000_000

    def __repr__(self) -> str:
        values = {member.name: getattr(self, member.name) for member in fields(self)}
        values["url"] = shown(self.url)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def __post_init__(self) -> None:
        if wrong := flaw(self.url, ("redis", "rediss", "unix")):
            raise ConfigError(f"control.url ({shown(self.url)}) is not the address of a Redis: {wrong}")
        if not 0 < self.lease <= self.idle_lease or not self.timeout:
            raise ConfigError(
                "control.lease and control.timeout must be above 0, and lease at most idle_lease"
            )
        if self.replicas and self.cluster:
            raise ConfigError(
                "control.replicas cannot be waited for on a Redis Cluster: leave one of the two out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """How requests are served. `deadline`: seconds a write may wait where the caller gives no timeout.

    `stale_reads`: whether reads go on by the last known map when Redis is away.
    `failover_reads`: whether a read whose cluster fails is answered by the other, once a tenant is in step on both.
    `drain`: seconds that closing waits for writes under way.
    `linger`: seconds after which a request that was cut off can no longer take effect. A request is cut off so long
    before the lease ends that it was sent under.
    """

    deadline: float = 10.0
    linger: float = 1.0
    stale_reads: bool = True
    failover_reads: bool = False
    drain: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyConfig:
    """How a tenant is copied. `rate`: records a second in one process, all its tenants together; 0 for no limit.

    `page`: records read at once, 0 for the store's best. `concurrency`: pages written at once.
    """

    page: int = 0
    concurrency: int = 4
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowConfig:
    """Which reads ask the other cluster as well, while a tenant is on two. Durations in seconds.

    `share`: of the queries and fetches, from 0 to 1. `floor`: of those, how many ask the primary twice.
    `budget`: of one core's time, what shadows of one process may take; 1 is no limit. `concurrency`, `queue`: shadows
    of one process that are under way, and that wait. What is more than either is left out, and counted.
    `timeout`: of a shadow. `flush`: how often counts go to Redis. `window`: of time that is counted together.
    `retention`: how long counts, and the worst examples, are kept.
    """

    share: float = 0.0
    floor: float = 0.05
    budget: float = 0.03
    concurrency: int = 2
    queue: int = 100
    timeout: float = 10.0
    flush: float = 1.0
    window: float = 10.0
    retention: float = 86_400.0

    def __post_init__(self) -> None:
        for name in ("share", "floor", "budget"):
            if getattr(self, name) > 1:
                raise ConfigError(f"shadow.{name} is {getattr(self, name):g}; it is a share from 0 to 1")
        if not (self.budget and self.concurrency and self.flush and self.window and self.timeout):
            raise ConfigError("shadow.budget, concurrency, flush, window and timeout must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingConfig:
    """Which queries are kept for replays. `share`: of each tenant's, from 0 to 1. `most`: of one tenant.

    `retention`: seconds without a new one after which a tenant's are forgotten.
    """

    share: float = 0.0
    most: int = 500
    retention: float = 86_400.0

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ConfigError(f"recording.share is {self.share:g}; it is a share from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationConfig:
    """From which topology to which, and how patiently. Durations in seconds.

    `max_hold`: the longest that writes of a tenant wait in one cut-over (rule 11).
    `barrier`: how long a migrator waits for sessions to acknowledge a phase before it gives up.
    `lock`: life of a tenant's lock; a request of the migrator takes a third of it at most.
    `attempts`: how often a cut-over is tried when its hold ran out.
    `repair_share`: of a side's records, from 0 to 1: a repair that would delete or replace more stops and asks.
    """

    from_: str
    to: str
    max_hold: float = 2.0
    barrier: float = 180.0
    lock: float = 30.0
    attempts: int = 10
    repair_share: float = 0.1

    def __post_init__(self) -> None:
        if self.repair_share > 1:
            raise ConfigError(f"migration.repair_share is {self.repair_share:g}; it is a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """A cluster: its kind, and the options that the kind's store takes (secrets resolved)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    clusters: Mapping[str, ClusterConfig]
    topologies: Mapping[str, Topology]
    migration: MigrationConfig
    control: ControlConfig = field(default_factory=ControlConfig)
    router: RouterConfig = field(default_factory=RouterConfig)
    copy: CopyConfig = field(default_factory=CopyConfig)
    shadow: ShadowConfig = field(default_factory=ShadowConfig)
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    gates: Gates = field(default_factory=Gates)
    watch: Gates = field(default_factory=Gates)

    def __post_init__(self) -> None:
        _check_linger(self)

    @property
    def route(self) -> Migration:
        """The two topologies of the migration."""
        return Migration(self.topologies[self.migration.from_], self.topologies[self.migration.to])

    def digest(self) -> str:
        """What every process of a namespace must agree on, as JSON: which topologies, placed how."""
        route = self.route
        return json.dumps({"from": _agreed(route.old), "to": _agreed(route.new)}, sort_keys=True, default=str)

    def disagreements(self, digest: str) -> list[str]:
        """What another's `digest` says otherwise: of each key, its value there and here."""
        theirs, ours = _flat(json.loads(digest)), _flat(json.loads(self.digest()))
        return [
            f"{key}: {theirs.get(key, 'nothing')}, here {ours.get(key, 'nothing')}"
            for key in sorted(theirs | ours)
            if theirs.get(key) != ours.get(key)
        ]

    @classmethod
    def load(cls, path: str | Path, environment: Mapping[str, str] | None = None) -> Config:
        """Reads a TOML file. Raises ConfigError naming the file and the key."""
        try:
            raw = tomllib.loads(Path(path).read_text())
        except FileNotFoundError as error:
            raise ConfigError(
                f"{path}: no such file; the README shows one and explains it ('The configuration file')"
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
        try:
            return cls.from_dict(raw, os.environ if environment is None else environment)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Config:
        """From nested dicts, as TOML gives them. Raises ConfigError naming the key."""
        environment = environment or {}
        raw = _overridden(raw, environment)
        known = ("clusters", "topologies", "migration", *_SECTIONS)
        _refuse_unknown(raw, known, "")
        clusters = {name: _cluster(name, table, environment) for name, table in _tables(raw, "clusters")}
        topologies = {name: _topology(name, table, clusters) for name, table in _tables(raw, "topologies")}
        return cls(
            clusters=clusters,
            topologies=topologies,
            migration=_migration(raw, topologies, clusters),
            **{name: _section(kind, raw.get(name, {}), name) for name, kind in _SECTIONS.items()},
        )


def _check_linger(config: Config) -> None:
    """Refuses durations under which a request could land when others already count on its not landing."""
    linger = config.router.linger
    limits = (
        ("migration.lock", config.migration.lock, 3, "so long does a migrator wait that takes a lock over"),
        (
            "control.lease",
            config.control.lease,
            3,
            "a request is cut off so long before its lease ends, and the rest must suffice to send it",
        ),
        (
            "migration.max_hold",
            config.migration.max_hold,
            1,
            "a cut-over waits so long for a request without an answer, and would always run out",
        ),
    )
    for name, duration, parts, why in limits:
        if linger > duration / parts:
            share = "a third of it" if parts == 3 else "as long"
            raise ConfigError(
                f"{name} is {duration:g} s; router.linger may be at most {share}, and is {linger:g} s: {why}. "
                f"Set {name} to {linger * parts:g} or more, or router.linger lower if your clusters allow that"
            )


_SECTIONS: Mapping[str, type[Any]] = {
    "control": ControlConfig,
    "router": RouterConfig,
    "copy": CopyConfig,
    "shadow": ShadowConfig,
    "recording": RecordingConfig,
    "gates": Gates,
    "watch": Gates,
}
"""Tables of the file that are a dataclass each."""


def _agreed(topology: Topology) -> dict[str, Any]:
    """Which encoder makes the vectors, and not how patiently a process of its own asks it.

    A map that was made before there was a `default_namespace` or a `tenant_of` agrees with a configuration that has
    none. Before dots led into a field, a field with one was a key of that name: a map of then does not agree.
    """
    agreed = {key: value for key, value in asdict(topology).items() if not key.startswith("encoder_")}
    placement = topology.placement
    if not placement.default_namespace:
        del agreed["placement"]["default_namespace"]
    if placement.tenant_of is TenantOf.VALUE:
        del agreed["placement"]["tenant_of"]
    del agreed["placement"]["create_options"]  # of what is made once, by whoever makes it
    if len(placement.tenancy.path) > 1:
        agreed["placement"]["tenancy"]["path"] = placement.tenancy.path
    return agreed


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """`{"a": {"b": 1}}` as `{"a.b": "1"}`."""
    if not isinstance(value, dict):
        return {path: json.dumps(value)}
    inner = [_flat(held, f"{path}.{name}" if path else name) for name, held in value.items()]
    return {key: text for one in inner for key, text in one.items()}


def _tables(raw: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    section = raw.get(key)
    if not isinstance(section, Mapping) or not section:
        raise ConfigError(f"[{key}.NAME] is missing: at least one is needed")
    for name, table in section.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{key}.{name} must be a table")
    return list(section.items())


def _refuse_unknown(raw: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
            raise ConfigError(f"{path}{key} is not a known key{hint}")


def _section(kind: type[_Section], raw: object, path: str) -> _Section:
    """A dataclass from a table: names and types checked. `from_` is written `from`."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path} must be a table")
    members = {member.name.rstrip("_"): member for member in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    _refuse_unknown(raw, members, f"{path}.")
    hints = get_type_hints(kind)
    values = {
        members[key].name: _typed(value, hints[members[key].name], f"{path}.{key}")
        for key, value in raw.items()
    }
    for key, member in members.items():
        if member.default is MISSING and member.default_factory is MISSING and member.name not in values:
            raise ConfigError(f"{path}.{key} is missing")
    return kind(**values)


def _typed(value: Any, hint: Any, path: str) -> Any:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not any(type(value) is kind for kind in kinds):
        found = f"of type {type(value).__name__}" if path in _SECRET else repr(value)
        raise ConfigError(f"{path} is {found}; expected {' or '.join(kind.__name__ for kind in kinds)}")
    if isinstance(value, (int, float)) and not 0 <= value < math.inf:
        raise ConfigError(f"{path} is {value!r}; it must not be negative, nor infinite")
    return value


def _topology(name: str, raw: Mapping[str, Any], clusters: Mapping[str, ClusterConfig]) -> Topology:
    path = f"topologies.{name}"
    _refuse_unknown(raw, ("shards", "placement", "dimension", "metric", *_ENCODING), f"{path}.")
    if missing := [f"`{key}`" for key in ("placement", "dimension") if key not in raw]:
        raise ConfigError(f"{path} needs {' and '.join(missing)}")
    return Topology(
        name=name,
        shards=_typed(raw.get("shards", 1), int, f"{path}.shards"),
        placement=_placement(raw["placement"], f"{path}.placement", clusters),
        dimension=_typed(raw["dimension"], int, f"{path}.dimension"),
        metric=_choice(Metric, raw.get("metric", "cosine"), f"{path}.metric"),
        **{key: _typed(raw[key], hint, f"{path}.{key}") for key, hint in _ENCODING.items() if key in raw},
    )


def _placement(raw: object, path: str, clusters: Mapping[str, ClusterConfig]) -> Placement:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path} must be a table")
    _refuse_unknown(
        raw,
        tuple(member.name for member in fields(Placement)),
        f"{path}.",
    )
    if raw.get("cluster") not in clusters:
        raise ConfigError(f"{path}.cluster is {raw.get('cluster')!r}; configured are {', '.join(clusters)}")
    options = raw.get("create_options", {})
    values: dict[str, Any] = {
        key: _typed(value, str, f"{path}.{key}") for key, value in raw.items() if key != "create_options"
    }
    kind = clusters[values["cluster"]].kind
    if not isinstance(options, Mapping):
        raise ConfigError(f"{path}.create_options must be a table")
    if options and kind in _IN_NAMESPACES:
        raise ConfigError(f"{path}.create_options: an index of kind {kind!r} is not made by shardroute")
    values["create_options"] = options
    if "tenancy" in values:
        values["tenancy"] = Tenancy.parse(values["tenancy"])
    elif kind in _IN_NAMESPACES:
        values["tenancy"] = Tenancy(TenancyKind.NAMESPACE)
    tenancy = values.get("tenancy", Placement("").tenancy).kind
    if (tenancy is TenancyKind.NAMESPACE) is not (kind in _IN_NAMESPACES):
        raise ConfigError(
            f"{path}.tenancy is {tenancy.value!r}, and clusters.{values['cluster']} is of kind {kind!r}: "
            f"tenancy 'namespace' goes with {' and '.join(sorted(_IN_NAMESPACES))}, and they with nothing else"
        )
    if "ids" in values:
        values["ids"] = _choice(IdScheme, values["ids"], f"{path}.ids")
    if "tenant_of" in values:
        values["tenant_of"] = _choice(TenantOf, values["tenant_of"], f"{path}.tenant_of")
    if "collection" not in values and tenancy is not TenancyKind.COLLECTION:
        values["collection"] = "shardroute"
    return Placement(**values)


def _choice(kind: type[_Section], value: Any, path: str) -> _Section:
    try:
        return kind(value)  # type: ignore[call-arg]  # an enumeration
    except ValueError as error:
        raise ConfigError(f"{path} is {value!r}; known are {', '.join(kind)}") from error  # type: ignore[arg-type]  # an enumeration


def _kept_in(placement: Placement, clusters: Mapping[str, ClusterConfig]) -> tuple[str, ...]:
    """What tells collections apart: of Pinecone the one index that a `host` is, or the name within a project."""
    cluster = clusters[placement.cluster]
    if cluster.kind not in _IN_NAMESPACES:
        return placement.cluster, placement.collection
    host, project = str(cluster.options.get("host", "")), str(cluster.options.get("api_key", ""))
    return (host.rpartition("://")[2].rstrip("/"),) if host else (project, placement.collection)


def _migration(
    raw: Mapping[str, Any], topologies: Mapping[str, Topology], clusters: Mapping[str, ClusterConfig]
) -> MigrationConfig:
    migration = _section(MigrationConfig, raw.get("migration", {}), "migration")
    for key, name in (("from", migration.from_), ("to", migration.to)):
        if name not in topologies:
            raise ConfigError(f"migration.{key} is {name!r}; configured are {', '.join(topologies)}")
    old, new = (_kept_in(topologies[name].placement, clusters) for name in (migration.from_, migration.to))
    if old == new:
        raise ConfigError(
            "migration: both topologies keep their records in the same collections of one cluster"
        )
    check_encoders(topologies[migration.from_], topologies[migration.to])
    return migration


def _cluster(name: str, raw: Mapping[str, Any], environment: Mapping[str, str]) -> ClusterConfig:
    options = dict(raw)
    kind = options.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(f"clusters.{name}.kind is missing")
    for key in ("api_key", "password", "token"):
        if key in options:
            raise ConfigError(
                f"clusters.{name}.{key}: a secret does not belong in this file; use {key}_env or {key}_file"
            )
    for key in _ADDRESSES:
        if "@" in str(options.get(key, "")):
            raise ConfigError(
                f"clusters.{name}.{key} has a user or a password in it: no client sends them from there, and they do "
                "not belong in this file; use api_key_env or api_key_file"
            )
    for key in [key for key in options if key.endswith(("_env", "_file"))]:
        secret, _, source = key.rpartition("_")
        options[secret] = _secret(f"clusters.{name}.{key}", source, options.pop(key), environment)
    return ClusterConfig(name, kind, options)


def _secret(path: str, source: str, where: str, environment: Mapping[str, str]) -> str:
    """What stands there is not shown where it may be the secret itself, put there by mistake."""
    if source == "env":
        if not environment.get(where):
            named = where if _VARIABLE.fullmatch(where) else "that it names (not shown: no capital letters)"
            raise ConfigError(f"{path}: the environment variable {named} is not set")
        return environment[where]
    try:
        return Path(where).read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise ConfigError(f"{path}: {reason}") from None


def _overridden(raw: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The environment over the file: SHARDROUTE_SECTION__KEY, values as TOML where they parse, else text."""
    merged: dict[str, Any] = json.loads(json.dumps(raw, default=str))
    for variable, text in environment.items():
        if not variable.startswith(_ENVIRONMENT) or "__" not in variable:
            continue
        *sections, key = variable.removeprefix(_ENVIRONMENT).lower().split("__")
        table = merged
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = _toml_value(text)
    return merged


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
