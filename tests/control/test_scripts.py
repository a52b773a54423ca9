"""The scripts as texts: what their heads promise, and what they need."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest

from shardroute import control
from shardroute.control import ControlPlane
from shardroute.control.keys import Keys
from shardroute.control.scripts import source
from shardroute.errors import MapLost
from shardroute.phases import EFFECTS, HOLD_ENDS_IN, LINE

from .board import Board, declare

LUA = files(control) / "lua"
NAMES = sorted(entry.name.removesuffix(".lua") for entry in LUA.iterdir() if entry.name != "prelude.lua")
PRELUDE = (LUA / "prelude.lua").read_text()


def _text(name: str) -> str:
    return (LUA / f"{name}.lua").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_at_its_head_whether_it_may_be_repeated(name: str) -> None:
    head = "".join(line for line in _text(name).splitlines(keepends=True) if line.startswith("--"))
    assert head
    assert "Repeatable" in head or "Changes nothing" in head or name in {"barrier", "close"}


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_run_by_the_digest_of_its_text_behind_the_prelude(name: str) -> None:
    text, digest = source(name)
    assert text.startswith(PRELUDE)
    assert text.endswith(_text(name))
    assert digest == hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_a_script_touches_no_key_but_those_it_is_given(name: str) -> None:
    assert "KEYS" not in _text(name)
    assert "shardroute" not in _text(name)


def test_the_prelude_names_as_many_keys_as_are_given() -> None:
    names = PRELUDE.partition("local META")[2].partition("= unpack(KEYS)")[0]
    assert len(("META" + names).split(",")) == len(Keys("n").of("acme"))


def test_all_keys_of_a_namespace_share_one_hash_tag() -> None:
    keys = Keys("n").of("acme")
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("{shardroute.n}:") for key in keys)


def test_tables_of_the_prelude_are_those_of_the_phases() -> None:
    ranks = ", ".join(f"{phase} = {phase.rank}" for phase in LINE)
    ends = ", ".join(f"{phase} = '{dual}'" for phase, dual in HOLD_ENDS_IN.items())
    assert f"local LINE = {{{ranks}}}" in PRELUDE
    assert f"local HOLD_ENDS_IN = {{{ends}}}" in PRELUDE
    for name in ("SETTLED", "DUAL", "HELD"):
        members = ", ".join(f"{phase} = true" for phase in LINE if getattr(EFFECTS[phase], name.lower()))
        assert f"local {name} = {{{members}}}" in PRELUDE


async def test_a_server_that_has_forgotten_the_scripts_is_given_them_again(board: Board) -> None:
    await board.redis.script_flush()
    assert (await board.map()).version == 1


async def test_a_tenant_may_be_named_with_any_letters(board: Board) -> None:
    name = "Łódź:{x}'\"--]] "
    await declare(board.plane, name)
    assert name in (await board.map()).tenants


async def test_two_thousand_ids_fit_in_one_call(board: Board) -> None:
    ids = [f"record-{number}" for number in range(2000)]
    await board.take_lock()
    await board.redis.sadd(board.key("debt"), *ids)
    window = await board.plane.journal.open_window("acme", board.fence)
    answer = await board.scripts.run("close", "acme", board.fence, window, "look", "", *ids)
    assert len(answer[1]) == len(ids)


async def test_a_map_that_is_gone_is_an_error_of_its_own(plane: ControlPlane) -> None:
    with pytest.raises(MapLost, match=plane.keys.namespace):
        await plane.scripts.run("create", "acme", "acme", 0)
