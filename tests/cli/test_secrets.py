"""Secrets, put everywhere in the configuration, with odd letters: nothing that is shown has them."""

from __future__ import annotations

import logging
import pprint
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from shardroute import Config, Router
from shardroute.admin import Admin
from shardroute.clusters import connect
from shardroute.config import ControlConfig
from shardroute.control import ControlPlane
from shardroute.embedded import embedded_redis
from shardroute.errors import ShardrouteError
from tests.support.world import config, record

from .conftest import Deployment

CORE = "hunter2"
ODD = {
    "plain": CORE,
    "of addresses": f"a/b#c@d:e%f?{CORE}&g=h[i]",
    "of Unicode": f"zażółć{CORE}😀",
    "of quotes": f"'\"\\{CORE}\"'",
    "of spaces": f"a {CORE} b",
}


def leaks(*shown: object) -> list[str]:
    """Of what is shown, the texts with the secret in them."""
    return [text for text in map(str, shown) if CORE in text]


def whole(error: BaseException) -> str:
    """The error as a log has it, with all that it came from."""
    return f"{error!r} {''.join(traceback.format_exception(error))}"


def raw(**control: Any) -> dict[str, Any]:
    return {
        "control": control,
        "clusters": {
            "q": {"kind": "qdrant", "url": "https://q:6333", "api_key_env": "Q_KEY"},
            "p": {"kind": "pinecone-documents", "api_key_env": "P_KEY"},
        },
        "topologies": {
            "v1": {"dimension": 4, "placement": {"cluster": "q"}},
            "v2": {"dimension": 4, "placement": {"cluster": "p", "collection": "i"}},
        },
        "migration": {"from": "v1", "to": "v2"},
    }


# -- what is held -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ODD.values(), ids=ODD)
async def test_no_object_that_holds_a_secret_shows_it(secret: str) -> None:
    url = f"redis://me:{quote(secret, safe='')}@host:6379/0?password={quote(secret, safe='')}"
    held = raw(url=url)
    held["clusters"]["q"]["headers"] = {"Authorization": f"Basic {secret}"}
    found = Config.from_dict(held, {"Q_KEY": secret, "P_KEY": secret})
    assert found.clusters["p"].options["api_key"] == secret
    plane = ControlPlane.open(found.control)
    shown: list[object] = [found.digest()]
    for one in (found, found.control, found.clusters, Router(found), plane, plane.connections, plane.scripts):
        shown += [repr(one), str(one), pprint.pformat(one), f"{one}"]
    await plane.aclose()
    assert leaks(*shown) == []
    assert "redis://host:6379/0" in repr(found)


# -- what is refused ----------------------------------------------------------------------------------------------


def misplaced(secret: str) -> Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]]:
    """Configurations with the secret where it makes something wrong, and their environments."""

    def cluster(**options: Any) -> dict[str, Any]:
        changed = raw()
        changed["clusters"]["q"] = {"kind": "qdrant", "url": "https://q:6333", **options}
        return changed

    keys = {"Q_KEY": "k", "P_KEY": "k"}
    urls = {
        "as it is": f"redis://me:{secret}@host:6379/0",
        "without a user": f"redis://:{secret}@host:6379/0",
        "as the user": f"redis://{secret}:x@host:6379/0",
        "without a host": f"redis://:{secret}",
        "as the port": f"redis://host:{secret}/0",
        "as the query": f"redis://host/0?{secret}={secret}&db={secret}",
        "of another kind": f"http://me:{secret}@host",
        "alone": secret,
        "in brackets": f"redis://[{secret}",
        "a socket's": f"unix://me:{secret}@/run/redis.sock?db={secret}",
    }
    return {
        **{f"control.url {name}": (raw(url=url), keys) for name, url in urls.items()},
        **{
            f"SHARDROUTE_CONTROL__URL {name}": (raw(), keys | {"SHARDROUTE_CONTROL__URL": url})
            for name, url in urls.items()
        },
        "control.url of another type": (raw(url=[f"redis://:{secret}@h"]), keys),
        "a key that there is not": (raw(password=secret), keys),
        "an API key in the file": (cluster(api_key=secret), keys),
        "an API key in the environment": (raw(), keys | {"SHARDROUTE_CLUSTERS__Q__API_KEY": secret}),
        "a secret for the variable's name": (cluster(api_key_env=secret), keys),
        "a secret for the file's name": (cluster(api_key_file=secret), keys),
        "a secret for the file's name, with a NUL": (cluster(api_key_file=f"{secret}\0"), keys),
        "a login in a cluster's address": (cluster(url=f"https://me:{secret}@q:6333"), keys),
        "a login in a cluster's host": (cluster(url="", host=f"me:{secret}@q"), keys),
        "a key with an option that there is not": (cluster(api_key_env="Q_KEY", a_key=1), {"Q_KEY": secret}),
        "headers with an option that there is not": (cluster(headers={"A": secret}, a_key=1), keys),
        "headers of another type": (cluster(headers=[secret]), keys),
        "a key that no header can have": (raw(), {"Q_KEY": f"{secret}\n", "P_KEY": f"{secret}\n"}),
    }


