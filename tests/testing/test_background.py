"""The tests in the background, as some CI systems run them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
INTERRUPTS = (
    f"tests/testing/test_embedded.py::test_it_ends_when_its_process_does_however_that_ends[{signal.SIGINT}]"
)


def test_children_can_be_interrupted_where_whoever_began_the_tests_ignores_that() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # children have it from here
    try:
        tests = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=30", INTERRUPTS],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    said, _ = tests.communicate(timeout=PATIENCE)
    assert tests.returncode == pytest.ExitCode.OK, said
