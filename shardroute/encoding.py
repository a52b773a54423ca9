"""Encoders: the functions of a configuration that make vectors of texts, loaded once per process.

An encoder takes a list of texts and answers one vector for each: an array of n x dimension, or a list of lists. It
may be a coroutine function, which then runs in the event loop; any other runs in threads of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from opentelemetry.trace import SpanKind, Status, StatusCode

from . import telemetry as names
from .errors import (
    ConfigError,
    EncoderMismatch,
    EncoderUnavailable,
    InvalidInput,
    InvalidRecord,
    ShardrouteError,
)
from .records import Metadata, Record, Vector, VectorLike, check_metadata
from .shardmap import Migration
from .telemetry import encode_duration, tracer
from .topology import Topology, check_encoders

Function = Callable[[list[str]], Any]


class Encoder:
    """One topology's encoder. How many calls are under way at once is bounded in each event loop."""

    def __init__(self, topology: Topology, function: Function) -> None:
        self.name = topology.encoder
        self.source_field = topology.source_field
        self.dimension = topology.dimension
        self.batch = topology.encoder_batch
        self.concurrency = topology.encoder_concurrency
        self._timeout = topology.encoder_timeout
        self._call = _awaited(function) if _is_async(function) else _threaded(function, self.concurrency)
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text; equal texts are encoded once.

        Raises EncoderUnavailable (retryable), EncoderMismatch, and what the encoder itself raises of
        `ShardrouteError`.
        """
        if not texts:
            return []
        unique = list(dict.fromkeys(texts))
        batches = [unique[start : start + self.batch] for start in range(0, len(unique), self.batch)]
        with _span(self.name, len(unique)):
            found = [vector for part in await _all(map(self._encoded, batches)) for vector in part]
        by_text = dict(zip(unique, found, strict=True))
        return [by_text[text] for text in texts]

    async def _encoded(self, texts: list[str]) -> list[Vector]:
        async with self._turn():
            try:
                async with asyncio.timeout(self._timeout) as patience:
                    answer = await self._call(texts)
            except ShardrouteError:
                raise
            except Exception as error:
                late = f"no answer within {self._timeout:g} s"
                what = late if patience.expired() else f"{type(error).__name__}: {error}"
                raise EncoderUnavailable(self.name, what) from error
        return as_vectors(answer, len(texts), self.dimension, self.name)

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop not in self._places:
            self._places[loop] = asyncio.Semaphore(self.concurrency)
        return self._places[loop]


@cache
def load(topology: Topology) -> Encoder | None:
    """The topology's encoder, the same one for everybody in this process; None where it has none.

    Raises ConfigError naming the key. Imports the encoder's module, which may take long.
    """
    return Encoder(topology, _imported(topology)) if topology.encoder else None


def _imported(topology: Topology) -> Function:
    path = f"topologies.{topology.name}.encoder"
    module, _, name = topology.encoder.partition(":")
    try:
        found: Any = import_module(module)
    except Exception as error:
        raise ConfigError(f"{path} is {topology.encoder!r}: importing {module} failed: {error!r}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{path} is {topology.encoder!r}, and {module} has no {name}")
        found = getattr(found, part)
    if not callable(found) or inspect.isclass(found):
        raise ConfigError(
            f"{path} is {topology.encoder!r}, which is no function from a list of texts to vectors"
        )
    function: Function = found
    return function


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the vectors of a migration's tenants are made of texts.

    `shared`: the encoder of both topologies, which is asked once, for both sides. None where the two differ: then
    each side makes its own vectors (`stores.encoded`).
    """

    old: Encoder
    new: Encoder
    shared: Encoder | None

    @property
    def made(self) -> str:
        makers = [
            f"{encoder.name!r} from metadata {encoder.source_field!r}" for encoder in (self.old, self.new)
        ]
        return " and ".join(dict.fromkeys(makers))

    def check(self, what: str, vector: object) -> None:
        """Raises InvalidRecord if the caller brings a vector."""
        if vector is not None:
            raise InvalidRecord(
                f"{what}: vectors of this tenant are made by {self.made}: leave the vector out"
            )

    async def records(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records as they are written: with vectors, where these are the same for both sides."""
        if self.shared is None:
            return records
        vectors = await self.shared.vectors(
            [self._text(f"record {one.id!r}", one.metadata) for one in records]
        )
        return [record.with_vector(vector) for record, vector in zip(records, vectors, strict=True)]

    async def changed(self, metadata: Metadata) -> Vector | None:
        """The vector that goes with changed metadata; None if that is not for the caller's side to make."""
        if self.shared is None or self.shared.source_field not in check_metadata(metadata):
            return None
        (vector,) = await self.shared.vectors([self._text("update", metadata)])
        return vector

    async def asked(
        self, vector: VectorLike | None, text: str | None
    ) -> tuple[VectorLike | None, str | None]:
        """What a query is asked with: a vector, or the text where each side encodes it. Raises InvalidInput."""
        if vector is not None and text is not None:
            raise InvalidInput("a query has a vector or a text, not both")
        if vector is not None and self.shared is None:
            raise InvalidInput(
                f"which model is the vector of? Those of this tenant are made by {self.made}: query by `text` instead"
            )
        if text is None or self.shared is None:
            return vector, text
        (vector,) = await self.shared.vectors([text])
        return vector, None

    def _text(self, what: str, metadata: Metadata) -> str:
        assert self.shared is not None
        return source_text(what, metadata, self.shared.source_field)


def encoding_of(migration: Migration) -> Encoding | None:
    """How the vectors of its tenants are made; None where callers bring them. Raises ConfigError as `load` does."""
    check_encoders(migration.old, migration.new)
    old, new = load(migration.old), load(migration.new)
    if old is None or new is None:
        return None
    return Encoding(old, new, old if migration.old.encoding == migration.new.encoding else None)


# -- pure ----------------------------------------------------------------------------------------------------


def source_misfit(metadata: Metadata, source_field: str) -> str | None:
    """Why there is nothing to encode in a record's metadata, or None."""
    if source_field not in metadata:
        return f"metadata {source_field!r} is missing, of which the encoder makes the vector"
    if not isinstance(metadata[source_field], str):
        kind = type(metadata[source_field]).__name__
        return (
            f"metadata {source_field!r} must be a string, of which the encoder makes the vector, not {kind}"
        )
    return None


def source_text(what: str, metadata: Metadata, source_field: str) -> str:
    """The text to encode. Raises InvalidRecord, which names `what` has none."""
    reason = source_misfit(metadata, source_field)
    if reason is not None:
        raise InvalidRecord(f"{what}: {reason}")
    text: str = metadata[source_field]
    return text


def as_vectors(answer: object, count: int, dimension: int, encoder: str) -> list[Vector]:
    """What an encoder answered, as float32 vectors. Raises EncoderMismatch."""
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which is refused below
            table = np.array(answer, dtype=np.float32)  # a copy: an encoder may use its buffer again
    except (TypeError, ValueError, OverflowError) as error:
        raise EncoderMismatch(encoder, f"answered no table of numbers: {error}") from error
    if table.shape != (count, dimension):
        raise EncoderMismatch(
            encoder,
            f"answered numbers of shape {table.shape}; {(count, dimension)} was expected: texts, dimension",
        )
    if not np.isfinite(table).all():
        raise EncoderMismatch(encoder, "answered NaN or infinity")
    return list(table)


# -- calls ---------------------------------------------------------------------------------------------------


def _is_async(function: Function) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _awaited(function: Function) -> Callable[[list[str]], Awaitable[Any]]:
    async def call(texts: list[str]) -> Any:
        return await function(texts)

    return call


def _threaded(function: Function, concurrency: int) -> Callable[[list[str]], Awaitable[Any]]:
    """A pool of its own: a call that was given up keeps its thread until it ends, and no other work waits for that."""
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="shardroute-encoder")

    async def call(texts: list[str]) -> Any:
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(pool, context.run, function, texts)

    return call


async def _all(calls: Iterator[Awaitable[list[Vector]]]) -> list[list[Vector]]:
    """All answers, in order. The first failure cancels what is left."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


@contextmanager
def _span(encoder: str, texts: int) -> Iterator[None]:
    """The INTERNAL span around encoding, and its duration. Neither holds any of the text, errors included."""
    began, attributes = perf_counter(), {names.ENCODER: encoder}
    with tracer.start_as_current_span(
        names.ENCODE,
        kind=SpanKind.INTERNAL,
        attributes={**attributes, names.TEXTS: texts},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            attributes |= {names.ERROR_TYPE: type(error).__name__}
            span.set_attribute(names.ERROR_TYPE, type(error).__name__)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            encode_duration.record(perf_counter() - began, attributes)
