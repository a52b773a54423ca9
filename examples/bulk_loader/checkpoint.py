"""How far a load has surely come, kept in a file beside the input.

Batches end in any order. What the file says is the place up to which all of them have: from there a load may be
repeated, since an upsert of what has been written changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from .lines import Mark


class Sure:
    """The place up to which every batch has ended. Pure."""

    def __init__(self, place: Mark) -> None:
        self.place = place
        self._next = 0
        self._ended: dict[int, Mark] = {}

    def ended(self, number: int, after: Mark) -> None:
        """Batch `number`, counted from 0 in the order of the input, has been written up to `after`."""
        self._ended[number] = after
        while self._next in self._ended:
            self.place = self._ended.pop(self._next)
            self._next += 1


class Checkpoint:
    """The file: one JSON object, replaced as a whole or not at all."""

    def __init__(self, path: Path, tenant: str) -> None:
        self.path = path
        self._tenant = tenant

    def read(self) -> Mark:
        """The place to go on from; the beginning if there is no file. Raises ValueError for another load's file."""
        try:
            kept = json.loads(self.path.read_text())
        except FileNotFoundError:
            return Mark()
        except ValueError as error:
            raise ValueError(f"{self.path} is no checkpoint: {error}") from error
        if not isinstance(kept, dict) or kept.pop("tenant", None) != self._tenant:
            raise ValueError(
                f"{self.path} is of another load than tenant {self._tenant!r}'s; --restart begins anew"
            )
        try:
            return Mark(**kept)
        except TypeError as error:
            raise ValueError(f"{self.path} is no checkpoint: {error}") from error

    def write(self, place: Mark) -> None:
        """On disk when it returns, whatever happens to this process or machine afterwards."""
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with draft.open("w") as file:
            json.dump({"tenant": self._tenant, **asdict(place)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
