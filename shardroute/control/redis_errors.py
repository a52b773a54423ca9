"""What every error that Redis, Redis Cluster, Sentinel or the client can give means to us: one table.

No answer of Redis ends anything for good: whatever it is, it is asked again, and leases run out by themselves
meanwhile. The table decides how loudly that is told, what to do about it, and whether connections are made anew.

The codes are those of Redis 7.0 to 8.0 (`shared.*err` of server.c, and every reply that begins with "-"), of Valkey
9.1, and of Sentinel. redis-py 8 takes the code off the text and keeps it in the error's class and `status_code`,
but for codes that it does not know: there the text still begins with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from redis import exceptions as client

from ..errors import ControlPlaneUnavailable, ShardrouteError


class Meaning(StrEnum):
    """What an error says about Redis. All are asked again."""

    AWAY = "away for now"  # ends by itself
    REFUSED = "refused"  # somebody has to change something
    BUG = "a fault of shardroute's"  # or of whoever else writes to its keys
    UNKNOWN = "not known"  # taken for AWAY, and told loudly


@dataclass(frozen=True, slots=True)
class Entry:
    """`advice`: a sentence for the operator. `reconnect`: whether another server may be meant by the address now."""

    meaning: Meaning
    advice: str
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """An error as the table has it. `code`: "" where nothing was answered. `text`: cut, and without secrets."""

    code: str
    text: str
    entry: Entry

    @property
    def loud(self) -> bool:
        return self.entry.meaning is not Meaning.AWAY

    def __str__(self) -> str:
        if not self.code:
            return f"Redis did not answer: {self.text}{'; ' + self.entry.advice if self.loud else ''}"
        return f"Redis answered {self.code}: {self.text.rstrip('. ')}; {self.entry.advice}"


def _away(advice: str, *, reconnect: bool = True) -> Entry:
    return Entry(Meaning.AWAY, f"{advice}; it is asked again", reconnect)


def _refused(advice: str, *, reconnect: bool = False) -> Entry:
    return Entry(Meaning.REFUSED, f"{advice}; it is asked again until then", reconnect)


def _bug(advice: str) -> Entry:
    return Entry(Meaning.BUG, f"{advice}; it is asked again")


_REPORT = (
    "shardroute asked for something that it should not have, or another program writes to its keys; report it"
)
_REPLICA = "it is a replica now, so its address is looked up again"
_CLUSTER = "the cluster is changing"
_SENTINEL = "Sentinel cannot say who the master is now"
_UNKNOWN = Entry(
    Meaning.UNKNOWN, "shardroute does not know that answer: report it; it is asked again", reconnect=True
)
_NO_ANSWER = _away("it is away")

CODES: Mapping[str, Entry] = {
    # Who is asked is not, or not yet, the one to ask.
    "LOADING": _away("it loads its data"),
    "READONLY": _away(_REPLICA),
    "MASTERDOWN": _away(_REPLICA),
    "NOMASTERLINK": _away(_REPLICA),
    "REDIRECT": _away(_REPLICA),
    "UNBLOCKED": _away("it sends away who waits, as a server does that becomes a replica"),
    "NOREPLICAS": _away("too few replicas hear it, so it takes no writes"),
    "IOERR": _away("it could not reach another server"),
    # Cluster
    "CLUSTERDOWN": _away(_CLUSTER),
    "MOVED": _away(_CLUSTER),
    "ASK": _away(_CLUSTER),
    "TRYAGAIN": _away(_CLUSTER, reconnect=False),
    "CROSSSLOT": _bug(_REPORT),
    # Sentinel
    "INPROG": _away(_SENTINEL),
    "NOGOODSLAVE": _away(_SENTINEL),
    "NOGOODPRIMARY": _away(_SENTINEL),
    "NOQUORUM": _away(_SENTINEL),
    # Busy with others
    "BUSY": _away("it is busy with somebody's script", reconnect=False),
    "NOSCRIPT": _away("it forgot its scripts", reconnect=False),
    # Rights, memory, disk
    "NOAUTH": _refused("control.url needs a user and a password", reconnect=True),
    "WRONGPASS": _refused(
        "the user in control.url is not there or off, or the password is wrong", reconnect=True
    ),
    "NOPERM": _refused("the user in control.url needs the rights that docs/operations.md lists"),
    "DENIED": _refused("Redis is in protected mode: give it a password, or see its configuration"),
    "NOPROTO": _refused("this Redis is too old, or a proxy in front of it is"),
    "OOM": _refused("Redis is full: give it more memory, or delete what is not needed there"),
    "MISCONF": _refused("Redis cannot write to its disk, so it takes no writes; see its log"),
    # What we never do to provoke it
    "WRONGTYPE": _bug(_REPORT),
    "ERR": _bug(_REPORT),
    "EXECABORT": _bug(_REPORT),
    "BUSYGROUP": _bug(_REPORT),
    "BUSYKEY": _bug(_REPORT),
    "INVALIDOBJ": _bug(_REPORT),
    "NOGROUP": _bug(_REPORT),
    "NOSUB": _bug(_REPORT),
    "NOTBUSY": _bug(_REPORT),
    "UNKILLABLE": _bug(_REPORT),
}

_ADDRESS = "control.url names a database or a kind of Redis that is not there (control.cluster)"

TEXTS: Mapping[str, Entry] = {
    "max number of clients": _away("it has too many clients"),
    "script killed by user": _away("somebody ended the script", reconnect=False),
    "problem with ldap": _away("it cannot ask who we are"),
    "upstream failure": _away("a proxy cannot reach it"),
    "no upstream host": _away("a proxy cannot reach it"),
    "the user executing the script": CODES["NOPERM"],
    "has no permissions": CODES["NOPERM"],
    "acl failure in script": CODES["NOPERM"],
    "operation not permitted": CODES["NOAUTH"],
    "invalid password": CODES["WRONGPASS"],
    "client sent auth": CODES["WRONGPASS"],
    "auth <password> called": CODES["WRONGPASS"],
    "for 'auth' command": _refused("this Redis knows no user names: leave the user out of control.url"),
    "unknown command": _refused(
        "this Redis, or a proxy in front of it, lacks a command that shardroute needs"
    ),
    "unknown subcommand": _refused("this Redis is too old, or a proxy in front of it is"),
    "db index is out of range": _refused(_ADDRESS),
    "invalid db index": _refused(_ADDRESS),
    "select is not allowed": _refused(_ADDRESS),
    "cluster support disabled": _refused(_ADDRESS),
}
"""What says more than the code ERR does: how such a text, in small letters, reads somewhere."""

TYPES: Mapping[type[BaseException], Entry] = {
    # Of a code: what a script or a pipeline gives may come without one.
    client.BusyLoadingError: CODES["LOADING"],
    client.NoScriptError: CODES["NOSCRIPT"],
    client.OutOfMemoryError: CODES["OOM"],
    client.ExecAbortError: CODES["EXECABORT"],
    client.ReadOnlyError: CODES["READONLY"],
    client.NoPermissionError: CODES["NOPERM"],
    client.ClusterDownError: CODES["CLUSTERDOWN"],
    client.AskError: CODES["ASK"],
    client.MovedError: CODES["MOVED"],
    client.TryAgainError: CODES["TRYAGAIN"],
    client.ClusterCrossSlotError: CODES["CROSSSLOT"],
    client.MasterDownError: CODES["MASTERDOWN"],
    client.AuthenticationError: CODES["WRONGPASS"],
    client.AuthorizationError: CODES["NOPERM"],
    client.AuthenticationWrongNumberOfArgsError: TEXTS["for 'auth' command"],
    client.ModuleError: CODES["ERR"],
    client.NoSuchFieldsetError: CODES["ERR"],
    # Of the client
    client.ConnectionError: _NO_ANSWER,
    client.TimeoutError: _NO_ANSWER,
    client.ExternalAuthProviderError: TEXTS["problem with ldap"],
    client.MaxConnectionsError: _away("all connections are in use", reconnect=False),
    client.InvalidResponse: _refused(
        "what answers at control.url does not speak as Redis does", reconnect=True
    ),
    client.RedisClusterException: _away("no node of the cluster can be asked"),
    client.ClusterError: _away(_CLUSTER),
    client.SlotNotCoveredError: _away(_CLUSTER),
    client.ChildDeadlockedError: _away("the process was forked"),
    client.CrossSlotTransactionError: _bug(_REPORT),
    client.InvalidPipelineStack: _bug(_REPORT),
    client.IncorrectPolicyType: _bug(_REPORT),
    client.DataError: _bug(_REPORT),
    client.PubSubError: _bug(_REPORT),
    client.WatchError: _bug(_REPORT),
    client.LockError: _bug(_REPORT),
    client.LockNotOwnedError: _bug(_REPORT),
    client.ResponseError: _UNKNOWN,
    client.RedisError: _UNKNOWN,
    # Of Python. The cluster's client looks up slots and nodes that are not there.
    KeyError: _away(_CLUSTER),
    IndexError: _away(_CLUSTER),
    TimeoutError: _NO_ANSWER,
    OSError: _NO_ANSWER,
    Exception: _UNKNOWN,
}

_LONGEST = 300  # letters of an answer that are looked at and told
_CODE = re.compile(r"[A-Z][A-Z0-9_]+\b")
_WITHIN_A_SCRIPT = re.compile(r"user_script: ?\d+: -?([A-Z][A-Z0-9_]+) ")
_QUOTED = ", with args beginning with"


def judge(error: BaseException) -> Judgement:
    """What the table says about an error: by its code if there is one, else by its kind."""
    for link in _chain(error):
        if isinstance(link, client.ResponseError) or getattr(link, "status_code", None):
            return _answered(link)
    return Judgement("", f"{type(error).__name__}: {_told(error)}".removesuffix(": "), _by_kind(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what the cluster's client hides behind its own: why it could ask nobody."""
    link: BaseException | None = error
    for _ in range(5):
        if link is None:
            return
        yield link
        if not isinstance(link, client.RedisClusterException):
            return
        link = link.__cause__ or link.__context__


