"""Errors of ours that the vendor's `except` clauses recognise too.

What is raised is still the error of ours, with its attributes, and besides an instance of the vendor's nearest
class. NotCovered stays only ours: code that catches all that its client raises must not hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

from ..errors import NotCovered, ShardrouteError

Attributes: TypeAlias = Callable[[Any], Mapping[str, Any]]
Twins: TypeAlias = Sequence[tuple[type[ShardrouteError], type[Exception], Attributes]]
"""An error of ours, the vendor's that means the same, and what that one has as attributes. The first that fits."""


@contextmanager
def recognised(twins: Twins) -> Iterator[None]:
    """Around a call: what it raises can be caught as either."""
    try:
        yield
    except ShardrouteError as error:
        # `from` as it was: what is raised instead is the same error, under one more name.
        raise _twin(error, twins).with_traceback(error.__traceback__) from error.__cause__


def _twin(error: ShardrouteError, twins: Twins) -> ShardrouteError:
    if isinstance(error, NotCovered):
        return error
    for ours, theirs, attributes in twins:
        if isinstance(error, theirs):  # from a call within the call
            return error
        if isinstance(error, ours):
            both = _both(type(error), theirs)  # type: ignore[arg-type]  # a class is hashable
            twin = both.__new__(both, *error.args)
            twin.__dict__.update({**attributes(error), **error.__dict__})
            return twin
    return error


@cache
def _both(ours: type[ShardrouteError], theirs: type[Exception]) -> type[ShardrouteError]:
    def reduced(self: ShardrouteError) -> tuple[object, ...]:
        """Another process gets the error of ours: a class that was made here cannot be found there."""
        restore, arguments = ShardrouteError.__reduce__(self)
        assert isinstance(arguments, tuple), "a kind, and what it is restored from"
        return restore, (ours, *arguments[1:])

    members = {"__doc__": ours.__doc__, "__str__": Exception.__str__, "__reduce__": reduced}
    return type(ours.__name__, (ours, theirs), members)
