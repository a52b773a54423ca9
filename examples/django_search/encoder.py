"""Text to vectors without a model: words and parts of words, hashed. Texts that share them point the same way.

A real application would call a model here. Nothing else of it would change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

DIMENSION = 1024
_COMMON = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "if", "in", "is",
    "it", "my", "not", "of", "on", "or", "the", "to", "what", "when", "with",
})  # fmt: skip
_PART = 0.4  # what a part of a word counts beside the word


def encode(text: str) -> NDArray[np.float32]:
    """A vector of DIMENSION numbers and length 1."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    terms: Counter[tuple[str, float]] = Counter(_terms(words(text)))
    for (term, weight), times in terms.items():
        hashed = crc32(term.encode())
        sign = 1 if hashed & 0x8000_0000 else -1
        vector[hashed % DIMENSION] += sign * weight * (1 + log(times))
    length = float(np.linalg.norm(vector))
    if length == 0:  # nothing but common words: a direction all the same
        vector[0] = length = 1.0
    unit: NDArray[np.float32] = vector / np.float32(length)
    return unit


def words(text: str) -> list[str]:
    """Those that say something, in lower case."""
    return [word for word in re.findall(r"[^\W_]+", text.lower()) if word not in _COMMON]


def _terms(found: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Words, and their parts of four letters, by which "descaling" is near "descale"."""
    for word in found:
        yield word, 1.0
        for start in range(len(word) - 3):
            yield f"#{word[start : start + 4]}", _PART
