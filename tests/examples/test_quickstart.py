"""The examples run as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.patience import PATIENCE

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_quickstart_moves_a_tenant_and_finds_what_was_written_meanwhile() -> None:
    run = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found, written = re.search(r"(\d+) of (\d+) records written meanwhile", run.stdout).groups()  # type: ignore[union-attr]  # None fails the test as well
    assert found == written
    assert int(written) > 0
    assert "NEW: purged" in run.stdout
