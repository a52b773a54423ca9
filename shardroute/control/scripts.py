"""Runs the Lua scripts beside this file, and asks Redis everything else, with its errors translated.

Every script that changes something is repeatable (its head says how), so a lost answer may be asked for again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar, cast

import stamina
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from ..errors import ControlPlaneUnavailable, MapLost
from ..timing import Seldom
from .keys import Keys
from .redis_errors import Judgement, translated

log = logging.getLogger(__name__)

AnyRedis = Redis | RedisCluster
Argument = str | int | float
_Answer = TypeVar("_Answer")

_LOUD = Seldom(60.0)


async def _nothing() -> None:
    """Where nobody can make connections anew."""


def pairs(flat: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """A hash or a scored set as a script answers it: flat, or a mapping, as the client's protocol has it."""
    if isinstance(flat, Mapping):
        return dict(flat)
    return dict(zip(flat[::2], flat[1::2], strict=True))


@cache
def source(name: str) -> tuple[str, str]:
    """Text and SHA1 of a script, the prelude in front."""
    folder = files(__package__) / "lua"
    text = f"{(folder / 'prelude.lua').read_text()}\n{(folder / f'{name}.lua').read_text()}"
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """The scripts of one namespace on one connection pool."""

    def __init__(
        self,
        redis: AnyRedis,
        keys: Keys,
        *,
        timeout: float,
        patience: float = 0.0,
        reconnect: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """`timeout`: seconds that one request may take. `patience`: for how many seconds a Redis that is away is
        asked again; 0 fails at once. `reconnect`: makes all connections anew."""
        self._timeout = timeout
        self._redis = redis
        self._patience = patience
        self._reconnect = reconnect
        self.keys = keys

    async def run(self, name: str, tenant: str = "", *arguments: Argument) -> list[Any]:
        """The script's answer. Raises ControlPlaneUnavailable; MapLost where the script finds no map."""
        answer = await self.ask(lambda: self._run(name, tenant, arguments))
        if answer == ["LOST"]:
            raise MapLost(
                f"the map of namespace {self.keys.namespace!r} is gone from Redis, or is another one; restore it. "
                "Only if no tenant was ever moved may `shardroute init` make a new one."
            )
        return cast("list[Any]", answer)

    async def ask(
        self,
        question: Callable[[], Awaitable[_Answer]],
        *,
        timeout: float | None = None,
        optional: bool = False,
    ) -> _Answer:
        """Any request to Redis, its errors translated, with this object's patience.

        `optional`: many a Redis does not allow it; a refusal is final, and told to nobody but the caller.
        """
        if not self._patience:
            return await self._once(question, timeout, optional)

        def again(error: Exception) -> bool:
            return isinstance(error, ControlPlaneUnavailable) and not (optional and error.refused)

        async for attempt in stamina.retry_context(
            on=again, attempts=None, timeout=self._patience, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                return await self._once(question, timeout, optional)
        raise AssertionError("unreachable")  # the context returns or raises

    async def _once(
        self, question: Callable[[], Awaitable[_Answer]], timeout: float | None, optional: bool
    ) -> _Answer:
        heard: list[Judgement] = []
        try:
            with translated(heard.append):
                async with asyncio.timeout(self._timeout if timeout is None else timeout):
                    return await question()
        except ControlPlaneUnavailable:
            await self._heed(heard[0], quietly=optional)
            raise

    async def _heed(self, judgement: Judgement, *, quietly: bool) -> None:
        """What will not end by itself is told, and a server that may be the wrong one now is left."""
        if judgement.loud and not quietly and _LOUD.due(judgement.code or judgement.text):
            log.error("%s", judgement)
        if judgement.entry.reconnect:
            with suppress(ControlPlaneUnavailable), translated():
                async with asyncio.timeout(self._timeout):
                    await self._reconnect()

    async def _run(self, name: str, tenant: str, arguments: Sequence[Argument]) -> Any:
        text, digest = source(name)
        keys = self.keys.of(tenant)
        try:
            return await self._call("evalsha", digest, keys, arguments)
        except NoScriptError:
            return await self._call("eval", text, keys, arguments)

    async def _call(
        self, command: str, script: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        call = getattr(self._redis, command)
        return await cast("Awaitable[Any]", call(script, len(keys), *keys, *arguments))
