"""All collections of a server, their aliases, and where they are on disk."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import portalocker
from qdrant_client import models

from shardroute.testing._qdrant_collection import SETTINGS, Collection, write_json
from shardroute.testing._qdrant_errors import Refusal, bad_input, no_collection
from shardroute.testing._qdrant_settings import check_name, created

ALIASES = "aliases.json"
COLLECTIONS = "collections"
LOCK = ".lock"
LOCAL_MODE = "meta.json"
TEMPORARY = "shardroute-qdrant-"
MEMORY = Path("/dev/shm")
"""Files in memory, where there are any: the engine maps files, also for what need not last."""
YOUNG = 60.0
"""Seconds."""
ENOUGH = 2**30
"""Bytes. Containers often have 64 MB in /dev/shm, and a mapped file that finds no room ends the process."""


class QdrantStore:
    """Opens the collections in a directory, which no other server may have open.

    Args:
        path: where they are; without it they are in memory, or in a temporary directory where that is too small,
            and deleted at the end.

    Raises:
        RuntimeError: another server has the directory open, or something else is in it.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._durable = path is not None
        self._directory = Path(path) if path is not None else _temporary_directory()
        if (self._directory / LOCAL_MODE).exists():
            raise RuntimeError(f"{self._directory} holds data of qdrant-client's local mode, not of a server")
        self._lock = _locked(self._directory)
        self._aliases: dict[str, str] = {}
        self._collections: dict[str, Collection] = {}
        if self._durable:
            try:
                self._load()
            except BaseException:
                self.close()
                raise

    def _load(self) -> None:
        if (aliases := self._directory / ALIASES).exists():
            self._aliases = json.loads(aliases.read_text())
        directories = sorted((self._directory / COLLECTIONS).glob("*"))
        for directory in directories:
            if (directory / SETTINGS).exists():
                collection = Collection.load(directory)
                self._collections[collection.name] = collection
            else:
                shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        """Let go of all files; what was not to last is deleted."""
        for collection in self._collections.values():
            collection.close()
        self._collections.clear()
        self._lock.close()
        if not self._durable:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __contains__(self, name: str) -> bool:
        return self._aliases.get(name, name) in self._collections

    def names(self) -> list[str]:
        """The collections, sorted."""
        return sorted(self._collections)

    def get(self, name: str) -> Collection:
        """A collection by its name or alias.

        Raises:
            Refusal: there is none.
        """
        target = self._aliases.get(name, name)
        if target not in self._collections:
            raise no_collection(target)
        return self._collections[target]

    def create(self, name: str, wanted: models.CreateCollection) -> None:
        """Create a collection."""
        check_name(name)
        self._check_is_new(name)
        if name in self._aliases:
            raise bad_input(
                f"Can't create collection with name {name}. Alias with the same name already exists"
            )
        directory = self._directory / COLLECTIONS / quote(name, safe="")
        self._collections[name] = Collection.create(directory, name, created(wanted), durable=self._durable)

    def drop(self, name: str) -> bool:
        """Delete a collection with its files and aliases; say whether there was one."""
        collection = self._collections.pop(name, None)
        if collection is None:
            return False
        collection.drop()
        if name in self._aliases.values():
            self._keep({alias: target for alias, target in self._aliases.items() if target != name})
        return True

    def aliases(self) -> list[dict[str, str]]:
        """All of them, by collection."""
        return [each for name in self.names() for each in self.aliases_of(name)]

    def aliases_of(self, name: str) -> list[dict[str, str]]:
        """Those of one collection."""
        return [
            {"alias_name": alias, "collection_name": target}
            for alias, target in self._aliases.items()
            if target == name
        ]

    def change_aliases(self, actions: Iterable[Any]) -> None:
        """Create, delete and rename aliases in turn. As in a real server, one that fails does not undo those before."""
        for action in actions:
            self._keep(self._changed(action))

    def _changed(self, action: Any) -> dict[str, str]:
        aliases = dict(self._aliases)
        if isinstance(action, models.CreateAliasOperation):
            given = action.create_alias
            if given.collection_name not in self._collections:
                raise no_collection(given.collection_name)
            self._check_is_new(given.alias_name)
            aliases[given.alias_name] = given.collection_name
        elif isinstance(action, models.DeleteAliasOperation):
            aliases.pop(action.delete_alias.alias_name, None)
        else:
            renamed = action.rename_alias
            if renamed.old_alias_name not in aliases:
                raise Refusal(404, f"Not found: Alias {renamed.old_alias_name} does not exists!")
            aliases[renamed.new_alias_name] = aliases.pop(renamed.old_alias_name)
        return aliases

    def _check_is_new(self, name: str) -> None:
        if name in self._collections:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")

    def _keep(self, aliases: dict[str, str]) -> None:
        if self._durable:
            write_json(self._directory / ALIASES, aliases)
        self._aliases = aliases


def _locked(directory: Path) -> TextIO:
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / LOCK).open("w")
    try:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.LockException as error:
        lock.close()
        raise RuntimeError(f"another server has {directory} open") from error
    return lock


def _temporary_directory() -> Path:
    try:
        in_memory = shutil.disk_usage(MEMORY).free >= ENOUGH
    except OSError:
        in_memory = False
    place = MEMORY if in_memory else Path(tempfile.gettempdir())
    _remove_leftovers(place)
    return Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=place))


def _remove_leftovers(place: Path) -> None:
    """What killed servers left: their locks ended with them. A young one may be about to be locked."""
    for directory in place.glob(f"{TEMPORARY}*"):
        try:
            if time.time() - directory.stat().st_mtime < YOUNG:
                continue
            with (directory / LOCK).open("r+") as lock:
                portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
                shutil.rmtree(directory, ignore_errors=True)
        except (OSError, portalocker.LockException):  # in use, of another user, or gone
            continue
