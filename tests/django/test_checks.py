"""What `manage.py check` says about the setting."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import run_checks
from django.test import override_settings
from shardroute_django import conf
from shardroute_django.checks import MIDDLEWARE, TAG

from shardroute import Config
from shardroute.web import Attribute, Header, Resolver, Subdomain
from tests.cli.conftest import Deployment

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
USER = "django.contrib.auth.middleware.AuthenticationMiddleware"
MESSAGE = "django.contrib.messages.middleware.MessageMiddleware"
INLINE = {
    "clusters": {"a": {"kind": "memory"}, "b": {"kind": "memory"}},
    "topologies": {
        "v1": {"dimension": 4, "placement": {"cluster": "a", "collection": "docs"}},
        "v2": {"dimension": 4, "placement": {"cluster": "b", "collection": "docs"}},
    },
    "migration": {"from": "v1", "to": "v2"},
}
GOOD: dict[str, Any] = {"CONFIG": INLINE, "RESOLVER": Subdomain("example.com")}
NOT_CALLABLE = "a string"


class OwnSession(SessionMiddleware):
    """A project's own."""


def found(setting: Any = GOOD, middleware: list[str] | None = None, *, deploy: bool = False) -> list[str]:
    """What our checks say, as ``E001 message``."""
    listed = [SESSION, USER, MESSAGE, MIDDLEWARE] if middleware is None else middleware
    with override_settings(SHARDROUTE=setting, MIDDLEWARE=listed):
        return [
            f"{check.id.rpartition('.')[2]} {check.msg}"
            for check in run_checks(tags=[TAG], include_deployment_checks=deploy)
            if check.id is not None
        ]


def test_a_good_setting_is_passed_over() -> None:
    assert found() == []
    assert found({"CONFIG": INLINE}, [MESSAGE]) == []  # tenants by name only
    assert found({**GOOD, "KNOWN": "os.path.exists", "TIMEOUT": 5, "CLOSE_TIMEOUT": 2.5}) == []


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "shardroute.toml"
    file.write_text("[clusters.old]\nkind = 'memory'\n[control]\nlaese = 3\n")
    return file


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"CONFIG": None}, "E002 SHARDROUTE['CONFIG'] is None; it is the path of a TOML file, or a dict"),
        ({"CONFIG": "/no/such.toml"}, "E002 /no/such.toml: no such file"),
        (
            {"CONFIG": {**INLINE, "control": {"laese": 3}}},
            "E002 control.laese is not a known key",
        ),
        ({"RESOLVER": "acme"}, "E003 SHARDROUTE['RESOLVER']: acme doesn't look like a module path"),
        ({"RESOLVER": "os.path.nothing"}, "E003 SHARDROUTE['RESOLVER']: Module \"os.path\" does not define"),
        ({"RESOLVER": 7}, "E003 SHARDROUTE['RESOLVER'] is 7; it is a resolver of shardroute.web"),
        ({"KNOWN": f"{__name__}.NOT_CALLABLE"}, "E004 SHARDROUTE['KNOWN'] is 'a string'; it is a function"),
        ({"TIMEOUT": 0}, "E005 SHARDROUTE['TIMEOUT'] is 0; it is a number of seconds above 0"),
        ({"TIMEOUT": True}, "E005 SHARDROUTE['TIMEOUT'] is True"),
        ({"RESLOVER": 1}, "E001 SHARDROUTE['RESLOVER'] is not a key; did you mean RESOLVER?"),
    ],
)
def test_a_bad_key_is_named(keys: dict[str, Any], told: str) -> None:
    [said] = found({**GOOD, **keys})
    assert said.startswith(told)


def test_a_bad_file_is_named_with_its_key(broken: Path) -> None:
    [said] = found({**GOOD, "CONFIG": broken})
    assert said.startswith(f"E002 {broken}: ")


def test_a_missing_setting_is_told() -> None:
    [said] = found(None)
    assert said.startswith("E001 SHARDROUTE is missing")


def test_one_mistake_does_not_hide_another() -> None:
    assert [said[:4] for said in found({"CONFIG": 1, "RESOLVER": 2, "KNOWN": 3, "TIMEOUT": -4})] == [
        "E002", "E003", "E004", "E005",
    ]  # fmt: skip


def test_a_resolver_and_the_middleware_need_each_other() -> None:
    [alone] = found(middleware=[SESSION])
    assert alone.startswith("E006 ")
    [nobody] = found({"CONFIG": INLINE})
    assert nobody.startswith("E003 SHARDROUTE has no RESOLVER")


@pytest.mark.parametrize(
    ("resolver", "middleware", "told"),
    [
        (Attribute("user.slug"), [SESSION, USER, MIDDLEWARE], None),
        (Attribute("user.slug"), [SESSION, MIDDLEWARE, USER], f"{USER} goes before {MIDDLEWARE}"),
        (Attribute("session.tenant"), [MIDDLEWARE, SESSION], f"{SESSION} goes before {MIDDLEWARE}"),
        (Attribute("user.slug") & Header("X"), [MIDDLEWARE], f"{USER} is missing before {MIDDLEWARE}"),
        (Attribute("session.tenant"), [f"{__name__}.OwnSession", MIDDLEWARE], None),
        (Attribute("organisation.slug"), [MIDDLEWARE], None),  # whatever puts it there
    ],
)
def test_the_middleware_goes_after_what_its_resolver_looks_at(
    resolver: Resolver, middleware: list[str], told: str | None
) -> None:
    said = found({**GOOD, "RESOLVER": resolver}, middleware)
    assert [one for one in said if told is None or told not in one] == []
    assert len(said) == (told is not None)


def test_a_bare_header_is_warned_of_unless_something_proven_agrees() -> None:
    for resolver in (Header("X"), Header("X") | Attribute("user.slug"), Header("X") & Header("Y")):
        [said] = found({**GOOD, "RESOLVER": resolver})
        assert said.startswith("W001 ")
        with override_settings(DEBUG=True):
            assert found({**GOOD, "RESOLVER": resolver}) == []
    assert found({**GOOD, "RESOLVER": Header("X") & Attribute("user.slug")}) == []


async def test_only_a_deployment_is_asked_whether_redis_has_the_map(deployment: Deployment) -> None:
    setting = {**GOOD, "CONFIG": str(deployment.path)}
    assert await asyncio.to_thread(found, setting) == []
    [said] = await asyncio.to_thread(found, setting, deploy=True)
    assert said.startswith("E008 there is no map")
    await deployment.init()
    assert await asyncio.to_thread(found, setting, deploy=True) == []


def test_a_redis_that_is_away_is_told() -> None:
    away = {**INLINE, "control": {"url": "redis://127.0.0.1:1/0"}}
    [said] = found({**GOOD, "CONFIG": away}, deploy=True)
    assert said.startswith("E008 ")


def test_the_environment_goes_over_an_inline_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDROUTE_CONTROL__NAMESPACE", "elsewhere")
    with override_settings(SHARDROUTE=GOOD):
        config: Config = conf.current().config
    assert config.control.namespace == "elsewhere"
