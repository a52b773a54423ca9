"""System checks: what `manage.py check` says about the setting. Only with --deploy does one of them ask Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's names
from django.utils.module_loading import import_string

from shardroute.admin import Admin
from shardroute.errors import ConfigError, ShardrouteError
from shardroute.web import AllAgree, FirstOf, Header, Resolver

from . import conf

TAG = "shardroute"

MIDDLEWARE = "shardroute_django.middleware.ShardrouteMiddleware"
_BEFORE = {
    "session": "django.contrib.sessions.middleware.SessionMiddleware",
    "user": "django.contrib.auth.middleware.AuthenticationMiddleware",
}
"""What makes the things that a resolver may look at."""

_PATIENCE = 5.0  # seconds that Redis has for an answer


def register_all() -> None:
    for check in (setting, middleware, trust):
        register(check, TAG)
    register(deployment, TAG, deploy=True)


def setting(**_: Any) -> list[CheckMessage]:
    """Every key by itself, so that one mistake does not hide another."""
    try:
        raw = conf.given()
    except ConfigError as error:
        return [_error("E001", error)]
    parts: list[tuple[str, Callable[[], object]]] = [
        ("E002", lambda: conf.config(raw)),
        ("E003", lambda: conf.resolver(raw)),
        ("E004", lambda: conf.known(raw)),
        *(("E005", partial(conf.seconds, raw, key)) for key in conf.SECONDS if key in raw),
    ]
    failures = [(number, _failure(part)) for number, part in parts]
    return [_error(number, failure) for number, failure in failures if failure is not None]


def middleware(**_: Any) -> list[CheckMessage]:
    """It is there, and after what the resolver needs."""
    resolver, listed = _resolver(), list(settings.MIDDLEWARE)
    if MIDDLEWARE not in listed:
        return [_no_middleware()] if resolver is not None else []
    if resolver is None:
        return [_no_resolver()] if _resolves() else []
    return [_misplaced(root, needed) for root, needed in _needed(resolver, listed)]


def trust(**_: Any) -> list[CheckMessage]:
    """A header alone is what the client says."""
    resolver = _resolver()
    if settings.DEBUG or resolver is None or not _bare(resolver):
        return []
    return [
        Warning(
            f"{conf.NAME}['RESOLVER'] believes a header: whoever can send one can be any tenant.",
            hint="For trusted networks only. Demand that something proven agrees: Header(…) & Attribute('user.slug').",
            id="shardroute_django.W001",
        )
    ]


def deployment(**_: Any) -> list[CheckMessage]:
    """Redis answers, and holds the map of this configuration."""
    if setting():
        return []
    try:
        asyncio.run(_look())
    except (ShardrouteError, TimeoutError) as error:
        return [Error(str(error) or "Redis does not answer", hint=_INIT, id="shardroute_django.E008")]
    return []


# -- parts ---------------------------------------------------------------------------------------------------------

_INIT = "`manage.py shardroute init` makes the map of a new deployment; `manage.py shardroute doctor` looks further."


def _error(number: str, error: ConfigError) -> Error:
    return Error(str(error), id=f"shardroute_django.{number}")


def _failure(part: Callable[[], object]) -> ConfigError | None:
    try:
        part()
    except ConfigError as error:
        return error
    return None


def _resolver() -> Resolver | None:
    """None as well where it is wrong: `setting` tells of that."""
    try:
        return conf.resolver(conf.given())
    except ConfigError:
        return None


def _resolves() -> bool:
    """Whether the setting is there and just has no resolver."""
    try:
        return conf.given().get("RESOLVER") is None
    except ConfigError:
        return False


def _no_middleware() -> Error:
    return Error(
        f"{conf.NAME} has a RESOLVER, and MIDDLEWARE has no {MIDDLEWARE}: there is no request.vectors.",
        hint="Put it after the session's and the authentication's.",
        id="shardroute_django.E006",
    )


def _no_resolver() -> Error:
    return Error(
        f"{conf.NAME} has no RESOLVER: request.vectors cannot know whose a request is.",
        hint="For example shardroute.web.Subdomain('example.com').",
        id="shardroute_django.E003",
    )


def _needed(resolver: Resolver, listed: Sequence[str]) -> Iterator[tuple[str, str]]:
    earlier = listed[: listed.index(MIDDLEWARE)]
    for root in sorted(resolver.roots & _BEFORE.keys()):
        maker = import_string(_BEFORE[root])
        if not any(_is(path, maker) for path in earlier):
            yield root, "goes before" if any(_is(path, maker) for path in listed) else "is missing before"


def _is(path: str, maker: type) -> bool:
    """Projects have subclasses of their own."""
    try:
        found = import_string(path)
    except ImportError:
        return False  # Django tells of that
    return isinstance(found, type) and issubclass(found, maker)


def _misplaced(root: str, needed: str) -> Error:
    return Error(
        f"{conf.NAME}['RESOLVER'] looks at request.{root}: in MIDDLEWARE, {_BEFORE[root]} {needed} {MIDDLEWARE}.",
        id="shardroute_django.E007",
    )


def _bare(resolver: Resolver) -> bool:
    """Whether a header alone decides."""
    if isinstance(resolver, FirstOf):
        return any(map(_bare, resolver.rules))
    if isinstance(resolver, AllAgree):
        return all(map(_bare, resolver.rules))
    return isinstance(resolver, Header)


async def _look() -> None:
    config = conf.config(conf.given())
    async with asyncio.timeout(_PATIENCE), Admin.open(config, stores={}, patience=0.0) as admin:
        await admin.map()
