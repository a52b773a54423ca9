from __future__ import annotations

from collections.abc import Iterator

import pytest

from .search import Search, running


@pytest.fixture(scope="session")
def search() -> Iterator[Search]:
    with running() as started:
        yield started
