"""Which tenant a request is for: small rules that compose with ``|`` (the first that knows) and ``&`` (all agree).

A rule looks at a request through `Asked`, which each framework fills, and answers with a name or None. It neither
waits nor raises: a name is checked where it is used (`resolving.resolved`).

`Header`, `Subdomain` and `PathSegment` believe whoever sends the request. A bare header is for trusted networks only,
where a gateway sets it and drops what clients send; everywhere else let the application authorize, or demand that it
agrees with something proven: ``Subdomain("example.com") & Claim(decode, "tenant")``.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

log = logging.getLogger(__name__)

_BEARER = "bearer "
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_DOMAIN = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class Asked(Protocol):
    """A request, as far as rules look at it."""

    @property
    def host(self) -> str:
        """Of the Host header, with or without a port; "" if there is none."""

    @property
    def path(self) -> str:
        """Decoded, without the query."""

    def header(self, name: str) -> str | None:
        """By a name in any case; None if it is missing or came more than once with different values."""

    def root(self, name: str) -> Any:
        """What the framework keeps under a name such as "session" or "user"; None if it keeps nothing there."""


class Resolver(ABC):
    """A rule. Subclasses are values: equal when they say the same."""

    @abstractmethod
    def __call__(self, asked: Asked) -> str | None:
        """The tenant's name, not checked yet; None if the request does not say."""

    @property
    def roots(self) -> frozenset[str]:
        """What `Asked.root` will be asked for, so that a framework can load it beforehand."""
        return frozenset()

    def __or__(self, other: Resolver) -> FirstOf:
        return FirstOf((self, other))

    def __and__(self, other: Resolver) -> AllAgree:
        return AllAgree((self, other))


@dataclass(frozen=True, slots=True)
class Header(Resolver):
    """The value of a header. For trusted networks only. Raises ValueError for what no header is called."""

    name: str

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a header")

    def __call__(self, asked: Asked) -> str | None:
        return asked.header(self.name) or None


@dataclass(frozen=True, slots=True)
class Subdomain(Resolver):
    """`acme` of ``acme.example.com``, for `domain` ``example.com``. Deeper ones, and a name in `but`, say nothing.

    Raises ValueError for what is no domain: it goes without scheme and port.
    """

    domain: str
    but: frozenset[str] = frozenset({"www"})

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain):
            raise ValueError(
                f"{self.domain!r} is not a domain such as 'example.com', without scheme and port"
            )

    def __call__(self, asked: Asked) -> str | None:
        name, dot, rest = _without_port(asked.host).rstrip(".").lower().partition(".")
        known = dot and name and rest == self.domain.strip(".").lower() and name not in self.but
        return name if known else None


@dataclass(frozen=True, slots=True)
class PathSegment(Resolver):
    """`acme` of ``/t/acme/search``, for `prefix` ``/t``."""

    prefix: str = "/"

    def __call__(self, asked: Asked) -> str | None:
        prefix = f"{self.prefix.rstrip('/')}/"
        if not asked.path.startswith(prefix):
            return None
        return asked.path.removeprefix(prefix).partition("/")[0] or None


@dataclass(frozen=True, slots=True)
class Attribute(Resolver):
    """What lies at a dotted place, such as ``user.organisation.slug`` or ``session.tenant``: attributes or keys.

    Raises ValueError when it is made with a place that is not made of names.
    """

    place: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.place):
            raise ValueError(f"{self.place!r} is not a dotted place such as 'user.tenant'")

    @property
    def roots(self) -> frozenset[str]:
        return frozenset({self.place.partition(".")[0]})

    def __call__(self, asked: Asked) -> str | None:
        root, *rest = self.place.split(".")
        found = asked.root(root)
        for name in rest:
            found = found.get(name) if isinstance(found, Mapping) else _looked_up(found, name)
        known = isinstance(found, (str, int, UUID)) and not isinstance(found, bool)
        return str(found) or None if known else None


@dataclass(frozen=True, slots=True)
class Claim(Resolver):
    """A claim of the bearer token in the Authorization header.

    `decode` takes the token and gives its claims **after checking signature, audience and expiry**; whatever it raises
    is logged by its type alone, and means that the request does not say. It is called in the event loop: fetch keys
    beforehand.
    """

    decode: Callable[[str], Mapping[str, Any]] = field(repr=False)
    name: str = "tenant"

    def __call__(self, asked: Asked) -> str | None:
        given = asked.header("authorization") or ""
        if not given.lower().startswith(_BEARER):
            return None
        try:
            found = self.decode(given[len(_BEARER) :].strip()).get(self.name)
        except Exception as error:  # whatever a token's library raises: the token is not good
            log.info("a bearer token was not taken: %s", type(error).__name__)
            return None
        return found if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class FirstOf(Resolver):
    """The answer of the first rule that has one."""

    rules: tuple[Resolver, ...]

    @property
    def roots(self) -> frozenset[str]:
        return frozenset().union(*(rule.roots for rule in self.rules))

    def __call__(self, asked: Asked) -> str | None:
        return next((name for rule in self.rules if (name := rule(asked)) is not None), None)


@dataclass(frozen=True, slots=True)
class AllAgree(Resolver):
    """The name that every rule gives; nothing if one gives none, or another."""

    rules: tuple[Resolver, ...]

    @property
    def roots(self) -> frozenset[str]:
        return frozenset().union(*(rule.roots for rule in self.rules))

    def __call__(self, asked: Asked) -> str | None:
        names = {rule(asked) for rule in self.rules}
        return names.pop() if len(names) == 1 else None


def _without_port(host: str) -> str:
    return "" if host.startswith("[") else host.partition(":")[0]  # an address is nobody's subdomain


def _looked_up(owner: Any, name: str) -> Any:
    """Like an attribute, but that sessions of Django have theirs as keys without being mappings."""
    found = getattr(owner, name, None)
    if found is None and hasattr(owner, "__getitem__") and hasattr(owner, "get"):
        found = owner.get(name)
    return None if callable(found) else found
