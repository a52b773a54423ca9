"""What goes wrong in a run, and when: drawn from one seed, printed as JSON, and replayed from it.

Who does what first is still up to the machine: a replay is the same trouble at the same moments, not the same run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .aimed import MIGRATOR, ROUTER, SEND, Aim
from .settings import LEASE, LINGER, LOCK, TENANTS

ROUTERS = ("router-1", "router-2", "router-3")
MIGRATORS = tuple(f"migrator-{tenant}" for tenant in TENANTS)
CLUSTERS = ("old", "new")
LINKS = [(party, target) for party in (*ROUTERS, *MIGRATORS) for target in ("redis", *CLUSTERS)]

AFTER_GONE = LINGER * 0.3
"""Seconds that a proxy keeps a request whose client has gone."""
AT_SERVER = LINGER * 0.15
"""Seconds that a server keeps one: stopped, or hanging. All of it may come together, and a loaded machine is late by
as much again: all in all no more than `linger`."""

_WALKS = (
    ("migrate", "rollback", "canary", "migrate"),
    ("migrate", "rollback", "canary", "abort"),
    ("migrate", "verify", "rollback", "canary", "verify", "repair", "migrate"),
    ("migrate", "complete", "rollback", "repair", "abort"),
    ("migrate", "complete", "purge", "rollback", "migrate"),
    ("rollback", "canary", "migrate"),
)
"""Verbs in an order in which each has something to do, unless the one before it failed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` is a key of KINDS, done to `who` from second `at` on for so many `seconds`."""

    at: float
    kind: str
    who: str
    seconds: float
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verb:
    """An admin verb, in a process that is killed after `patience` seconds."""

    verb: str
    verify: bool
    patience: float
    aim: Aim | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`aims[n]`: where the n-th router process stops itself. `failover`: the routers that read from the other side.

    `forgets`: whether Redis comes back empty in the end. `drain`: of routers; `timeout`: of requests to clusters.
    """

    seed: int
    seconds: float
    faults: tuple[Fault, ...]
    verbs: Mapping[str, tuple[Verb, ...]]
    aims: tuple[tuple[Aim, ...], ...]
    failover: tuple[str, ...]
    forgets: bool = False
    drain: float = 5.0
    timeout: float = 1.0

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        raw = json.loads(text)
        verbs = {
            tenant: tuple(Verb(**{**verb, "aim": verb["aim"] and Aim(**verb["aim"])}) for verb in listed)
            for tenant, listed in raw["verbs"].items()
        }
        aims = tuple(tuple(Aim(**aim) for aim in listed) for listed in raw["aims"])
        faults = tuple(Fault(**fault) for fault in raw["faults"])
        return cls(
            **{**raw, "faults": faults, "verbs": verbs, "aims": aims, "failover": tuple(raw["failover"])}
        )


def drawn(seed: int, seconds: float, *, beyond: bool = False) -> Schedule:
    """The schedule of a seed. `beyond`: with stops right before the bytes of a request leave, and in between them."""
    dice = random.Random(seed)
    faults: list[Fault] = []
    share = dice.choice((0.15, 0.3, 0.6))  # where less goes wrong, more gets far enough to go wrong
    for who, (pause, kinds) in _ACTORS.items():
        if dice.random() < share:
            faults += _timed(random.Random(f"{seed} {who}"), who, pause, kinds, seconds)
    return Schedule(
        seed,
        seconds,
        tuple(sorted(faults, key=lambda fault: fault.at)),
        {tenant: tuple(_walk(random.Random(f"{seed} {tenant}"), beyond=beyond)) for tenant in TENANTS},
        tuple(_aims(random.Random(f"{seed} aims {n}"), beyond=beyond) for n in range(40)),
        tuple(name for name in ROUTERS if dice.random() < 0.4),
        forgets=dice.random() < 0.15,
        drain=dice.choice((LINGER / 4, 5.0)),
        timeout=dice.choice((1.0, 1.0, LEASE + 1)),
    )


def _timed(
    dice: random.Random, who: str, pause: float, kinds: Mapping[str, float], seconds: float
) -> Iterator[Fault]:
    """One after the other, each over before the next."""
    at = dice.expovariate(1 / pause)
    while at < seconds:
        kind = dice.choices(list(kinds), list(kinds.values()))[0]
        lasts, detail = KINDS[kind](dice)
        name = "/".join(dice.choice(LINKS)) if who.startswith("network") else who
        yield Fault(round(at, 3), kind, name, round(lasts, 3), detail)
        at += lasts + dice.expovariate(1 / pause)


def _walk(dice: random.Random, *, beyond: bool) -> Iterator[Verb]:
    """From one end of the line to the other and back; some verbs are killed on the way, and done again or not."""
    for _ in range(12):
        for verb in dice.choice(_WALKS):
            for _ in range(dice.choice((1, 1, 2))):
                patience = dice.choice((2.0, 6.0, 30.0, 30.0, 30.0)) * dice.uniform(0.3, 1)
                aim = _aim(dice, MIGRATOR, LOCK, beyond=beyond) if dice.random() < 0.3 else None
                yield Verb(verb, dice.random() < 0.3, round(patience, 2), aim)


def _aims(dice: random.Random, *, beyond: bool) -> tuple[Aim, ...]:
    return tuple(_aim(dice, ROUTER, LEASE, beyond=beyond) for _ in range(dice.choice((0, 0, 1, 2))))


def _aim(dice: random.Random, places: Mapping[str, int], life: float, *, beyond: bool) -> Aim:
    seconds = round(dice.choice((0.3, 1.2, 2.0)) * life * dice.uniform(0.5, 1.2), 2)
    if beyond and dice.random() < 0.5:
        return Aim(SEND, dice.choice(("before", "half")), dice.randint(1, 40), seconds)
    place = dice.choice(list(places))
    return Aim(place, dice.choice(("before", "after")), dice.randint(1, places[place]), seconds)


# -- kinds of trouble: how long, and what in particular ------------------------------------------------------------

Drawn = tuple[float, dict[str, Any]]


def _for(*choices: float) -> Callable[[random.Random], Drawn]:
    return lambda dice: (dice.choice(choices) * dice.uniform(0.3, 1), {})


def _once(dice: random.Random) -> Drawn:
    return 0.0, {}


def _server_fault(dice: random.Random) -> Drawn:
    after = dice.random() < 0.5
    kind = dice.choice(("latency", "jitter", "error", "down", "hang", "limit"))
    faults: dict[str, dict[str, Any]] = {
        "latency": {"latency": dice.random() * AT_SERVER},
        "jitter": {"jitter": dice.random() * (1.5 if after else AT_SERVER), "after_write": after},
        "error": {"error_rate": dice.random() * 0.5, "after_write": after},
        "down": {"down": True, "after_write": after},
        "hang": {"hang": True, "after_write": after},
        "limit": {"rate_limit": 50.0 * dice.random(), "retry_after": 1},
    }
    only = dice.choice((["write"], ["write"], ["read"], None))
    short = kind == "hang" and not after  # what hangs is carried out afterwards, its sender gone
    return dice.random() * (AT_SERVER if short else 1.5), faults[kind] | {"only": only}


def _delayed(dice: random.Random) -> Drawn:
    return dice.uniform(0.5, 3), {"delay": round(dice.uniform(0.01, AFTER_GONE / 2), 3)}


def _halved(dice: random.Random) -> Drawn:
    return dice.uniform(0.2, 2), {"then": dice.choice(("release", "cut"))}


def _stepped(dice: random.Random) -> Drawn:
    return 0.0, {"step": dice.choice((-1, 1)) * dice.choice((1, 10, 60, 600))}


KINDS: Mapping[str, Callable[[random.Random], Drawn]] = {
    "stop": _for(0.1, 0.6, LEASE, 3 * LEASE),
    "stop briefly": _for(AT_SERVER),
    "kill": _once,
    "close": _once,
    "kill and restart": _for(0.1, 1.0),
    "server fault": _server_fault,
    "cut": _for(0.1, 1.0, LEASE),
    "delay": _delayed,
    "hold": _for(0.3, 1.5, LEASE),
    "hold answers": _for(0.3, 1.5, LEASE),
    "halve": _halved,
    "mute": _for(0.3, 2.0),
    "pause": _for(0.2, 1.5, LEASE),
    "busy": _for(0.5, 2.0),
    "oom": _for(0.5, 2.0),
    "readonly": _for(0.5, 2.0),
    "no permission": _for(0.5, 2.0),
    "unblock": _once,
    "fail over": _once,
    "clock": _stepped,
}

_PROCESS = {"stop": 7.0, "kill": 2.0, "close": 1.0}
_CLUSTER = {"server fault": 7.0, "stop briefly": 2.0, "kill and restart": 1.0}
_NETWORK = {"cut": 2.0, "delay": 2.0, "hold": 3.0, "hold answers": 1.0, "halve": 2.0, "mute": 2.0}
_REDIS = {
    **{"pause": 2.0, "stop": 2.0, "kill and restart": 1.0, "fail over": 2.0, "unblock": 1.0},
    **{"busy": 1.0, "oom": 1.0, "readonly": 1.0, "no permission": 1.0},
}
_ACTORS: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "redis": (4.0, _REDIS),
    "clock": (6.0, {"clock": 1.0}),
    **dict.fromkeys(CLUSTERS, (1.0, _CLUSTER)),
    **dict.fromkeys(ROUTERS, (2.5, _PROCESS)),
    **dict.fromkeys(MIGRATORS, (3.0, {"stop": 1.0})),
    "network": (0.8, _NETWORK),
    "network as well": (0.8, _NETWORK),
}
"""Who suffers: seconds between two troubles of one, and what they are, by weight."""
