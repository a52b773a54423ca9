"""Who runs the script: a shell, or a program that calls it by another name and brings its own configuration."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..config import Config

NAME = "shardroute"


@dataclass(frozen=True, slots=True)
class Caller:
    """`command`: what is typed before the arguments. `config`: instead of a file; may raise ConfigError."""

    command: str = NAME
    config: Callable[[], Config] | None = None
    arguments: Sequence[str] = ()

    @property
    def typed(self) -> str:
        """The whole command, to be typed again."""
        return f"{self.command} {shlex.join(self.arguments)}"


_SHELL = Caller()
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_SHELL)


def caller() -> Caller:
    """Of the command that runs."""
    return _CALLER.get()


@contextmanager
def called_by(one: Caller) -> Iterator[Caller]:
    """While its command runs."""
    token = _CALLER.set(one)
    try:
        yield one
    finally:
        _CALLER.reset(token)


def as_typed(words: str) -> str:
    """Commands that a message names, by the name that this caller types."""
    return words.replace(f"`{NAME} ", f"`{caller().command} ")
