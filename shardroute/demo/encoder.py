"""Text to vectors without a model: a hashing vectorizer. Words and pairs of words, signed, sublinear, unit length.

Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009). The hash is CRC-32, the same
on every machine and in every process.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import log
from zlib import crc32

import numpy as np

from ..records import Vector

DIMENSION = 256
_WORD = re.compile(r"[a-z0-9]+")


def encode(text: str) -> Vector:
    """A float32 vector of DIMENSION numbers and length 1; texts that share words point the same way."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    for term, times in Counter(_terms(text)).items():
        hashed = crc32(term.encode())
        vector[hashed % DIMENSION] += (1 if hashed & 0x8000_0000 else -1) * (1 + log(times))
    length = float(np.linalg.norm(vector))
    if length == 0:  # no word, or words that cancel out: a direction all the same
        vector[crc32(text.encode()) % DIMENSION] = length = 1.0
    unit: Vector = vector / np.float32(length)
    return unit


def _terms(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"
