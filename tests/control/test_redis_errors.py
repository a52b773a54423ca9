"""Every error that Redis can give is in the table, and none of them ends anything."""

from __future__ import annotations

import inspect
import re
import traceback
from pathlib import Path

import pytest
from redis import exceptions as client
from redis._parsers.base import BaseParser
from redis.asyncio import sentinel

from shardroute.control.redis_errors import CODES, TEXTS, TYPES, Entry, Meaning, judge, translated
from shardroute.embedded import _binary
from shardroute.errors import ControlPlaneUnavailable, MapLost, ShardrouteError

KINDS = [kind for _, kind in inspect.getmembers(client, inspect.isclass) if issubclass(kind, BaseException)]


def answered(line: str) -> Exception:
    """The error that the client makes of an answer."""
    error: Exception = BaseParser.parse_error(line)  # type: ignore[no-untyped-call]  # redis-py
    return error


def unavailable(error: Exception) -> ControlPlaneUnavailable:
    with pytest.raises(ControlPlaneUnavailable) as caught, translated():
        raise error
    return caught.value


# -- the table is whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_is_in_the_table(kind: type[BaseException]) -> None:
    assert kind in TYPES


def test_every_code_that_the_client_knows_is_in_the_table() -> None:
    assert set(BaseParser.EXCEPTION_CLASSES) - set(CODES) == set()


def test_every_code_in_the_server_s_program_is_in_the_table() -> None:
    found = set(re.findall(rb"\0-([A-Z][A-Z0-9_]+) [A-Za-z%']", Path(_binary()).read_bytes()))
    assert len(found) > 20
    assert {code.decode() for code in found} - set(CODES) == set()


@pytest.mark.parametrize("kind", [sentinel.MasterNotFoundError, sentinel.SlaveNotFoundError])
def test_a_master_that_sentinel_does_not_know_is_away(kind: type[Exception]) -> None:
    assert judge(kind("no master")).entry.meaning is Meaning.AWAY


# -- judging ------------------------------------------------------------------------------------------------------

_ROUTED = {"MOVED": "MOVED 3999 127.0.0.1:6381", "ASK": "ASK 3999 127.0.0.1:6381"}


@pytest.mark.parametrize("code", CODES)
def test_an_answer_is_known_by_its_code(code: str) -> None:
    error = unavailable(answered(_ROUTED.get(code, f"{code} some words. script: 1f, on @user_script:2.")))
    assert error.code == code
    assert error.retryable
    assert f"Redis answered {code}: " in str(error)
    assert CODES[code].advice in str(error)


@pytest.mark.parametrize("code", sorted(set(CODES) - {"MOVED", "ASK", "ERR"}))
def test_an_error_that_an_old_server_quotes_from_a_script_is_known_by_its_own_code(code: str) -> None:
    error = answered(f"ERR Error running script (call to f_1f2e): @user_script:7: -{code} some words.")
    assert judge(error).entry is CODES[code]


ERR = {
    "ERR max number of clients reached": "max number of clients",
    "ERR max number of clients + cluster connections reached": "max number of clients",
    "ERR Error running script: Script killed by user with SCRIPT KILL...": "script killed by user",
    "ERR The user executing the script can't run this command or subcommand": "the user executing the script",
    "ERR unknown command 'XREAD', with args beginning with: 'a'": "unknown command",
    "ERR DB index is out of range": "db index is out of range",
    "ERR SELECT is not allowed in cluster mode": "select is not allowed",
    "ERR This instance has cluster support disabled": "cluster support disabled",
    "ERR operation not permitted": "operation not permitted",
    "ERR invalid password": "invalid password",
    "ERR Client sent AUTH, but no password is set": "client sent auth",
    "ERR wrong number of arguments for 'auth' command": "for 'auth' command",
    "upstream failure": "upstream failure",
    "no upstream host": "no upstream host",
}


@pytest.mark.parametrize(("line", "fragment"), ERR.items(), ids=ERR)
def test_of_the_code_that_says_nothing_the_words_are_read(line: str, fragment: str) -> None:
    assert judge(answered(line)).entry is TEXTS[fragment]


OF_PYTHON: dict[str, tuple[Exception, Meaning]] = {
    "no connection": (client.ConnectionError("refused"), Meaning.AWAY),
    "no answer": (client.TimeoutError("too late"), Meaning.AWAY),
    "a deadline of ours": (TimeoutError(), Meaning.AWAY),
    "a socket's error": (ConnectionResetError("reset"), Meaning.AWAY),
    "no node of a cluster": (client.RedisClusterException("cannot be connected"), Meaning.AWAY),
    "an answer that nobody knows": (answered("FROBNICATED the frob"), Meaning.UNKNOWN),
    "an answer without a code": (answered("what?"), Meaning.UNKNOWN),
    "a fault of the client": (AttributeError("'NoneType' has no attribute"), Meaning.UNKNOWN),
    "letters that are none": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), Meaning.UNKNOWN),
}


@pytest.mark.parametrize(("error", "meaning"), OF_PYTHON.values(), ids=OF_PYTHON)
def test_whatever_asking_raises_is_a_redis_that_is_away_and_what_is_not_known_is_loud(
    error: Exception, meaning: Meaning
) -> None:
    assert judge(error).entry.meaning is meaning
    told = unavailable(error)
    assert told.__cause__ is error
    assert told.refused is (meaning is not Meaning.AWAY)
    assert ("report it" in str(told)) is (meaning is Meaning.UNKNOWN)


def test_an_answer_that_is_not_known_is_named() -> None:
    error = unavailable(answered("FROBNICATED the frob"))
    assert error.code == "FROBNICATED"
    assert "FROBNICATED: the frob" in str(error)


@pytest.mark.parametrize(
    ("line", "entry"), [("NOPERM no rights", CODES["NOPERM"]), ("LOADING it loads", CODES["LOADING"])]
)
def test_what_the_cluster_s_client_hides_is_found(line: str, entry: Entry) -> None:
    inner = client.RedisClusterException("Cluster mode is not enabled on this node")
    inner.__context__ = answered(line)
    outer = client.RedisClusterException(f"Redis Cluster cannot be connected: {inner}")
    outer.__cause__ = inner
    assert judge(outer).entry is entry


def test_errors_of_our_own_are_left_alone() -> None:
    lost = MapLost("gone")
    with pytest.raises(ShardrouteError) as caught, translated():
        raise lost
    assert caught.value is lost


# -- what is told -------------------------------------------------------------------------------------------------


def test_a_long_answer_is_cut() -> None:
    assert len(str(unavailable(answered("FROBNICATED " + "x" * 100_000)))) < 600


def test_what_followed_a_command_that_is_not_known_is_not_repeated() -> None:
    line = "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'hunter2'"
    error = unavailable(answered(line))
    assert "hunter2" not in "".join(traceback.format_exception(error))
