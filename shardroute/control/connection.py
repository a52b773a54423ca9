"""One factory for all connections to Redis.

Without `socket_timeout`: with one, redis-py sends through `asyncio.wait_for`, which before Python 3.12 swallows a
cancellation that comes as the send ends (python/cpython#86296), and a task that cannot be cancelled never ends.
`Scripts.ask` sets the time limit of every request instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from ..config import ControlConfig
from ..errors import ConfigError
from .scripts import AnyRedis, translated


def _retry(attempts: int) -> Retry:
    """Only for a connection that broke or was refused (a restart): a slow answer is not asked for twice."""
    return Retry(
        ExponentialWithJitterBackoff(cap=0.2, base=0.02), attempts, supported_errors=(RedisConnectionError,)
    )


def _connect(config: ControlConfig) -> AnyRedis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": None,
        "socket_connect_timeout": config.timeout,
    }
    if config.cluster:
        return RedisCluster.from_url(config.url, **options)
    return Redis.from_url(config.url, retry=_retry(2), health_check_interval=30, **options)


@dataclass(frozen=True, slots=True)
class Connections:
    """The pool of connections to one Redis, or one Redis Cluster."""

    commands: AnyRedis

    @classmethod
    def open(cls, config: ControlConfig) -> Connections:
        """A client that connects when it is first used. Raises ConfigError for an unusable URL."""
        try:
            return cls(_connect(config))
        except ValueError as error:
            raise ConfigError(f"control.url: {error}") from error

    async def aclose(self) -> None:
        with translated():
            await self.commands.aclose()
