"""The writes of a `RoutedClient`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from qdrant_client import models

from ..errors import InvalidInput
from ..filters import Filter
from ._qdrant_base import TWINS, OneTenant
from .recognised import recognised

_AT_ONCE = 16

_DONE = models.UpdateStatus.COMPLETED


class Writes(OneTenant):
    """Upsert, delete and changes of payloads. Each waits until all processes read it, whatever `wait` says."""

    async def upsert(
        self,
        collection_name: str,
        points: models.Batch | Sequence[models.PointStruct],
        wait: bool = True,
        ordering: models.WriteOrdering | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        timeout: int | None = None,
    ) -> models.UpdateResult:
        """As `AsyncQdrantClient.upsert`; more than a cluster takes at once is written in several requests."""
        with recognised(TWINS):
            self._check(collection_name)
            mode = None if update_mode is models.UpdateMode.UPSERT else update_mode
            self._coverage.refuse(
                "upsert",
                ordering=ordering,
                shard_key_selector=shard_key_selector,
                update_filter=update_filter,
                update_mode=mode,
            )
            await self._tenant.upsert(self._shapes.records(points), timeout=timeout)
            return models.UpdateResult(status=_DONE)

    async def delete(
        self,
        collection_name: str,
        points_selector: Any,
        wait: bool = True,
        ordering: models.WriteOrdering | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> models.UpdateResult:
        """As `AsyncQdrantClient.delete`. A filter without any condition is refused: it is surely a mistake."""
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse("delete", ordering=ordering, shard_key_selector=shard_key_selector)
            chosen = self._chosen("delete", points_selector)
            if isinstance(chosen, list):
                await self._tenant.delete(chosen, timeout=timeout)
            else:
                await self._tenant.delete(filter=_some(chosen), timeout=timeout)
            return models.UpdateResult(status=_DONE)

    async def set_payload(
        self,
        collection_name: str,
        payload: Mapping[str, Any],
        points: Any,
        key: str | None = None,
        wait: bool = True,
        ordering: models.WriteOrdering | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> models.UpdateResult:
        """As `AsyncQdrantClient.set_payload`: merged key by key, a null removes one. Each id is a write of its own."""
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse(
                "set_payload", key=key, ordering=ordering, shard_key_selector=shard_key_selector
            )
            await self._merge("set_payload", points, self._shapes.metadata(payload), timeout)
            return models.UpdateResult(status=_DONE)

    async def delete_payload(
        self,
        collection_name: str,
        keys: Sequence[str],
        points: Any,
        wait: bool = True,
        ordering: models.WriteOrdering | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        timeout: int | None = None,
    ) -> models.UpdateResult:
        """As `AsyncQdrantClient.delete_payload`, of top-level keys. Pinecone's vector indexes cannot do it."""
        with recognised(TWINS):
            self._check(collection_name)
            self._coverage.refuse("delete_payload", ordering=ordering, shard_key_selector=shard_key_selector)
            fields = [self._filters.field(key) for key in keys]
            if self._shapes.tenant_field in fields:
                raise InvalidInput(f"{self._shapes.tenant_field!r} says whose the points are, and stays")
            await self._merge("delete_payload", points, dict.fromkeys(fields), timeout)
            return models.UpdateResult(status=_DONE)

    async def _merge(self, call: str, points: object, change: Mapping[str, Any], timeout: int | None) -> None:
        chosen = self._chosen(call, points)
        if not change:
            return
        if not isinstance(chosen, list):
            await self._tenant.update(filter=_some(chosen), metadata=change, timeout=timeout)
            return
        await _each(chosen, lambda name: self._tenant.update(name, metadata=change, timeout=timeout))


def _some(condition: Any) -> Mapping[str, Any] | Filter:
    """For `Tenant`, which refuses the empty one."""
    return {} if condition is None else condition


async def _each(names: Sequence[str], write: Callable[[str], Awaitable[None]]) -> None:
    """All of them, some at a time, and all waited for. Raises the first error, in the order of names."""
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        for outcome in await asyncio.gather(*map(write, part), return_exceptions=True):
            if outcome is not None:
                raise outcome
