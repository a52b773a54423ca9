"""What the scripts decide inside Redis is what `rules` says, for states nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardroute import rules
from shardroute.control import Begun, ControlPlane, Window
from shardroute.errors import MoveRefused
from shardroute.phases import EFFECTS, LINE, NEIGHBOURS, Phase
from shardroute.rules import EVERY_TENANT, Acknowledgement, Journal, Refusal, Session

from .board import LONG, SHARD, TENANT, Board

examples = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

IDS = ("a", "b", "c", "d")
VERSION = 5  # of the tenant's last move
EPOCH = 3


async def _emptied(plane: ControlPlane) -> Board:
    """A map and nothing else, in one go: examples share a namespace."""
    board = Board(plane)
    await board.redis.delete(*plane.keys.of(TENANT))
    await plane.maps.create("{}")
    await board.redis.hset(board.key("meta"), "version", VERSION)
    await board.redis.delete(board.key("changes"))
    return board


# -- sessions ----------------------------------------------------------------------------------------------------


@st.composite
def sessions(draw: st.DrawFn, *, around: int = VERSION) -> list[Session]:
    """`expires` is relative to now."""
    versions = st.integers(around - 2, around + 2)
    withheld: st.SearchStrategy[dict[str, int]] = st.just({}) | st.dictionaries(
        st.sampled_from([TENANT, "globex"]), versions
    )
    acknowledged = st.lists(st.builds(Acknowledgement, versions, withheld), max_size=4)
    return [
        Session(f"s{number}", told, draw(st.sampled_from([-LONG, LONG])))
        for number, told in enumerate(draw(acknowledged))
    ]


async def _put_sessions(board: Board, described: Sequence[Session]) -> None:
    now = await board.plane.lease_time()
    for session in described:
        told = session.acknowledged
        await board.redis.zadd(board.key("sessions"), {session.id: (now + session.expires) * 1000})
        await board.redis.hset(board.key("acknowledged"), session.id, told.version)
        if told.withheld:
            await board.redis.hset(board.key("withheld"), session.id, json.dumps(dict(told.withheld)))


@examples
@given(
    described=sessions(),
    version=st.integers(VERSION - 2, VERSION + 2),
    tenant=st.sampled_from([TENANT, "globex", "other", EVERY_TENANT]),
)
async def test_the_barrier_waits_for_whom_the_rules_wait_for(
    plane: ControlPlane, described: list[Session], version: int, tenant: str
) -> None:
    board = await _emptied(plane)
    await _put_sessions(board, described)
    waited_for = set(await plane.sessions.lagging(version, tenant))
    assert waited_for == set(rules.lagging(described, version, tenant, now=0))


@examples
@given(
    steps=st.lists(st.integers(-(10**7), 10**7) | st.integers(-50, 5000), max_size=6),
    most=st.integers(1, 3000),
)
async def test_the_lease_time_counts_in_redis_as_the_rules_count(
    plane: ControlPlane, steps: list[int], most: int
) -> None:
    """A step of Redis's clock is one of the note of when a script looked last, the other way round."""
    board = await _emptied(plane)
    meta = board.key("meta")
    await plane.lease_time()
    await board.redis.hset(meta, "step", most)
    for step in steps:
        before = {name: int(await board.redis.hget(meta, name)) for name in ("clock", "counted")}
        await board.redis.hset(meta, "clock", before["clock"] - step)
        counted = round(await plane.lease_time() * 1000)
        passed = int(await board.redis.hget(meta, "clock")) - (before["clock"] - step)
        assert counted == rules.lease_time(before["counted"], passed, most)


@examples
@given(described=sessions(), again=sessions())
async def test_a_heartbeat_says_lapsed_where_the_rules_see_no_live_session(
    plane: ControlPlane, described: list[Session], again: list[Session]
) -> None:
    board = await _emptied(plane)
    await _put_sessions(board, described)
    alive = {session.id for session in described if session.alive(now=0)}
    for session in again:
        told = session.acknowledged
        answer = await board.beat(session.id, acknowledged=told.version, withheld=told.withheld)
        assert answer.lapsed is (session.id not in alive)
    now_alive = {
        session.id: session for session in (*described, *again) if session in again or session.alive(0)
    }
    renewed = [Session(session.id, session.acknowledged, LONG) for session in now_alive.values()]
    for tenant in (TENANT, EVERY_TENANT):
        waited_for = set(await plane.sessions.lagging(VERSION, tenant))
        assert waited_for == set(rules.lagging(renewed, VERSION, tenant, now=0))