def _answered(error: BaseException) -> Judgement:
    code, text = _code_of(error), _told(error)
    if code and text.startswith(code):
        text = text[len(code) :].lstrip()
    if code in ("", "ERR"):
        # Before Redis 7 a script's error was an ERR that quotes the command's own.
        within = _WITHIN_A_SCRIPT.search(text)
        if within and within[1] in CODES:
            return Judgement(within[1], text, CODES[within[1]])
        for fragment, entry in TEXTS.items():
            if fragment in text.lower():
                return Judgement(code or "an error", text, entry)
    entry = CODES.get(code) or (_by_kind(error) if not code else _UNKNOWN)
    return Judgement(code or "an error", text, entry)


def _code_of(error: BaseException) -> str:
    """What redis-py took off the text, or what stands at its beginning."""
    if code := getattr(error, "status_code", None):
        return str(code)
    found = _CODE.match(_told(error))
    return found[0] if found else ""


def _by_kind(error: BaseException) -> Entry:
    return next((TYPES[kind] for kind in type(error).__mro__ if kind in TYPES), _UNKNOWN)


def _told(error: BaseException) -> str:
    """The error's text, cut. An unknown command is answered with what followed it: that may be a password."""
    return str(error).partition(_QUOTED)[0][:_LONGEST]


@contextmanager
def translated(heard: Callable[[Judgement], None] = lambda _: None) -> Iterator[None]:
    """Turns whatever asking Redis raises into ControlPlaneUnavailable, as the table has it; `heard` is told first."""
    try:
        yield
    except ShardrouteError:
        raise
    except Exception as error:
        judgement = judge(error)
        heard(judgement)
        unavailable = ControlPlaneUnavailable(str(judgement), code=judgement.code, refused=judgement.loud)
        raise unavailable from (None if _QUOTED in str(error) else error)
