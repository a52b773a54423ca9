"""The protocol, then each rule left out in turn, as a table.

python -m tests.model            # a minute
python -m tests.model --trace    # and the shortest history that each omission spoils
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from .cases import BOTH_FAULTY, ONE_FAULTY, SWITCHED_OFF
from .decisions import Rules
from .protocol_model import Model
from .search import explore, told
from .state import Scope

WHOLE = (
    Scope(),
    Scope(moves=5, holds_expire=True),
    Scope(reads_lag=True),
    Scope(migrators_stop=True),
    Scope(writes=2),
    Scope(faulty=ONE_FAULTY),
    replace(Scope(faulty=BOTH_FAULTY), moves=5, holds_expire=True),
)


def _row(rules: Rules, scope: Scope, *, trace: bool) -> None:
    began = time.perf_counter()
    outcome = explore(Model(rules, scope), limit=2_000_000)
    _say(
        f"    {_words(scope)}: {outcome.verdict}, {outcome.states:,} states, {time.perf_counter() - began:.0f} s"
    )
    if outcome.violation:
        _say(f"        {outcome.violation}")
    if trace:
        for line in told(outcome.history):
            _say(f"        {line}")


def _words(scope: Scope) -> str:
    faults = ("no faults", "one router faulty", "both routers faulty")[len(scope.faulty)]
    expiry = ", holds that expire" if scope.holds_expire else ""
    lag = ", reads that lag" if scope.reads_lag else ""
    lag += ", migrators that are stopped" if scope.migrators_stop else ""
    start = f", from {scope.start}" if scope.start != Scope.start else ""
    return f"{scope.writes} write(s) a router, {scope.moves} moves, {faults}{expiry}{lag}{start}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    _say("the whole protocol")
    for scope in WHOLE:
        _row(Rules(), scope, trace=False)
    for case in SWITCHED_OFF:
        _say(f"without {case.name} ({case.text})")
        _row(case.rules, case.scope, trace="--trace" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
