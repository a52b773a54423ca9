"""No regular expression of the packages takes more than a number of steps for each character, whatever it is given.

Whoever sends a text would else decide for how long the event loop stands still. Steps are counted, not seconds: see
`tests.support.patterns`. Patterns are found, not listed: those that modules hold, and those in the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
import shardroute_django
import shardroute_fastapi
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import shardroute
import tests.django.conftest  # noqa: F401 - sets Django up: its modules cannot be imported before
from shardroute.stores.qdrant_tenants import LONGEST_NAME, naming
from tests.support.patterns import Program, TooManySteps, pieces

PACKAGES = (shardroute, shardroute_fastapi, shardroute_django)
ROUNDS = 20
"""How often what is repeated is repeated: far more steps than the ends of a text take."""

MADE: dict[str, list[Callable[[], re.Pattern[str]]]] = {
    "shardroute.stores.qdrant_tenants.naming": [
        lambda: naming("docs_{tenant}"),
        lambda: naming("docs_{shard}_{tenant}_x"),
    ],
    "shardroute.stores.memory._belongs": [lambda: re.compile(r"docs_acme_\d+_\d+")],
}
"""Where patterns are made while the program runs, and some of them."""


def _modules() -> Iterator[Any]:
    for package in PACKAGES:
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".__main__") and ".migrations." not in found.name:
                yield import_module(found.name)


def _within(value: object, seen: set[int]) -> Iterator[re.Pattern[str]]:
    """The patterns in a value: in containers, and in classes of ours."""
    if isinstance(value, re.Pattern):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        for one in _parts(value):
            yield from _within(one, seen)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    ours = isinstance(value, type) and str(value.__module__).startswith("shardroute")
    return list(vars(value).values()) if ours else []


def _held() -> dict[str, re.Pattern[str]]:
    return {
        f"{module.__name__}: {pattern.pattern}": pattern
        for module in _modules()
        for pattern in _within(vars(module), set())
    }


def _calls(module: Any) -> Iterator[tuple[str, ast.Call]]:
    """Each call of `re` in a function, with the function's name."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in ast.walk(function):
                match call:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name)) if name != "escape":
                        yield f"{module.__name__}.{function.name}", call


CALLS = [found for module in _modules() for found in _calls(module)]
WRITTEN = {
    f"{where}: {call.args[0].value}": re.compile(call.args[0].value)
    for where, call in CALLS
    if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
}
PATTERNS = (
    _held() | WRITTEN | {f"{where}: {make().pattern}": make() for where in MADE for make in MADE[where]}
)


def _taken(program: Program, text: str, *, search: bool, budget: int) -> int:
    """The steps for a text. Fails if it takes more than the budget, or the matcher does not answer as `re` does."""
    try:
        found, taken = program.steps(text, search=search, budget=budget)
    except TooManySteps:
        pytest.fail(
            f"{program.pattern.pattern!r}: more than {budget} steps for {len(text)} characters: {text!r}"
        )
    ask = program.pattern.search if search else program.pattern.fullmatch
    assert found is (ask(text) is not None), f"the matcher and re differ on {text!r}"
    return taken


def check(pattern: re.Pattern[str]) -> None:
    """Fails if there is a text that takes more than twice as many steps for each character when it is longer.

    Four times the text: four times the steps if they grow with it, sixteen if with its square. Eight are too many.
    """
    program, piece = Program.of(pattern), st.sampled_from(pieces(pattern))
    ends = st.lists(piece, max_size=2).map("".join)

    @settings(
        max_examples=80,
        phases=[Phase.generate],  # to make a text shorter would take many runs of what takes too long
        report_multiple_bugs=False,
        deadline=None,
        database=None,
        derandomize=True,
    )
    @given(ends, st.lists(piece, min_size=1, max_size=3).map("".join), ends, st.booleans())
    def grows_with_the_text(before: str, repeated: str, after: str, search: bool) -> None:
        short, long = (before + repeated * times + after for times in (ROUNDS, 4 * ROUNDS))
        budget = _taken(program, short, search=search, budget=50_000)
        _taken(program, long, search=search, budget=8 * budget)

    grows_with_the_text()


@pytest.mark.parametrize("name", PATTERNS)
def test_the_steps_of_a_pattern_grow_with_the_text_and_not_with_its_square(name: str) -> None:
    check(PATTERNS[name])


@pytest.mark.parametrize(
    "pattern",
    [
        r"collection.*(not found|n't exist|not exist)",  # ours, until an error of 55 kB took 5.7 s
        r"(\w+) (\w+) = (\d+)",
        r"[^\W\d]\w*:",
        r"\w+\d+$",
        r"(a+)+b",
        r"(?:a|a)*b",
        r".*?a.*?b",
        r"(?P<one>.+)_(?P=one)_",
    ],
)
def test_a_pattern_that_takes_more_is_found(pattern: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="more than"):
        check(re.compile(pattern))


def test_a_pattern_that_is_made_while_the_program_runs_is_named_here() -> None:
    made = {where for where, call in CALLS if not isinstance(call.args[0], ast.Constant)}
    assert made == set(MADE)


def test_a_pattern_that_compares_with_itself_only_sees_names_of_a_length_that_is_allowed() -> None:
    program = Program.of(naming("docs_{tenant}_{tenant}"))
    for filler in ("a", "_", "a_"):
        text = "docs_" + (filler * LONGEST_NAME)[: LONGEST_NAME - 6] + "!"
        _taken(program, text, search=False, budget=40_000)
