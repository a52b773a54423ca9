"""One factory for all connections to Redis.

Without `socket_timeout`: with one, redis-py sends through `asyncio.wait_for`, which before Python 3.12 swallows a
cancellation that comes as the send ends (python/cpython#86296), and a task that cannot be cancelled never ends.
`Scripts.ask` sets the time limit of every request instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from ..addresses import shown
from ..config import ControlConfig
from ..errors import ConfigError
from .redis_errors import translated
from .scripts import AnyRedis


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
        # Slots of others that nobody serves are nothing to us: all our keys are in one.
        return RedisCluster.from_url(config.url, require_full_coverage=False, **options)
    return Redis.from_url(config.url, retry=_retry(2), health_check_interval=30, **options)


def _addresses(redis: AnyRedis) -> dict[str, ClusterNode]:
    return dict(redis.nodes_manager.startup_nodes) if isinstance(redis, RedisCluster) else {}


@dataclass(frozen=True, slots=True)
class Connections:
    """The pool of connections to one Redis, or one Redis Cluster. `addresses`: of a cluster, as configured."""

    commands: AnyRedis
    addresses: Mapping[str, ClusterNode] = field(default_factory=dict)

    @classmethod
    def open(cls, config: ControlConfig) -> Connections:
        """A client that connects when it is first used. Raises ConfigError for an unusable URL."""
        try:
            redis = _connect(config)
            return cls(redis, _addresses(redis))
        except ValueError:  # its words may be those of the address
            raise ConfigError(
                f"control.url ({shown(config.url)}): what follows its ? is not understood"
            ) from None

    async def renew(self) -> None:
        """Makes every connection anew: idle ones now, the others when what is under way on them has ended.

        A master that was demoted where it stands keeps its clients connected. Only a new connection looks up who
        has the address now.
        """
        redis = self.commands
        if not isinstance(redis, RedisCluster):
            pool: Any = redis.connection_pool  # redis-py has no types for this
            await pool.update_active_connections_for_reconnect()
            await pool.disconnect(inuse_connections=False)
            return
        for node in redis.get_nodes():
            node.update_active_connections_for_reconnect()
            await node.disconnect_free_connections()
        # The client knows only the nodes that it was told of last: none of them may be left.
        for name, node in self.addresses.items():
            redis.nodes_manager.startup_nodes.setdefault(name, node)
        await redis.nodes_manager.initialize()

    async def aclose(self) -> None:
        with translated():
            await self.commands.aclose()
            if isinstance(self.commands, RedisCluster):  # it closes nothing if it never heard of its cluster
                await self.commands.nodes_manager.aclose()
                await self.commands.nodes_manager.aclose("startup_nodes")
