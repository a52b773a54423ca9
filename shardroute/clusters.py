"""From a cluster's kind to its store. Each vendor's client is imported only when it is needed."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from .addresses import without
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

_SHORTEST = 4  # letters of what is taken for a secret


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
    except (TypeError, ValueError, AttributeError) as error:
        told = without(str(error), _texts(config.options))
        raise ConfigError(f"clusters.{config.name}: {told}") from (error if told == str(error) else None)
    return store


def _texts(value: object) -> Iterator[str]:
    """All texts in an option that a client may quote and that may be secret."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner) if name not in ("url", "host", "path", "location") else ()
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str) and len(value) >= _SHORTEST and value not in ("true", "false"):
        yield value


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
