"""What the server refuses, in the words and with the status of a real one, and what it makes of the engine's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        message: as it stands in the answer's ``status.error``.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class EngineRefusal(Refusal):
    """The engine refused. A write that is not waited for is acknowledged all the same."""


def bad_input(what: str) -> Refusal:
    return Refusal(400, f"Wrong input: {what}")


def bad_request(what: str) -> Refusal:
    return Refusal(400, f"Bad request: {what}")


def invalid(field: str, what: str, where: str = "JSON body") -> Refusal:
    """A value out of its range: a real server knows it before it does anything."""
    return Refusal(422, f"Validation error in {where}: [{field}: {what}]")


def out_of_range(field: str, value: Any, least: int, most: int | None = None) -> Refusal:
    must = f"must be {least} or larger" if most is None else f"must be from {least} to {most}"
    return invalid(field, f"value {value} invalid, {must}")


def no_collection(name: str) -> Refusal:
    return Refusal(404, f"Not found: Collection `{name}` doesn't exist!")


def no_point(point_id: Any) -> Refusal:
    return Refusal(404, f"Not found: No point with id {point_id} found")


def not_here(what: str) -> Refusal:
    """A real server can do it, this one cannot."""
    return Refusal(501, f"{what} is not part of this test server")


_MISSING_POINT = re.compile(r"No point with id (\S+)")


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the engine raises in here becomes a refusal. (It knows one class of errors; their texts tell them apart.)"""
    try:
        yield
    except Refusal:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # a value that cannot be handed to it
        raise Refusal(400, f"Format error in JSON body: {error}") from error
    except Exception as error:
        raise _translated(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EngineRefusal(500, f"Service internal error: {error}") from error


def _translated(text: str) -> EngineRefusal:
    if missing := _MISSING_POINT.fullmatch(text):
        return EngineRefusal(404, no_point(missing[1]).message)
    if text.startswith("Service runtime error: "):
        return EngineRefusal(500, f"Service internal error: {text.partition(': ')[2]}")
    return EngineRefusal(400, f"Wrong input: {text}")


def refusal_of(error: Exception) -> Refusal:
    """Whatever went wrong, as it is answered."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ValidationError):
        return Refusal(400, f"Format error in JSON body: {error}")
    return Refusal(500, f"Service internal error: {error!r}")
