"""How many steps a regular expression takes: a backtracking matcher like that of `re`, which counts.

Steps are the same on every machine and under every load, which seconds are not, and nothing can count inside `re`.
The matcher takes the pattern as `re` itself parsed it and does what `re` does, without the shortcuts that make `re`
fail sooner: so it never counts too little. Tests hold its answers to those of `re`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # the parts of `re` that are not public
from typing import Any

Test = Callable[[str], bool]


class TooManySteps(Exception):
    """More than the budget: whatever else comes, this is enough to know."""


@dataclass(slots=True)
class Program:
    """A pattern as instructions: `char` takes one character, `split` tries its ways in order, and so on."""

    pattern: re.Pattern[str]
    code: list[tuple[Any, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, pattern: re.Pattern[str]) -> Program:
        program = cls(pattern)
        program._add(_parser.parse(pattern.pattern, pattern.flags))
        program.code.append(("end",))
        return program

    def steps(self, text: str, *, search: bool, budget: int) -> tuple[bool, int]:
        """Whether `search` (else `fullmatch`) finds it, and after how many steps. Raises TooManySteps."""
        taken = 0
        for start in range(len(text) + 1) if search else (0,):
            found, taken = self._from(start, text, taken, budget, whole=not search)
            if found:
                return True, taken
        return False, taken

    def _from(self, start: int, text: str, taken: int, budget: int, *, whole: bool) -> tuple[bool, int]:
        ways: list[tuple[int, int, tuple[tuple[int, int], ...]]] = [(0, start, ())]
        while ways:
            at, position, marks = ways.pop()
            while True:
                taken += 1
                if taken > budget:
                    raise TooManySteps
                kind, *given = self.code[at]
                if kind == "char":
                    if position == len(text) or not given[0](text[position]):
                        break
                    position += 1
                elif kind == "split":  # the first way now, the others when it has failed
                    ways += [(at + way, position, marks) for way in reversed(given[0][1:])]
                    at += given[0][0]
                    continue
                elif kind == "jump":
                    at += given[0]
                    continue
                elif kind == "mark":
                    marks = (*(mark for mark in marks if mark[0] != given[0]), (given[0], position))
                elif kind == "moved":  # a round that took nothing ends a repeat
                    if (given[0], position) in marks:
                        break
                elif kind == "again":
                    held = dict(marks)
                    group = text[held[2 * given[0]] : held[2 * given[0] + 1]]
                    taken += len(group)
                    if not text.startswith(group, position):
                        break
                    position += len(group)
                elif kind == "at":
                    if given[0].match(text, position) is None:
                        break
                elif whole and position < len(text):  # "end", too early
                    break
                else:
                    return True, taken
                at += 1
        return False, taken

    def _add(self, nodes: Any) -> None:
        for node in nodes:
            name, given = str(node[0]).lower(), node[1]
            if name in ("literal", "not_literal", "in", "any"):
                self.code.append(("char", _test(self.pattern, node)))
            elif name == "at":
                self.code.append(("at", _place(self.pattern, node)))
            elif name == "branch":
                self._add_branch(given[1])
            elif name == "subpattern":
                self._add_group(given[0], given[-1])
            elif name in ("max_repeat", "min_repeat"):
                self._add_repeat(*given, lazy=name == "min_repeat")
            elif name == "groupref":
                self.code.append(("again", given))
            else:
                raise NotImplementedError(f"{name} of {self.pattern.pattern!r}: teach it to the matcher")

    def _add_branch(self, ways: Sequence[Any]) -> None:
        parts = [self._apart(way) for way in ways]
        starts = [1]
        for part in parts[:-1]:
            starts.append(starts[-1] + len(part) + 1)
        end = starts[-1] + len(parts[-1]) + 1
        self.code.append(("split", starts))
        for start, part in zip(starts, parts, strict=True):
            self.code += [*part, ("jump", end - start - len(part))]

    def _add_group(self, number: int | None, body: Any) -> None:
        if number is None:
            self._add(body)
            return
        self.code.append(("mark", 2 * number))
        self._add(body)
        self.code.append(("mark", 2 * number + 1))

    def _add_repeat(self, least: int, most: int, body: Any, *, lazy: bool) -> None:
        part = self._apart(body)
        for _ in range(least):
            self.code += part
        here = -len(self.code) - 1  # a mark that no group has
        round_ = [("mark", here), *part, ("moved", here)]
        if most is _constants.MAXREPEAT:
            ways = [1, len(round_) + 2]
            self.code += [("split", ways[::-1] if lazy else ways), *round_, ("jump", -len(round_) - 1)]
            return
        for left in range(most - least, 0, -1):
            ways = [1, left * (len(part) + 1)]
            self.code += [("split", ways[::-1] if lazy else ways), *part]

    def _apart(self, body: Any) -> list[tuple[Any, ...]]:
        inner = Program(self.pattern)
        inner._add(body)
        return inner.code


def _compiled(pattern: re.Pattern[str], node: Any) -> re.Pattern[str]:
    state = _parser.State()
    state.flags = state.str = 0
    state.str = pattern.pattern
    only: re.Pattern[str] = _compiler.compile(_parser.SubPattern(state, [node]), pattern.flags)
    return only


def _test(pattern: re.Pattern[str], node: Any) -> Test:
    only = _compiled(pattern, node)
    known: dict[str, bool] = {}

    def test(character: str) -> bool:
        if character not in known:
            known[character] = only.fullmatch(character) is not None
        return known[character]

    return test


def _place(pattern: re.Pattern[str], node: Any) -> re.Pattern[str]:
    return _compiled(pattern, node)


def pieces(pattern: re.Pattern[str]) -> list[str]:
    """What texts against this pattern are made of: its words, a character of each of its sets, and strangers."""
    found: list[str] = []
    _gather(pattern, _parser.parse(pattern.pattern, pattern.flags), found)
    return sorted({*found, "!", "\n", " "})


def _gather(pattern: re.Pattern[str], nodes: Any, found: list[str]) -> None:
    word = ""
    for node in nodes:
        name, given = str(node[0]).lower(), node[1]
        if name == "literal":
            word += chr(given)
            continue
        if word:
            found.append(word)
            word = ""
        if name in ("not_literal", "in", "any"):
            test = _test(pattern, node)
            found += [next(filter(test, some), "") for some in ("aZ_é", "0", ".-:/ \n")]
        elif name == "branch":
            for way in given[1]:
                _gather(pattern, way, found)
        elif name in ("subpattern", "max_repeat", "min_repeat"):
            _gather(pattern, given[-1], found)
    if word:
        found += [word, word[0]]
