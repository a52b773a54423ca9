"""What the script refuses, with which exit code, and that it says what to do."""

from __future__ import annotations

import io
import re
import time

import pytest

from shardroute.cli import main
from shardroute.control import ControlPlane, SessionInfo
from shardroute.phases import Side
from shardroute.rules import Acknowledgement
from tests.cli.conftest import Deployment, record
from tests.support.patience import NEVER


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["migrat", "acme"], 'Did you mean "migrate"'),
        (["migrate", "acme", "--paralel", "3"], "Unknown option"),
        (["migrate", "acme", "--parallel", "0"], "Invalid value"),
        (["migrate"], "or say --all"),
        (["verify"], "Name one or more"),
        (["migrate", "acme", "--all"], "not both"),
        (["plan", "a/b"], "tenant 'a/b' is not a valid name"),
        (["touch", "acme"], "Name some"),
        (["touch", "acme", "--jsn"], "--jsn is no option"),
        (["status", "--config", "elsewhere.toml"], "elsewhere.toml: no such file"),
        (["purge", "acme"], "--yes goes ahead"),
        (["migrate", "acme", "--purge-target"], "--yes goes ahead"),
        (["rollback", "acme"], "tenant 'acme' is in OLD, where `rollback` has nothing to do"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_ends_in_2(
    initialized: Deployment,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, which is quicker."""
    monkeypatch.chdir(initialized.folder)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert message in " ".join(said.err.replace("│", " ").split())
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.fixture
async def initialized(deployment: Deployment) -> Deployment:
    await deployment.init()
    return deployment


async def test_purge_says_what_it_would_delete(initialized: Deployment) -> None:
    answer = await initialized.run("purge", "acme", "--json")
    [error] = answer.json["errors"]
    assert (error["tenant"], error["error"], error["retryable"]) == (None, "InvalidInput", False)
    assert "every record of tenant 'acme' on cluster 'new'" in error["message"]


async def test_the_configuration_comes_from_the_environment_and_is_checked(deployment: Deployment) -> None:
    other = deployment.folder / "other.toml"
    other.write_text(deployment.path.read_text().replace("[copy]", "[copy]\nspeed = 3"))
    answer = await deployment.run("status", environment={"SHARDROUTE_CONFIG": str(other)})
    assert answer.code == 2
    assert "other.toml: copy.speed is not a known key" in answer.err


async def test_a_missing_map_names_init(deployment: Deployment) -> None:
    answer = await deployment.run("status")
    assert answer.code == 1
    assert "`shardroute init`" in answer.err


async def test_a_missing_redis_is_told_in_seconds(deployment: Deployment) -> None:
    deployment.write(redis="redis://:secret@127.0.0.1:1/0")
    began = time.monotonic()
    await deployment.run("--version")  # what the machine takes to start a script
    started = time.monotonic()
    answer = await deployment.run("status", "-v")
    assert time.monotonic() - started < 15 + 3 * (started - began)  # half of what a verb waits for a Redis
    assert answer.code == 1
    assert "error: no Redis at redis://127.0.0.1:1/0 (control.url)" in answer.err
    assert "Traceback" in answer.err
    assert "secret" not in answer.err


async def test_a_cluster_that_is_away_leaves_what_the_map_knows(initialized: Deployment) -> None:
    initialized.write(new="http://127.0.0.1:1")
    answer = await initialized.run("status")
    assert answer.code == 1
    assert "error: cluster 'new'" in answer.err
    doctor = await initialized.run("doctor", "--json")
    assert doctor.code == 1
    assert "cluster 'new'" in doctor.json["problems"][0]


async def test_a_tenant_that_somebody_holds_ends_in_4(initialized: Deployment) -> None:
    await initialized.fill("acme", 10)
    await initialized.fill("globex", 10)
    plane = ControlPlane.open(initialized.config.control)
    async with plane.locks.hold("acme", "somebody else", life=30):
        answer = await initialized.run("migrate", "acme", "globex", "--json")
        [held] = [row for row in (await initialized.run("status", "--json")).json["tenants"] if row["holder"]]
    await plane.aclose()
    assert answer.code == 4
    assert [row["tenant"] for row in answer.json["results"]] == ["globex"]
    [error] = answer.json["errors"]
    assert (error["tenant"], error["error"], error["retryable"]) == ("acme", "TenantLocked", True)
    assert (held["tenant"], held["holder"]) == ("acme", "somebody else")


async def test_problems_of_a_plan_end_in_1(initialized: Deployment) -> None:
    await initialized.fill("acme", 10)
    async with initialized.side(Side.NEW, "acme") as (store, place):
        await store.prepare(place)
        await store.upsert(place, [record(1)])
    answer = await initialized.run("plan", "acme", "--json")
    assert answer.code == 1
    assert "1 records of the tenant already" in answer.json["results"][0]["problems"][0]
    assert (await initialized.run("migrate", "acme", "--purge-target", "--yes")).code == 0


async def test_a_cluster_of_qdrant_that_is_nowhere_is_refused_at_once(initialized: Deployment) -> None:
    text = initialized.path.read_text()
    url = f'url = "{initialized.servers.new}"'
    initialized.path.write_text(text.replace(url, ""))
    answer = await initialized.run("doctor")
    assert answer.code == 2
    assert "clusters.new: url is missing" in answer.err
    initialized.path.write_text(text.replace(url, 'url = "http://127.0.0.1:1"'))
    [problem, *_] = (await initialized.run("doctor", "--json")).json["problems"]
    assert problem == "cluster 'new': ConnectError: All connection attempts failed (http://127.0.0.1:1)"


async def test_a_wait_for_a_session_says_for_whom_and_what_can_be_done(initialized: Deployment) -> None:
    await initialized.fill("acme", 10)
    plane = ControlPlane.open(initialized.config.control)
    try:
        shard_map, _ = await plane.maps.load()
        await plane.sessions.heartbeat(
            "gone",
            lease=NEVER,
            acknowledged=Acknowledgement(shard_map.version),
            incarnation=shard_map.incarnation,
            info=SessionInfo("", 0),
        )
        migrating = await initialized.start("migrate", "acme")
        assert migrating.stderr is not None
        while b"waits" not in (line := await migrating.stderr.readline()):
            assert line, "it ended without a word"
        assert re.search(rb"note: acme waits for session gone, whose lease ends in \d+ s", line)
        assert b"`shardroute doctor --evict gone`" in line
        assert (await initialized.run("doctor", "--evict", "gone")).code == 0
        assert await migrating.wait() == 0
    finally:
        await plane.aclose()
