"""How each kind of trouble is made, and ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import httpx
from redis.exceptions import RedisError

from .nursery import Child
from .redis_server import NOWHERE, faketime
from .schedule import CLUSTERS, Fault
from .world import World

ROBBERY = "robbery"
"""A cluster loses data, as nothing does: so that the judges have something to find."""


class LeftOut(Exception):
    """What is needed for it is not there. The text says what."""


async def suffer(world: World, fault: Fault) -> None:
    """Makes the trouble, and ends it: whenever it is cancelled, too. Raises LeftOut if it cannot be made now."""
    trouble = MAKERS[fault.kind](world, fault)
    try:
        await trouble.__aenter__()
    except (RedisError, OSError, TimeoutError) as error:
        raise LeftOut(f"{fault.kind}: {type(error).__name__}: {error}") from error
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        await _to_the_end(trouble.__aexit__(None, None, None))


async def _to_the_end(work: Coroutine[Any, Any, Any]) -> None:
    """A run that is over cancels its troubles, perhaps while one is being undone: that must not be left half done."""
    task, cancelled = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


# -- processes -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _stopped(world: World, fault: Fault) -> AsyncIterator[None]:
    child = _process(world, fault.who)
    if child is None:  # nobody is there at the moment
        yield
        return
    child.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.signal(signal.SIGCONT)


def _process(world: World, who: str) -> Child | None:
    if who == "redis":
        return Child(world.redis.primary.pid)
    if who in CLUSTERS:
        return world.clusters[who].child
    return world.parties[who].current


@asynccontextmanager
async def _killed(world: World, fault: Fault) -> AsyncIterator[None]:
    child = _process(world, fault.who)
    if child is not None:
        child.kill()
    yield


@asynccontextmanager
async def _closed(world: World, fault: Fault) -> AsyncIterator[None]:
    """As a deployment does: the next one starts while this one ends its requests."""
    child = _process(world, fault.who)
    if child is not None:
        child.leaving = True
        child.signal(signal.SIGTERM)
    yield


@asynccontextmanager
async def _restarted(world: World, fault: Fault) -> AsyncIterator[None]:
    server = world.redis.primary if fault.who == "redis" else world.clusters[fault.who]
    killed = server.kill()
    try:
        if killed is not None:
            await killed
        yield
    finally:
        await server.start()


# -- clusters ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _server_fault(world: World, fault: Fault) -> AsyncIterator[None]:
    cluster = world.clusters[fault.who]
    try:
        await cluster.suffer(**fault.detail)
        yield
    finally:
        await cluster.suffer()


@asynccontextmanager
async def _robbed(world: World, fault: Fault) -> AsyncIterator[None]:
    """Never drawn: a cluster loses what it has, so that a run can be seen to fail."""
    async with httpx.AsyncClient(base_url=world.clusters[fault.who].url) as client:
        (await client.post("/collections/docs/points/delete", json={"filter": {}})).raise_for_status()
    yield


# -- the network ---------------------------------------------------------------------------------------------------


def _network(name: str) -> Callable[[World, Fault], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def trouble(world: World, fault: Fault) -> AsyncIterator[None]:
        party, target = fault.who.split("/")
        proxy = world.parties[party].proxies[target]
        setattr(proxy.trouble, name, fault.detail.get(name, True))
        if name == "cut":
            proxy.sever()
        try:
            yield
        finally:
            if name == "mute" or fault.detail.get("then") == "cut":
                proxy.sever()
            setattr(proxy.trouble, name, type(proxy.trouble).__dataclass_fields__[name].default)

    return trouble


# -- Redis ---------------------------------------------------------------------------------------------------------


def _commands(begin: Callable[[Any, Fault], Awaitable[Any]], end: tuple[Any, ...]) -> Any:
    """A trouble that commands begin and `end`."""

    @asynccontextmanager
    async def trouble(world: World, fault: Fault) -> AsyncIterator[None]:
        server = world.redis.primary
        try:
            async with server.asked() as redis:
                await begin(redis, fault)
            yield
        finally:
            while end:
                with suppress(RedisError, OSError):
                    async with server.asked() as redis:
                        await redis.execute_command(*end)
                        break
                await asyncio.sleep(0.05)

    return trouble


async def _pause(redis: Any, fault: Fault) -> None:
    await redis.client_pause(int(fault.seconds * 1000))


async def _unblock(redis: Any, _: Fault) -> None:
    for client in await redis.client_list():
        if client["cmd"] == "xread":
            await redis.execute_command("CLIENT", "UNBLOCK", client["id"], "ERROR")


@asynccontextmanager
async def _busy(world: World, fault: Fault) -> AsyncIterator[None]:
    server = world.redis.primary
    async with server.asked() as busy, server.asked() as redis:
        script = asyncio.ensure_future(busy.execute_command("EVAL", "while true do end", 0))
        try:
            yield
        finally:
            while not script.done():
                with suppress(RedisError, OSError):
                    await redis.execute_command("SCRIPT", "KILL")
                await asyncio.sleep(0.05)
            with suppress(RedisError, OSError):
                await script


def _set(*command: Any) -> Callable[[Any, Fault], Awaitable[Any]]:
    return lambda redis, _: redis.execute_command(*command)


@asynccontextmanager
async def _failed_over(world: World, fault: Fault) -> AsyncIterator[None]:
    await _to_the_end(world.fail_over())
    yield


@asynccontextmanager
async def _clock(world: World, fault: Fault) -> AsyncIterator[None]:
    if faketime() is None:
        raise LeftOut("a step of Redis's clock: Debian's package `faketime` is not installed")
    world.redis.step(fault.detail["step"])
    yield


MAKERS: Mapping[str, Callable[[World, Fault], AbstractAsyncContextManager[None]]] = {
    "stop": _stopped,
    "stop briefly": _stopped,
    "kill": _killed,
    "close": _closed,
    "kill and restart": _restarted,
    "server fault": _server_fault,
    "cut": _network("cut"),
    "delay": _network("delay"),
    "hold": _network("hold"),
    "hold answers": _network("hold_answers"),
    "halve": _network("halve"),
    "mute": _network("mute"),
    "pause": _commands(_pause, ()),
    "busy": _busy,
    "oom": _commands(_set("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "readonly": _commands(_set("REPLICAOF", "127.0.0.1", NOWHERE), ("REPLICAOF", "NO", "ONE")),
    "no permission": _commands(
        _set("ACL", "SETUSER", "default", "-evalsha"), ("ACL", "SETUSER", "default", "+@all")
    ),
    "unblock": _commands(_unblock, ()),
    "fail over": _failed_over,
    "clock": _clock,
    ROBBERY: _robbed,
}
