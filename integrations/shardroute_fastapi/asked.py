"""What rules see of an ASGI request."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope


class ScopeAsked:
    """`shardroute.web.Asked` over an ASGI scope: nothing is looked at before a rule asks for it.

    Roots are what middleware leaves in the scope: "session", "user", "auth", and "state" for `request.state`.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def host(self) -> str:
        """Of the Host header; "" if there is none."""
        return self.header("host") or ""

    @property
    def path(self) -> str:
        """Decoded, and as the application knows it: without the place where a proxy or another application has it."""
        path: str = self._scope["path"]
        root: str = self._scope.get("root_path", "").rstrip("/")
        return path.removeprefix(root) if path.startswith(f"{root}/") else path

    def header(self, name: str) -> str | None:
        """By a name in any case; None if it is missing or came more than once with different values."""
        wanted = name.lower().encode("latin-1")  # names are lower case in a scope, values are latin-1
        values = {value for key, value in self._scope["headers"] if key == wanted}
        return values.pop().decode("latin-1") if len(values) == 1 else None

    def root(self, name: str) -> Any:
        """What the scope has under the name; None if there is nothing."""
        return self._scope.get(name)
