"""The immutable map and its changes."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.phases import Phase
from shardroute.shardmap import UNMOVED, MapChange, Migration, MissedChange, ShardMap, Standing, in_motion
from shardroute.topology import Placement, Topology

DUAL = Standing(Phase.DUAL_OLD, epoch=1, version=1)
CROSSED = Standing(Phase.DUAL_NEW, epoch=4, version=9, synced=True)

standings = st.builds(
    Standing,
    phase=st.sampled_from(Phase),
    epoch=st.integers(0, 9),
    version=st.integers(0, 9),
    synced=st.booleans(),
)
tenants = st.sampled_from(["acme", "globex", "initech"])
shards = st.integers(0, 2)
edits: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"tenant": tenants, "standing": st.none() | standings}),
    st.fixed_dictionaries({"shard": shards, "standing": standings}),
    st.just({}),
)
histories = st.lists(edits, max_size=20).map(
    lambda made: [
        MapChange(version=version, moving=version % 3, **edit) for version, edit in enumerate(made, 1)
    ]
)


def test_a_tenant_without_a_record_follows_its_shards_default() -> None:
    shard_map = ShardMap("i", tenants={"acme": DUAL}, defaults={2: CROSSED})
    assert shard_map.standing("acme", 2) is DUAL
    assert shard_map.standing("globex", 2) is CROSSED
    assert shard_map.standing("globex", 1) is UNMOVED


def test_an_unmoved_tenant_is_on_the_old_side() -> None:
    assert Standing(Phase.OLD, epoch=0, version=0, synced=False, hold_until=None) == UNMOVED


def test_a_change_makes_a_new_map_and_leaves_the_old_one_alone() -> None:
    before = ShardMap("i", version=3, tenants={"globex": CROSSED})
    after = before.apply(MapChange(version=4, moving=1, tenant="acme", standing=DUAL))
    assert (after.incarnation, after.version, after.moving) == ("i", 4, 1)
    assert after.tenants == {"acme": DUAL, "globex": CROSSED}
    assert before == ShardMap("i", version=3, tenants={"globex": CROSSED})


@pytest.mark.parametrize("version", [0, 1, 5])
def test_old_news_is_ignored(version: int) -> None:
    shard_map = ShardMap("i", version=5)
    assert shard_map.apply(MapChange(version, moving=9, tenant="acme", standing=DUAL)) is shard_map


@pytest.mark.parametrize("version", [7, 100])
def test_a_gap_is_refused(version: int) -> None:
    with pytest.raises(MissedChange, match=f"map is at 5, change is {version}"):
        ShardMap("i", version=5).apply(MapChange(version, moving=0, tenant="acme", standing=DUAL))


def test_a_change_without_a_standing_sends_the_tenant_back_to_its_shards_default() -> None:
    shard_map = ShardMap("i", tenants={"acme": DUAL}, defaults={0: CROSSED})
    assert shard_map.apply(MapChange(1, moving=0, tenant="acme")).standing("acme", 0) is CROSSED


def test_a_record_that_is_not_there_may_be_dropped() -> None:
    assert ShardMap("i").apply(MapChange(1, moving=0, tenant="acme")).tenants == {}


def test_a_change_of_a_shards_default_leaves_its_tenants_alone() -> None:
    after = ShardMap("i", tenants={"acme": DUAL}).apply(MapChange(1, moving=1, shard=0, standing=CROSSED))
    assert (after.defaults, after.tenants) == ({0: CROSSED}, {"acme": DUAL})


def test_a_change_of_the_maps_own_fields_touches_nobody() -> None:
    before = ShardMap("i", tenants={"acme": DUAL}, defaults={0: CROSSED})
    assert before.apply(MapChange(1, moving=7)) == replace(before, version=1, moving=7)


def test_a_changed_map_cannot_be_written_to() -> None:
    after = ShardMap("i").apply(MapChange(1, moving=1, tenant="acme", standing=DUAL))
    with pytest.raises(TypeError):
        after.tenants["acme"] = CROSSED  # type: ignore[index]  # that is the point


def _whole(history: list[MapChange]) -> ShardMap:
    """What a full load would give after all of `history`, built by other means than `apply`."""
    own, defaults = dict[str, Standing](), dict[int, Standing]()
    for change in history:
        if change.tenant is not None and change.standing is None:
            own.pop(change.tenant, None)
        elif change.tenant is not None and change.standing is not None:
            own[change.tenant] = change.standing
        elif change.shard is not None and change.standing is not None:
            defaults[change.shard] = change.standing
    moving = history[-1].moving if history else 0
    return ShardMap("i", len(history), moving, own, defaults)


@given(histories)
def test_following_every_change_equals_loading_the_last_map(history: list[MapChange]) -> None:
    assert reduce(ShardMap.apply, history, ShardMap("i")) == _whole(history)


@given(histories, st.data())
def test_loading_midway_and_hearing_old_changes_again_makes_no_difference(
    history: list[MapChange], data: st.DataObject
) -> None:
    loaded = data.draw(st.integers(0, len(history)))
    heard_from = data.draw(st.integers(0, loaded))
    followed = reduce(ShardMap.apply, history[heard_from:], _whole(history[:loaded]))
    assert followed == _whole(history)


@given(histories.filter(lambda history: len(history) > 1), st.data())
def test_no_map_comes_of_a_history_with_a_hole(history: list[MapChange], data: st.DataObject) -> None:
    hole = data.draw(st.integers(0, len(history) - 2))
    with pytest.raises(MissedChange):
        reduce(ShardMap.apply, history[:hole] + history[hole + 1 :], ShardMap("i"))


def test_by_phase_lists_every_phase_and_sorts_the_tenants() -> None:
    groups = ShardMap("i", tenants={"globex": DUAL, "acme": DUAL, "initech": CROSSED}).by_phase()
    assert list(groups) == list(Phase)
    assert groups[Phase.DUAL_OLD] == ["acme", "globex"]
    assert groups[Phase.DUAL_NEW] == ["initech"]
    assert groups[Phase.NEW] == []


@pytest.mark.parametrize(
    ("raw", "standing"),
    [
        ({"phase": "OLD", "epoch": 0, "version": 0}, UNMOVED),
        ({"phase": "DUAL_OLD", "epoch": "1", "version": "1", "synced": "0", "hold_until": "0"}, DUAL),
        (
            {"phase": "HOLD_NEW", "epoch": 3, "version": 8, "synced": 1, "hold_until": 12_500, "fence": "7"},
            Standing(Phase.HOLD_NEW, epoch=3, version=8, synced=True, hold_until=12.5),
        ),
        (
            {"phase": "NEW", "epoch": 5, "version": 9, "synced": False, "hold_until": None},
            Standing(Phase.NEW, epoch=5, version=9),
        ),
        ({"phase": "DUAL_NEW", "epoch": 4, "version": 9, "synced": True, "hold_until": ""}, CROSSED),
    ],
)
def test_a_standing_is_read_as_redis_tells_it(raw: dict[str, object], standing: Standing) -> None:
    assert Standing.from_dict(raw) == standing


def test_an_unknown_phase_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="SIDEWAYS"):
        Standing.from_dict({"phase": "SIDEWAYS", "epoch": 0, "version": 0})


def test_a_migration_finds_a_tenants_default_by_the_old_topologys_shard() -> None:
    old = Topology("old", 4, Placement("blue", "docs"), dimension=2)
    new = Topology("new", 9, Placement("green", "docs"), dimension=2)
    shard_map = ShardMap("i", defaults={old.shard("acme"): CROSSED})
    assert Migration(old, new).standing(shard_map, "acme") is CROSSED


@pytest.mark.parametrize("phase", Phase)
def test_a_tenant_is_in_motion_unless_at_an_end_of_the_line(phase: Phase) -> None:
    assert in_motion(phase) is (phase not in {Phase.OLD, Phase.NEW})
