"""Porcupine, a checker that others made and use (Go, github.com/anishathalye/porcupine), as a small program.

It is built when it is first needed, where Go is installed and its modules can be had, and kept in the user's cache.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .history import Operation, Verdict, to_lines

SOURCE = Path(__file__).parent / "porcupine"
BUILD = 300.0  # seconds

log = logging.getLogger(__name__)


@functools.cache
def program() -> Path | None:
    """The built program; None where it cannot be built, which is logged."""
    if shutil.which("go") is None:
        log.info("Go is not installed: porcupine is left out")
        return None
    built = _cache() / f"porcupine-{_digest()}"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        unfinished = built.with_suffix(f".{os.getpid()}")
        command = ["go", "build", "-o", str(unfinished), "."]
        try:
            subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, text=True, timeout=BUILD)
        except (subprocess.SubprocessError, OSError) as error:
            log.warning("porcupine cannot be built: %s %s", error, getattr(error, "stderr", ""))
            return None
        unfinished.replace(built)  # several processes may build it at the same time
    return built


def check(
    operations: Iterable[Operation], *, timeout: float = 60.0, plain: bool = False
) -> dict[str, Verdict]:
    """The verdict on each record. `timeout`: seconds for each. `plain`: see the program's head.

    Raises RuntimeError where the program cannot be had.
    """
    built = program()
    if built is None:
        raise RuntimeError("porcupine cannot be built here")
    command = [str(built), f"-timeout={timeout}s", *(["-plain"] if plain else [])]
    done = subprocess.run(command, input=to_lines(operations), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["key"]: Verdict(answer["verdict"]) for answer in answers}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardroute-tests"


def _digest() -> str:
    text = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    return hashlib.sha256(text).hexdigest()[:16]