# -- moves -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """`tokens` and `orphans`: tokens of sessions that live, and of sessions that are gone."""

    phase: Phase
    to: Phase
    synced: bool
    tokens: int = 0
    orphans: int = 0
    debt: int = 0
    sessions: Sequence[Session] = ()
    overdue: bool = False

    def refusal(self) -> rules.Refusal | None:
        journal = Journal(self.tokens + self.orphans, self.debt)
        return rules.refusal(
            self.phase,
            self.to,
            synced=self.synced,
            journal=rules.reaped(journal, self.orphans),
            barrier_passed=not rules.lagging(self.sessions, VERSION, TENANT, now=0),
            hold_overdue=self.overdue,
        )


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Mostly neighbours and mostly past the barrier, or nearly every state would be refused for the same reason."""
    phase = draw(st.sampled_from(LINE))
    few = st.sampled_from([0, 0, 0, 1, 2])
    return Scene(
        phase=phase,
        to=draw(st.sampled_from(NEIGHBOURS[phase]) | st.sampled_from(LINE)),
        synced=draw(st.sampled_from([True, True, False])),
        tokens=draw(few),
        orphans=draw(few),
        debt=draw(few),
        sessions=draw(st.just([]) | sessions()),
        overdue=EFFECTS[phase].held and draw(st.sampled_from([False, False, True])),
    )


async def _set(board: Board, scene: Scene) -> None:
    now = await board.plane.lease_time()
    hold_until = now + (-LONG if scene.overdue else LONG) if EFFECTS[scene.phase].held else 0
    record = {
        "phase": scene.phase,
        "epoch": EPOCH,
        "version": VERSION,
        "synced": int(scene.synced),
        "hold_until": int(hold_until * 1000),
        "fence": "0",
    }
    await board.redis.hset(board.key("tenants"), TENANT, json.dumps(record))
    await board.redis.hset(board.key("meta"), "moving", int(not EFFECTS[scene.phase].settled))
    await _put_sessions(board, scene.sessions)
    await _put_sessions(board, [Session("writer", Acknowledgement(VERSION), LONG)])
    owners = ["writer"] * scene.tokens + ["gone"] * scene.orphans
    for number, owner in enumerate(owners):
        token = {"session": owner, "ids": [f"written-{number}"]}
        await board.redis.hset(board.key("tokens"), f"t{number}", json.dumps(token))
        await board.redis.hset(board.key("flying"), f"written-{number}", 1)
    for number in range(scene.debt):
        await board.redis.sadd(board.key("debt"), f"owed-{number}")


async def _move(board: Board, scene: Scene) -> str | None:
    try:
        await board.move(scene.to)
    except MoveRefused as refused:
        return refused.reason
    return None


@settings(examples, max_examples=150)
@given(scene=scenes())
async def test_a_move_is_refused_for_the_reason_that_the_rules_give_or_made(
    plane: ControlPlane, scene: Scene
) -> None:
    await _moves_as_the_rules_say(plane, scene)


BEHIND = Session("behind", Acknowledgement(VERSION - 1), LONG)
CROSSING = Scene(Phase.HOLD_OLD, Phase.HOLD_NEW, synced=True)
ONE_OBSTACLE = {
    None: CROSSING,
    Refusal.NOT_NEIGHBOUR: replace(CROSSING, to=Phase.NEW),
    Refusal.BARRIER: replace(CROSSING, sessions=[BEHIND]),
    Refusal.NOT_SYNCED: replace(CROSSING, synced=False),
    Refusal.HOLD_OVER: replace(CROSSING, overdue=True),
    Refusal.TOKENS: replace(CROSSING, tokens=1),
    Refusal.DEBT: replace(CROSSING, debt=1),
}


@pytest.mark.parametrize("reason", [None, *Refusal], ids=str)
async def test_one_obstacle_alone_is_enough_for_a_refusal(
    plane: ControlPlane, reason: Refusal | None
) -> None:
    """Drawn scenes may miss it: there one obstacle hides another."""
    scene = ONE_OBSTACLE[reason]
    assert scene.refusal() is reason
    await _moves_as_the_rules_say(plane, scene)


async def _moves_as_the_rules_say(plane: ControlPlane, scene: Scene) -> None:
    board = await _emptied(plane)
    await board.take_lock()
    await _set(board, scene)
    before = await board.standing()
    verdict = await _move(board, scene)
    assert verdict == scene.refusal()
    after = await board.standing()
    if verdict is None:
        assert (after.phase, after.epoch, after.version) == (scene.to, EPOCH + 1, VERSION + 1)
        assert after.synced is rules.stays_synced(scene.to, synced=scene.synced)
        assert (after.hold_until is not None) is EFFECTS[scene.to].held
        assert (await board.map()).moving == int(not EFFECTS[scene.to].settled)
    else:
        assert after == before


# -- the journal -------------------------------------------------------------------------------------------------

some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)


@examples
@given(steps=st.lists(st.tuples(st.integers(0, 3), some_ids), max_size=14))
async def test_writes_overlap_in_redis_where_they_do_by_the_rules(
    plane: ControlPlane, steps: list[tuple[int, list[str]]]
) -> None:
    """A step begins a token, or settles it if it has begun."""
    board = await _emptied(plane)
    await board.redis.hset(
        board.key("tenants"), TENANT, json.dumps({"phase": "DUAL_OLD", "epoch": EPOCH, "version": VERSION})
    )
    await board.beat("router")
    in_flight: dict[str, list[str]] = {}
    owed: set[str] = set()
    for number, (place, ids) in enumerate(steps):
        slot = f"slot-{place}"
        running = next((token for token in in_flight if token.startswith(slot)), None)
        if running is not None:
            await board.settle(running, in_flight.pop(running))
            continue
        flying = _counted(in_flight)
        owed |= {record_id for record_id in ids if rules.overlaps(flying, record_id)}
        in_flight[f"{slot}/{number}"] = ids
        assert await board.begin(f"{slot}/{number}", ids, epoch=EPOCH) is Begun.OK
    assert await board.debt() == owed
    assert await board.redis.hgetall(board.key("flying")) == {
        record_id: str(times) for record_id, times in _counted(in_flight).items()
    }
    assert await plane.journal.counts(TENANT) == Journal(len(in_flight), len(owed))


def _counted(in_flight: Mapping[str, Sequence[str]]) -> dict[str, int]:
    every = [record_id for ids in in_flight.values() for record_id in ids]
    return {record_id: every.count(record_id) for record_id in every}


@examples
@given(
    kind=st.sampled_from(Window),
    touched=st.dictionaries(st.sampled_from(IDS), st.integers(1, 6)),
    flying=st.sets(st.sampled_from(IDS)),
    owed=st.sets(st.sampled_from(IDS)),
    read=some_ids,
    window=st.integers(1, 6),
)
async def test_a_mark_stays_at_the_end_of_a_window_where_it_does_by_the_rules(
    plane: ControlPlane,
    kind: Window,
    touched: dict[str, int],
    flying: set[str],
    owed: set[str],
    read: list[str],
    window: int,
) -> None:
    """`touched`: in which window's time each id was touched last."""
    board = await _emptied(plane)
    await board.take_lock()
    await _put(board, "windows", {str(window): window})
    await _put(board, "touched", touched)
    for record_id in flying:
        await board.redis.hset(board.key("flying"), record_id, 1)
    for record_id in owed:
        await board.redis.sadd(board.key("debt"), record_id)
    stays = {
        record_id
        for record_id in read
        if rules.mark_stays(
            touched_since_read=touched.get(record_id, 0) >= window, in_flight=record_id in flying
        )
    }
    answer = await plane.journal.close_window(TENANT, board.fence, window, kind, read)
    after = {
        Window.COPY: owed | stays,
        Window.PAY: owed - (set(read) - stays),
        Window.LOOK: owed,
    }
    assert set(answer) == stays | (owed & set(read) if kind is Window.LOOK else set())
    assert await board.debt() == after[kind]


async def _put(board: Board, name: str, scores: Mapping[str, Any]) -> None:
    if scores:
        await board.redis.zadd(board.key(name), scores)


@examples
@given(
    phase=st.sampled_from(LINE),
    overdue=st.booleans(),
    described=st.just([]) | sessions(),
)
async def test_anyone_ends_a_hold_that_is_overdue_and_acknowledged_and_nothing_else(
    plane: ControlPlane, phase: Phase, overdue: bool, described: list[Session]
) -> None:
    board = await _emptied(plane)
    scene = Scene(phase, phase, synced=True, sessions=described, overdue=overdue and EFFECTS[phase].held)
    await _set(board, scene)
    before = await board.standing()
    version = await plane.maps.expire_hold(TENANT, SHARD)
    may_end = scene.overdue and not rules.lagging(described, VERSION, TENANT, now=0)
    if not EFFECTS[phase].held:
        assert version == VERSION
    else:
        assert version == (VERSION + 1 if may_end else None)
    assert ((await board.standing()) == before) is not may_end
