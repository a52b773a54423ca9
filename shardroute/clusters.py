"""From a cluster's kind to its store. Each vendor's client is imported only when it is needed."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from .config import ClusterConfig
from .errors import ConfigError
from .ports import Store

_KINDS: dict[str, tuple[str, str, str]] = {
    "memory": ("shardroute.stores.memory", "MemoryStore", ""),
    "qdrant": ("shardroute.stores.qdrant", "QdrantStore.connect", "qdrant"),
    "pinecone-vectors": ("shardroute.stores.pinecone_vectors", "PineconeVectorsStore.connect", "pinecone"),
    "pinecone-documents": (
        "shardroute.stores.pinecone_documents",
        "PineconeDocumentsStore.connect",
        "pinecone",
    ),
}


def connect(config: ClusterConfig) -> Store:
    """The store of a cluster. Raises ConfigError for an unknown kind or option, or a missing extra."""
    if config.kind not in _KINDS:
        raise ConfigError(f"clusters.{config.name}.kind is {config.kind!r}; known are {', '.join(_KINDS)}")
    module, path, extra = _KINDS[config.kind]
    try:
        factory: Any = import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"clusters.{config.name}: kind {config.kind!r} needs `pip install shardroute[{extra}]` ({error})"
        ) from error
    for name in path.split("."):
        factory = getattr(factory, name)
    _check_options(config, factory)
    try:
        store: Store = factory(config.name, **config.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"clusters.{config.name}: {error}") from error
    return store


def _check_options(config: ClusterConfig, factory: Callable[..., Any]) -> None:
    parameters = inspect.signature(factory).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return  # the vendor's client says which it takes
    known = [name for name in parameters if name not in ("self", "cls", "name")]
    for option in config.options:
        if option not in known:
            raise ConfigError(f"clusters.{config.name}.{option} is not an option of kind {config.kind!r}; "
                              f"known are {', '.join(known)}")  # fmt: skip


@asynccontextmanager
async def connected(clusters: Mapping[str, ClusterConfig]) -> AsyncIterator[dict[str, Store]]:
    """All stores by cluster name, closed at the end."""
    async with AsyncExitStack() as stack:
        stores = {}
        for name, config in clusters.items():
            stores[name] = connect(config)
            stack.push_async_callback(stores[name].aclose)
        yield stores
