"""Calls of a facade that nobody awaits: they do nothing, and are never taken for a result.

A synchronous caller, such as a library that was given a facade in place of a synchronous client, would go on with the
coroutine as if it were the answer. Whether somebody will await it cannot be known when it is called
(`run_coroutine_threadsafe` takes it to another thread): so it refuses everything but that, and complains at its end.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NoReturn, TypeVar

from ..errors import ShardrouteError

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_Facade = TypeVar("_Facade")


class NotAwaited(ShardrouteError, TypeError, AttributeError):
    """The answer of a call was used that has not been awaited. Nothing was sent."""


class Call(Coroutine[Any, Any, _Answer]):
    """A coroutine that says what is wrong when it is used as its answer. Tasks and `gather` take it as any other."""

    def __init__(self, inner: Coroutine[Any, Any, _Answer], name: str, caller: str) -> None:
        self._inner = inner
        self.__name__ = self.__qualname__ = name  # of which a task's description is made
        self._caller = caller
        self._begun = False

    def __await__(self) -> Generator[Any, Any, _Answer]:
        self._begun = True
        return self._inner.__await__()

    def send(self, value: Any, /) -> Any:
        self._begun = True
        return self._inner.send(value)

    def throw(self, *raised: Any) -> Any:
        self._begun = True
        return self._inner.throw(*raised)

    def close(self) -> None:
        self._begun = True
        self._inner.close()

    def __del__(self) -> None:
        if self._begun:
            return
        self._inner.close()  # else Python complains of a coroutine whose name tells nobody anything
        said = f"{self.__qualname__}() was called at {self._caller} and never awaited: nothing was sent"
        log.error("%s", said)
        warnings.warn(said, RuntimeWarning, stacklevel=1)

    def _refuse(self, *_: object) -> NoReturn:
        raise NotAwaited(
            f"{self.__qualname__}() is asynchronous and was not awaited: its answer was used at once, and nothing was "
            "sent. Await it; code that is synchronous cannot use this object"
        )

    __len__ = __iter__ = __getitem__ = __contains__ = _refuse  # `bool` asks for the length

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cr_"):  # what a task's description asks for
            return getattr(self._inner, name)
        self._refuse()


def answers_when_awaited(facade: type[_Facade]) -> type[_Facade]:
    """The class, whose public coroutines are `Call`s."""
    for name in dir(facade):
        method = getattr(facade, name)
        if not name.startswith("_") and inspect.iscoroutinefunction(method):
            setattr(facade, name, _calling(method, f"{facade.__name__}.{name}"))
    return facade


def _calling(
    method: Callable[..., Coroutine[Any, Any, _Answer]], name: str
) -> Callable[..., Coroutine[Any, Any, _Answer]]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Call[_Answer]:
        frame = sys._getframe(1)
        caller = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return Call(method(*arguments, **options), name, caller)

    return call
