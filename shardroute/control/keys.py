"""Names of everything in Redis. All keys of a namespace share one hash tag, so scripts run on a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace, in the order in which `lua/prelude.lua` names them."""

    namespace: str

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigError(
                f"control.namespace {self.namespace!r}: 1 to 64 of A-Z a-z 0-9 . _ - are allowed"
            )

    def _key(self, *parts: str) -> str:
        return ":".join((f"{{shardroute.{self.namespace}}}", *parts))

    @property
    def meta(self) -> str:
        return self._key("meta")

    @property
    def changes(self) -> str:
        return self._key("changes")

    @property
    def sessions(self) -> str:
        return self._key("sessions")

    @property
    def acknowledged(self) -> str:
        return self._key("acknowledged")

    @property
    def information(self) -> str:
        return self._key("information")

    def tokens(self, tenant: str) -> str:
        return self._key("tokens", tenant)

    def debt(self, tenant: str) -> str:
        return self._key("debt", tenant)

    def lock(self, tenant: str) -> str:
        return self._key("lock", tenant)

    def copy(self, tenant: str) -> str:
        return self._key("copy", tenant)

    def tallies(self, tenant: str) -> str:
        return self._key("tallies", tenant)

    @property
    def batches(self) -> str:
        return self._key("batches")

    def examples(self, tenant: str) -> str:
        return self._key("examples", tenant)

    def recorded(self, tenant: str) -> str:
        return self._key("recorded", tenant)

    @property
    def suspected(self) -> str:
        return self._key("suspected")

    def suspects(self, tenant: str) -> str:
        return self._key("suspects", tenant)

    def of(self, tenant: str) -> tuple[str, ...]:
        """All keys that a script may touch. `tenant` "" serves the scripts that touch no tenant's keys."""
        return (
            self.meta,
            self._key("tenants"),
            self._key("defaults"),
            self.changes,
            self.sessions,
            self.acknowledged,
            self.information,
            self.tokens(tenant),
            self._key("flying", tenant),
            self._key("touched", tenant),
            self._key("windows", tenant),
            self.debt(tenant),
            self.lock(tenant),
            self.copy(tenant),
            self._key("void", tenant),
            self._key("beats"),
            self.tallies(tenant),
            self.batches,
            self.examples(tenant),
            self.recorded(tenant),
            self._key("withheld"),
            self._key("usage"),
            self._key("sizes"),
            self._key("ends"),
            self.suspects(tenant),
            self.suspected,
        )

    def kind_and_tenant(self, key: str) -> tuple[str, str]:
        """What kind of key of a tenant it is, and whose."""
        kind, _, tenant = key.removeprefix(self._key("")).partition(":")
        return kind, tenant
