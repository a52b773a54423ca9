"""A request to an index of the Pinecone emulator and its answer, free of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shardroute.testing._pinecone_errors import Refused
from shardroute.testing._pinecone_index import Index, Project

DEFAULT_NAMESPACE = "__default__"
MAX_NAMESPACE = 512


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of an index."""

    index: Index
    body: Mapping[str, Any]
    query: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The namespace in the path, the query or the body; the default one has two names."""
        return namespace_name(self.given_namespace or DEFAULT_NAMESPACE)

    @property
    def given_namespace(self) -> Any:
        """As it stood in the request, and as it is answered: "" where none was named."""
        given = (source.get("namespace") for source in (self.params, self.query, self.body))
        return next(filter(None, given), "")


@dataclass(frozen=True, slots=True)
class AdminCall:
    """What was asked of the control plane. `host_of` says where an index listens."""

    project: Project
    body: Mapping[str, Any]
    params: Mapping[str, str]
    host_of: Callable[[str], str]


class Reply(NamedTuple):
    """What is answered. `lsn` is the position of a write, `position` what a search has seen."""

    body: Any
    status: int = 200
    lsn: int | None = None
    position: int | None = None


class Operation(NamedTuple):
    """One operation of the API: its names, as `Faults.only` takes them, and where it is found.

    `kind` is the kind of index that has it, None both.
    """

    names: tuple[str, ...]
    method: str
    path: str
    handle: Callable[[Any], Reply]
    kind: str | None = None


def namespace_name(value: Any) -> str:
    """The value, if it can be the name of a namespace."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAMESPACE:
        raise Refused(f"Namespace must be a string of 1-{MAX_NAMESPACE} characters")
    if not value.isascii() or "\0" in value:
        raise Refused(f"Namespace must be ASCII, but got '{value}'")
    return value


def require_namespace(call: Call) -> None:
    """Refuse the call if its namespace does not exist, unless the server is told to be lenient."""
    if call.index.project.behaviour.missing_namespace_is_404 and not call.index.accepts(call.namespace):
        raise no_namespace(call)


def no_namespace(call: Call) -> Refused:
    """The refusal of a call whose namespace does not exist."""
    words = call.index.project.behaviour.missing_namespace_message
    return Refused(words.replace("{namespace}", call.namespace), 404)
