"""What a process did, on disk before it does it: the process may be killed between any two lines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Log:
    """Appends lines of JSON, each in one write: what was noted outlives this process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, **entry: Any) -> None:
        entry["at"] = time.monotonic()
        os.write(self._file, (json.dumps(entry) + "\n").encode())


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Without a last line that was cut off."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
