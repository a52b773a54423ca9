from __future__ import annotations

from collections.abc import Iterator

import pytest

from .chromium import Chromium, running


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with running(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium
