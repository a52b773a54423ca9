"""Models that hash the words of texts: an old one and a new one, of different dimensions, and one that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from shardroute.errors import InvalidRecord
from shardroute.records import Record, Vector

SMALL = 8
LARGE = 12


def hashed(text: str, dimension: int, salt: str) -> Vector:
    """A direction for each word, which depends on the salt, summed up; never zero, of length 1."""
    words = ["", *text.split()]
    vector = sum(
        np.random.default_rng(crc32(f"{salt}/{word}".encode())).normal(size=dimension) for word in words
    )
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def small(texts: list[str]) -> list[list[float]]:
    """The old model: a plain function, which answers lists."""
    return [hashed(text, SMALL, "small").tolist() for text in texts]


@dataclass
class Model:
    """A model that notes what it is asked, and fails or refuses (which is not tried again) while it is told to."""

    dimension: int
    salt: str
    failing: bool = False
    refusing: bool = False
    answering: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        await (asyncio.sleep(0) if self.answering is None else self.answering.wait())
        if self.failing:
            raise ConnectionError(f"no model for {texts[0]!r}")
        if self.refusing:
            raise InvalidRecord(f"no vector for {texts[0]!r}")
        return np.stack([hashed(text, self.dimension, self.salt) for text in texts])

    def rest(self) -> None:
        """As it was before the first test."""
        self.failing = self.refusing = False
        self.asked.clear()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.failing = True
        try:
            yield
        finally:
            self.failing = False

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """No answer until the block ends."""
        self.answering = answering = asyncio.Event()
        try:
            yield
        finally:
            self.answering = None
            answering.set()


large = Model(LARGE, "large")
"""The new model: asynchronous, which answers arrays."""


def misshapen(texts: list[str]) -> list[list[float]]:
    return [[1.0] * (LARGE + 1) for _ in texts]


def is_small(record: Record) -> bool:
    """Whether the record's vector is the old model's, of its text."""
    return _is(record, hashed(record.metadata["text"], SMALL, "small"))


def is_large(record: Record) -> bool:
    return _is(record, hashed(record.metadata["text"], LARGE, "large"))


def _is(record: Record, vector: Vector) -> bool:
    return record.vector is not None and np.array_equal(record.vector, vector)