@pytest.mark.parametrize("place", misplaced(""))
@pytest.mark.parametrize("secret", ODD.values(), ids=ODD)
async def test_no_error_about_the_configuration_quotes_a_secret(
    secret: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    held, environment = misplaced(secret)[place]
    told: list[object] = []
    try:
        found = Config.from_dict(held, environment)
        told += [found, *found.clusters.values()]
        plane = ControlPlane.open(found.control)
        await plane.aclose()
        for one in found.clusters.values():
            store = connect(one)
            told.append(store)
            await store.aclose()
    except ShardrouteError as error:
        told.append(whole(error))
    assert leaks(*told, *map(repr, told), caplog.text) == []


@pytest.mark.parametrize("line", ['url = "{}', "url = {}", 'url = "{}" "{}"', '"{}" = 1 1', "[{}", "\\{}"])
@pytest.mark.parametrize("secret", ODD.values(), ids=ODD)
def test_no_error_about_the_file_quotes_a_secret(tmp_path: Path, secret: str, line: str) -> None:
    path = tmp_path / "shardroute.toml"
    path.write_text("[control]\n" + line.replace("{}", secret))
    with pytest.raises(ShardrouteError) as caught:
        Config.load(path, {})
    assert leaks(whole(caught.value)) == []


# -- what happens -------------------------------------------------------------------------------------------------


def with_login(url: str, password: str) -> str:
    return url.replace("redis://", f"redis://me:{quote(password, safe='')}@")


@pytest.mark.parametrize("secret", ODD.values(), ids=ODD)
async def test_nothing_that_is_logged_or_raised_while_serving_has_the_password(
    secret: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    async with embedded_redis() as server, Redis(port=server.port) as root:
        await root.acl_setuser("me", enabled=True, passwords=f"+{secret}", commands=["+@all"], keys=["*"])
        settings = config(with_login(server.url, secret), namespace, control={"lease": 1, "idle_lease": 1})
        async with Admin.open(settings) as admin:
            await admin.init()
            told += [await admin.doctor()]
        async with Router.from_config(settings) as router:
            await router.tenant("acme").upsert([record("one")])
            await root.acl_setuser("me", enabled=True, passwords=["+other", f"-{secret}"])
            await root.client_kill_filter(_type="normal", skipme=True)
            for _ in range(2):
                with pytest.raises(ShardrouteError) as caught:
                    await router.create_tenant("globex")
                told.append(whole(caught.value))
        for url in (with_login(server.url, secret), with_login("redis://127.0.0.1:1/0", secret)):
            with pytest.raises(ShardrouteError) as caught:
                async with Router.from_config(config(url, namespace)):
                    pass
            told.append(whole(caught.value))
    assert "WRONGPASS" in str(told)
    assert leaks(*told, caplog.text) == []


@pytest.mark.parametrize("state", ["well", "with another password", "away"])
async def test_no_command_shows_the_password(deployment: Deployment, state: str) -> None:
    secret = ODD["of addresses"]
    async with embedded_redis() as server, Redis(port=server.port) as root:
        await root.config_set("requirepass", secret if state != "with another password" else "other")
        url = with_login(server.url if state != "away" else "redis://127.0.0.1:1/0", secret)
        deployment.write(redis=url.replace("redis://me:", "redis://:"))
        for arguments in (["init"], ["doctor"], ["doctor", "--json"], ["status", "-v"], ["migrate", "acme"]):
            answer = await deployment.run(*arguments)
            assert leaks(answer.out, answer.err) == []
            if state == "with another password":
                assert "WRONGPASS" in answer.out + answer.err


def test_the_address_is_what_an_error_about_it_names() -> None:
    with pytest.raises(ShardrouteError, match=r"control\.url \(redis://\*\*\*\).*%2F %3F %23"):
        ControlConfig(url="redis://:hun#ter2@host:6379/0")
