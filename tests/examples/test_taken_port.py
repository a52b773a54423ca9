"""The search engines on a port that somebody else has."""

from __future__ import annotations

import re

import pytest

from .search import started_on_a_taken_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", ["fastapi_search", "django_search"])
def test_on_a_port_that_is_taken_it_ends_at_once_and_says_what_to_type(module: str) -> None:
    code, said, port = started_on_a_taken_port(module)
    told = re.fullmatch(
        rf"port {port} is taken: PYTHONPATH=examples \S+/python -m {module} --port (\d+)\n", said
    )
    assert code == 2
    assert told is not None, said
    assert int(told[1]) > port
