"""``manage.py shardroute``: the script by another name, with the configuration of the settings."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from django.core.management import CommandError, call_command

from shardroute import __version__
from tests.cli.conftest import Deployment

from .conftest import Project
from .managing import managed, started

pytestmark = pytest.mark.slow


async def test_it_makes_the_map_moves_tenants_and_says_what_the_script_says(deployment: Deployment) -> None:
    await deployment.fill("acme", 60)
    made = await managed(deployment, "shardroute", "init", "--json")
    assert (made.code, made.json["namespace"]) == (0, deployment.namespace)
    moved = await managed(deployment, "shardroute", "migrate", "acme", "--json", "-q")
    assert (moved.code, moved.json["results"][0]["phase"], moved.err) == (0, "DUAL_NEW", "")
    ours, scripts = await asyncio.gather(
        managed(deployment, "shardroute", "status"), deployment.run("status")
    )
    assert (ours.code, ours.out) == (0, scripts.out)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("purge", "acme"), 2, "Nothing was deleted; --yes goes ahead"),
        (("migrate",), 2, "which tenants?"),
        (("status", "--config", "other.toml"), 2, "`manage.py shardroute` has a configuration already"),
        (("status", "--settings", "tests.django.settings"), 0, ""),
        (("--settings=tests.django.settings", "status"), 0, ""),
    ],
)
async def test_exit_codes_are_the_scripts(
    deployed: Deployment, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answer = await managed(deployed, "shardroute", *arguments)
    assert (answer.code, said in answer.err) == (code, True), answer.err


async def test_help_names_what_is_typed(deployed: Deployment) -> None:
    for arguments in (("shardroute", "--help"), ("help", "shardroute")):
        assert (await managed(deployed, *arguments)).out.startswith("Usage: manage.py shardroute COMMAND")
    of_a_verb = await managed(deployed, "shardroute", "migrate", "--help")
    assert of_a_verb.out.startswith("Usage: manage.py shardroute migrate")


async def test_an_interrupted_command_names_the_one_that_goes_on(deployed: Deployment) -> None:
    deployed.write(rate=100)
    await deployed.fill("acme", 2000)
    process = await started(deployed, "shardroute", "migrate", "acme")
    assert process.stderr is not None
    while b"copy 0 of 2,000" not in (line := await process.stderr.readline()):
        assert line, "it ended before it copied"
    process.send_signal(signal.SIGTERM)
    said = (await process.communicate())[1].decode()
    assert process.returncode == 130
    assert "manage.py shardroute migrate acme" in said


async def test_messages_name_the_command_as_it_is_typed(deployment: Deployment) -> None:
    answer = await managed(deployment, "shardroute", "status")
    assert answer.code == 1
    assert "`manage.py shardroute init`" in answer.err


def test_code_may_call_it(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    call_command("shardroute", "status", "--json")
    assert json.loads(capfd.readouterr().out)["tenants"] == []
    with pytest.raises(CommandError) as failed:
        call_command("shardroute", "migrate")
    assert failed.value.returncode == 2


def test_its_version_is_shardroutes(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("shardroute", "--version")
    assert capfd.readouterr().out.strip() == __version__
