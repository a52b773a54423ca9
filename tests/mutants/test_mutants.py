"""Every rule of the protocol, broken on purpose in a copy of the code: the tests named for it notice.

python -m pytest tests/mutants -k "rule 4" runs those of one rule.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
FAILED = 1  # pytest's exit code for tests that ran and did not pass; any other says nothing of the rule


@dataclass(frozen=True)
class Mutant:
    """`before` stands once in `file` and is replaced by `after`; `tests`: what notices."""

    rule: str
    file: str
    before: str
    after: str
    tests: str


MUTANTS = [
    Mutant(**raw) for raw in tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its tests, apart from the checkout."""
    for name in ("shardroute", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "soak"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    # A broken rule often keeps something from coming: nearly every run here would wait for it to the end.
    patience = tmp_path / "tests" / "support" / "patience.py"
    patience.write_text(patience.read_text().replace(f"Final = {PATIENCE}", f"Final = {PATIENCE / 4}"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"rule {mutant.rule}" for mutant in MUTANTS])
def test_a_rule_that_is_broken_is_noticed(mutant: Mutant, copy: Path) -> None:
    source = (copy / mutant.file).read_text()
    assert source.count(mutant.before) == 1, f"{mutant.file} has changed: mend tests/mutants/mutants.toml"
    (copy / mutant.file).write_text(source.replace(mutant.before, mutant.after))
    ran = _run(copy, mutant.tests)
    assert ran.returncode == FAILED, f"nothing noticed it:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"


def test_every_rule_of_the_protocol_has_a_mutant() -> None:
    rules = {mutant.rule.partition(":")[0] for mutant in MUTANTS}
    text = (ROOT / "docs" / "protocol.md").read_text()
    assert rules == {str(number) for number in range(1, 100) if f"**Rule {number}. " in text}


def _run(copy: Path, tests: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [*command, *shlex.split(tests)],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
