from __future__ import annotations

import numpy as np
import pytest

from shardroute.demo.encoder import DIMENSION, encode


@pytest.mark.parametrize("text", ["Close the socket.", "a", "", "…", "word " * 500])
def test_vectors_have_length_one(text: str) -> None:
    vector = encode(text)
    assert vector.shape == (DIMENSION,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


def test_texts_that_share_words_are_closer() -> None:
    about, alike, other = map(
        encode, ("Close the event loop.", "Close the running event loop now.", "Parse an e-mail header.")
    )
    assert about @ alike > 0.4 > about @ other


def test_the_order_of_words_counts() -> None:
    assert encode("dog bites man") @ encode("man bites dog") < 0.9


def test_the_hash_is_the_same_everywhere() -> None:
    places = np.flatnonzero(encode("socket"))
    assert places.tolist() == [187]
