"""Random schedules through a world too large to be searched, each judged from outside.

A walk takes any of the steps that the model allows, until nothing more can happen or it is long enough. What clients
saw becomes a history, and a checker that knows nothing of the protocol judges it: porcupine where it can be built, else
ours (`tests.linearizability`).

    python -m tests.model.walks 1 100000     # the seeds; a violation prints its history
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tests.linearizability import checker, porcupine
from tests.linearizability.history import Kind, Operation, Verdict, by_key

from .cases import BOTH_FAULTY, ONE_FAULTY
from .decisions import Rules
from .protocol_model import Model
from .search import told
from .state import PRIMARY, Scope, State

LONGEST = 200
_BATCH = 2000  # walks that are judged together
_TICK = 10  # of the history's clock, between two states


def walk(seed: int, rules: Rules | None = None) -> tuple[State, ...]:
    """The states of one random schedule: the world, how busy each is in it, and step by step who goes on, and how."""
    choose = random.Random(seed)
    scope = Scope(
        writes=choose.randint(1, 4),
        moves=choose.randint(3, 12),
        faulty=choose.choice([frozenset(), ONE_FAULTY, BOTH_FAULTY]),
        holds_expire=choose.random() < 0.5,
        reads_lag=choose.random() < 0.5,
        migrators_stop=choose.random() < 0.5,
    )
    model = Model(rules, scope)
    weights = {actor: weight * choose.uniform(0.2, 1) for actor, weight in _WEIGHTS.items()}
    states = [model.initial()]
    while len(states) < LONGEST:
        options: dict[str, list[State]] = {}
        for step in model.steps(states[-1]):
            options.setdefault(_actor(states[-1], step), []).append(step)
        if not options:
            break
        actors = sorted(options)
        [actor] = choose.choices(actors, [weights[actor] for actor in actors])
        states.append(choose.choice(options[actor]))
    return tuple(states)


_WEIGHTS = {"migrator": 1.0, "router 0": 1.0, "router 1": 1.0, "begin": 0.12, "fault": 0.1, "world": 0.3}


def _actor(before: State, after: State) -> str:
    for index, (was, now) in enumerate(zip(before.routers, after.routers, strict=True)):
        if was != now:
            fault, begins = was.leased and not now.leased, now.begun != was.begun
            return "fault" if fault else "begin" if begins else f"router {index}"
    return "world" if (before.task, before.phase) == (after.task, after.phase) else "migrator"


def history(states: tuple[State, ...], key: str) -> list[Operation]:
    """What clients saw. A write whose caller was told that it was refused is left out: nobody may ever read it."""
    called, ended = _writes(states)
    refused = states[-1].refused
    writes = [
        Operation(key, Kind.UPSERT, value, call, ended.get(value))
        for value, call in called.items()
        if value not in refused
    ]
    return [*writes, *_reads(states, key)]


def _writes(states: tuple[State, ...]) -> tuple[dict[int, int], dict[int, int]]:
    called: dict[int, int] = {}
    ended: dict[int, int] = {}
    for number, (before, after) in enumerate(pairwise(states), start=1):
        for was, now in zip(before.routers, after.routers, strict=True):
            if now.write is not None and now.begun != was.begun:
                called.setdefault(now.write.value, number * _TICK)
        for value in after.answered - before.answered:
            ended[value] = number * _TICK
    return called, ended


def _reads(states: tuple[State, ...], key: str) -> Iterator[Operation]:
    """Every router that holds its lease reads whenever what it would see may have changed."""
    seen: list[tuple[int, ...]] = []
    for number, state in enumerate(states):
        values = tuple(state.stores[PRIMARY[one.phase]] for one in state.routers if one.leased)
        if seen and seen[-1] == values:
            continue
        seen.append(values)
        for value in sorted(set(values)):
            at = number * _TICK + 1
            yield Operation(key, Kind.READ, value or None, at, at + 1)


def violated(seeds: Iterable[int], rules: Rules | None = None) -> list[int]:
    """The seeds of walks that are not linearizable, or of which the checker cannot say."""
    histories = [one for seed in seeds for one in history(walk(seed, rules), f"walk {seed}")]
    if porcupine.program() is not None:
        verdicts = porcupine.check(histories)
    else:
        verdicts = {key: checker.check(one).verdict for key, one in by_key(histories).items()}
    return [int(key.split()[1]) for key, verdict in verdicts.items() if verdict is not Verdict.LINEARIZABLE]


def main(first: int, last: int) -> int:
    began = time.monotonic()
    judge = "our own checker" if porcupine.program() is None else "porcupine"
    for start in range(first, last + 1, _BATCH):
        batch = range(start, min(start + _BATCH, last + 1))
        for seed in violated(batch):
            sys.stdout.write("\n".join([f"seed {seed} is not linearizable:", *told(walk(seed))]) + "\n")
            return 1
        done, seconds = batch[-1] - first + 1, time.monotonic() - began
        left = (last - batch[-1]) * seconds / done
        sys.stdout.write(f"{done:,} schedules, {done / seconds:.0f} a second, {left:.0f} s left\n")
        sys.stdout.flush()
    sys.stdout.write(f"no violation, says {judge}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
