"""A few short runs under drawn fault schedules; `make soak` makes as many as you like."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.linearizability.history import Kind
from tests.support.patience import PATIENCE

from .aimed import MIGRATOR, ROUTER, SEND, Aim, found
from .judge import judged, marks
from .one import FINE, run
from .record import Log, operations
from .schedule import KINDS, Fault, Schedule, Verb, drawn
from .settings import TENANTS
from .troubles import MAKERS, ROBBERY, suffer
from .world import World

SECONDS = 6.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
async def test_histories_under_drawn_troubles_are_linearizable(seed: int, tmp_path: Path) -> None:
    result = await run(drawn(seed, SECONDS), tmp_path)
    assert result.verdict == FINE, "\n".join(result.told)
    assert result.operations > 100


@pytest.mark.slow
async def test_nothing_is_complained_of_where_nothing_goes_wrong(tmp_path: Path) -> None:
    walk = (Verb("migrate", True, 30), Verb("rollback", False, 30), Verb("canary", False, 30))
    schedule = Schedule(1, 3.0, (), dict.fromkeys(TENANTS, walk), ((),), ("router-1",))
    result = await run(schedule, tmp_path)
    assert result.verdict == FINE, "\n".join(result.told)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_run_in_which_a_cluster_loses_data_is_told_as_violated_and_kept(tmp_path: Path) -> None:
    robbery = Schedule(5, 1.0, (Fault(0.5, ROBBERY, "old", 0.0),), dict.fromkeys(TENANTS, ()), ((),), ())
    (tmp_path / "schedule.json").write_text(robbery.as_json())
    command = (sys.executable, "-m", "tests.soak", "--schedule", "schedule.json", "--keep", "kept", "--json")
    pipe, here = asyncio.subprocess.PIPE, str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, cwd=tmp_path, env={**os.environ, "PYTHONPATH": here}
    )
    told, _ = await process.communicate()
    assert process.returncode == 1
    assert json.loads(told)["verdict"] == "VIOLATED"
    assert {"history.jsonl", "schedule.json", "told.txt"} <= {
        one.name for one in (tmp_path / "kept/5").iterdir()
    }
    assert "read absent" in (tmp_path / "kept/5/told.txt").read_text()


# -- schedules -------------------------------------------------------------------------------------------------


def test_a_seed_draws_the_same_schedule_every_time_and_another_one_another() -> None:
    assert drawn(1, 30) == drawn(1, 30)
    assert drawn(1, 30) != drawn(2, 30)


def test_a_schedule_is_replayed_from_its_json() -> None:
    schedule = drawn(3, 30, beyond=True)
    assert Schedule.from_json(schedule.as_json()) == schedule


def test_every_kind_of_trouble_is_drawn_and_can_be_made() -> None:
    faults = [fault for seed in range(60) for fault in drawn(seed, 30).faults]
    assert {fault.kind for fault in faults} == set(KINDS) == set(MAKERS) - {ROBBERY}


def test_processes_stop_in_the_middle_of_sending_only_where_asked_for() -> None:
    assert SEND not in {aim.place for seed in range(20) for aim in _aims(drawn(seed, 30))}
    assert SEND in {aim.place for seed in range(20) for aim in _aims(drawn(seed, 30, beyond=True))}


def _aims(schedule: Schedule) -> list[Aim]:
    of_verbs = [verb.aim for verbs in schedule.verbs.values() for verb in verbs if verb.aim is not None]
    return [*of_verbs, *(aim for aims in schedule.aims for aim in aims)]


@pytest.mark.parametrize("place", sorted({*ROUTER, *MIGRATOR, SEND}))
def test_every_place_to_stop_at_is_there(place: str) -> None:
    owner, name = found(place)
    assert asyncio.iscoroutinefunction(vars(owner)[name]) is (place != SEND)


# -- histories -------------------------------------------------------------------------------------------------


def _told(path: Path) -> Log:
    log = Log(path)
    log.note(n=1, call=10, tenant="acme", kind="upsert", values={"x": 1, "y": 2})
    log.note(n=1, end=20, phase="OLD", by="primary", seen=None)
    log.note(n=2, call=30, tenant="acme", kind="read", values={"x": None, "y": None})
    return log


def test_an_operation_on_several_records_counts_for_each(tmp_path: Path) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=2, end=40, phase="OLD", by="primary", seen={"x": 1})
    strict, _ = operations(tmp_path / "history-a.jsonl", "a")
    assert [(one.key, one.kind, one.value, one.call, one.end) for one in strict] == [
        ("acme/x", Kind.UPSERT, 1, 10, 20),
        ("acme/y", Kind.UPSERT, 2, 10, 20),
        ("acme/x", Kind.READ, 1, 30, 40),
        ("acme/y", Kind.READ, None, 30, 40),
    ]


def test_the_outcome_of_what_failed_or_never_ended_is_not_known(tmp_path: Path) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=3, call=50, tenant="acme", kind="delete", values={"x": None})
    log.note(n=3, failed="LeaseLost", nothing=False, phase="OLD")
    log.note(n=4, call=60, tenant="acme", kind="delete", values={"y": None})
    strict, _ = operations(tmp_path / "history-a.jsonl", "a")
    assert [(one.key, one.end) for one in strict if one.kind is Kind.DELETE] == [
        ("acme/x", None),
        ("acme/y", None),
    ]
    assert [one for one in strict if one.kind is Kind.READ] == []


def test_a_write_that_was_held_has_done_nothing(tmp_path: Path) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=3, call=50, tenant="acme", kind="delete", values={"x": None})
    log.note(n=3, failed="TenantHeld", nothing=True, phase="OLD")
    strict, _ = operations(tmp_path / "history-a.jsonl", "a")
    assert not [one for one in strict if one.kind is Kind.DELETE]


@pytest.mark.parametrize("by", ["canary", "secondary"])
def test_what_the_other_side_answered_is_judged_by_what_it_may_see(by: str, tmp_path: Path) -> None:
    """x is written, deleted, and written by somebody who got no answer; read on the other side: 1."""
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=2, end=35, phase="DUAL_NEW", by="primary", seen={"x": 1, "y": 2})
    log.note(n=3, call=50, tenant="acme", kind="delete", values={"x": None})
    log.note(n=3, end=60, phase="DUAL_NEW", by="primary", seen=None)
    log.note(n=4, call=90, tenant="acme", kind="read", values={"x": None})
    log.note(n=4, end=95, phase="DUAL_NEW", by=by, seen={"x": 1})
    assert judged(tmp_path).violations == {}
    crossing = Log(tmp_path / "migrators.jsonl")
    crossing.note(at=70, tenant="acme", verb="migrate", step="debt paid")
    crossing.note(at=80, tenant="acme", verb="migrate", step="moved to HOLD_NEW")
    assert marks(tmp_path / "migrators.jsonl") == {"acme": [70]}
    [(key, why)] = judged(tmp_path).violations.items()
    assert key.startswith("acme/x")
    assert "replaced before both sides were equal" in why


def test_what_nobody_wrote_is_wrong_on_any_side(tmp_path: Path) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=2, end=35, phase="DUAL_OLD", by="canary", seen={"x": 7})
    assert "nobody wrote it" in "".join(judged(tmp_path).violations.values())


def test_a_lost_write_is_told_as_a_story(tmp_path: Path) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=2, end=35, phase="OLD", by="primary", seen={"y": 2})
    [(key, story)] = judged(tmp_path).violations.items()
    assert key == "acme/x"
    assert [line[0] for line in story.splitlines()] == [" ", ">"]
    assert "read absent by a, read in OLD, primary" in story


def test_without_go_our_own_checker_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _told(tmp_path / "history-a.jsonl")
    log.note(n=2, end=35, phase="OLD", by="primary", seen={"y": 2})
    monkeypatch.setattr("tests.linearizability.porcupine.program", lambda: None)
    found_here = judged(tmp_path)
    assert found_here.by == "our own checker"
    assert list(found_here.violations) == ["acme/x"]


async def test_a_process_stops_itself_where_it_was_aimed_and_wakes_up_again(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, time\n"
        "from tests.soak.aimed import Aim, take_aim\n"
        "from tests.soak.record import Log\n"
        "from shardroute.stores.qdrant import QdrantStore\n"
        "take_aim([Aim('shardroute.stores.qdrant.QdrantStore.ping', 'before', 2, 0.4)], "
        f"Log(pathlib.Path({str(tmp_path / 'log')!r})))\n"
        "async def main():\n"
        "    store = QdrantStore.connect('a', url='http://127.0.0.1:1')\n"
        "    for _ in range(2):\n"
        "        began = time.monotonic()\n"
        "        try: await store.ping()\n"
        "        except Exception: print(time.monotonic() - began > 0.35)\n"
        "    await store.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["False", "True"]


def test_a_trouble_that_is_drawn_lasts_no_longer_than_it_may() -> None:
    """What a server keeps of a client that has gone lands within the linger."""
    for seed in range(60):
        for fault in drawn(seed, 30).faults:
            hangs = (
                fault.kind == "server fault" and fault.detail.get("hang") and not fault.detail["after_write"]
            )
            if hangs or fault.kind == "stop briefly":
                assert fault.seconds < 0.5
    assert replace(drawn(1, 30), seed=2) != drawn(1, 30)


@pytest.mark.parametrize("late", [False, True])
async def test_a_trouble_is_undone_whenever_it_is_cancelled(
    *, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of it, and while it is being undone already."""
    undoing, undone = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def trouble(*_: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            undoing.set()
            await asyncio.sleep(0.05)
            undone.set()

    monkeypatch.setattr("tests.soak.troubles.MAKERS", {"any": trouble})
    lasts = 0.0 if late else 100.0
    task = asyncio.create_task(suffer(cast("World", None), Fault(0.0, "any", "somebody", lasts)))
    await (undoing.wait() if late else asyncio.sleep(0.01))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone.is_set()
