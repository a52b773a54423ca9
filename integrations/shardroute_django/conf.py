"""The one setting, ``SHARDROUTE``: read once, checked whole."""

from __future__ import annotations

import difflib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from shardroute import Config, ConfigError
from shardroute.web import Resolver

Known = Callable[[str], bool | Awaitable[bool]]
"""Whether the application knows a tenant of that name; as a plain or an async function."""

NAME = "SHARDROUTE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``SHARDROUTE`` says. Durations in seconds.

    `resolver`: whose request it is; None where only `tenant(name)` is used. `timeout`: of a call that says none itself;
    below a server's own time-out. `close_timeout`: that a process waits at its end, beyond `router.drain`.
    """

    config: Config
    resolver: Resolver | None = None
    known: Known | None = None
    timeout: float = 20.0
    close_timeout: float = 5.0


KEYS = tuple(field.name.upper() for field in fields(Settings))
SECONDS = ("TIMEOUT", "CLOSE_TIMEOUT")


@cache
def current() -> Settings:
    """The setting, until a test overrides it. Raises ConfigError naming the key."""
    raw = given()
    return Settings(
        config=config(raw),
        resolver=resolver(raw),
        known=known(raw),
        **{key.lower(): seconds(raw, key) for key in SECONDS if key in raw},
    )


def given() -> Mapping[str, Any]:
    """The dict as it stands in the settings. Raises ConfigError where there is none, or one with unknown keys."""
    raw = getattr(settings, NAME, None)
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{NAME} is missing in the settings: a dict with CONFIG, the path of a TOML file")
    for key in raw:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(KEYS)}"
            raise ConfigError(f"{NAME}[{key!r}] is not a key{hint}")
    return raw


def config(raw: Mapping[str, Any]) -> Config:
    """`CONFIG`: a path, or what would stand in the file as a dict. Raises ConfigError."""
    source = raw.get("CONFIG")
    if isinstance(source, Mapping):
        return Config.from_dict(source, os.environ)
    if isinstance(source, (str, Path)):
        return Config.load(source)
    raise ConfigError(
        f"{NAME}['CONFIG'] is {source!r}; it is the path of a TOML file, or a dict of the same form"
    )


def resolver(raw: Mapping[str, Any]) -> Resolver | None:
    """`RESOLVER`: a resolver, or where to import one from. Raises ConfigError."""
    found = _imported(raw, "RESOLVER")
    if found is not None and not isinstance(found, Resolver):
        raise ConfigError(f"{NAME}['RESOLVER'] is {found!r}; it is a resolver of shardroute.web")
    return found


def known(raw: Mapping[str, Any]) -> Known | None:
    """`KNOWN`: a function, or where to import one from. Raises ConfigError."""
    found = _imported(raw, "KNOWN")
    if found is not None and not callable(found):
        raise ConfigError(f"{NAME}['KNOWN'] is {found!r}; it is a function of a tenant's name")
    return found  # type: ignore[no-any-return]  # what it takes and gives shows when it is called


def seconds(raw: Mapping[str, Any], key: str) -> float:
    """A duration. Raises ConfigError."""
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigError(f"{NAME}[{key!r}] is {value!r}; it is a number of seconds above 0")
    return float(value)


def _imported(raw: Mapping[str, Any], key: str) -> Any:
    value = raw.get(key)
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigError(f"{NAME}[{key!r}]: {error}") from error


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        current.cache_clear()


setting_changed.connect(_forget)
