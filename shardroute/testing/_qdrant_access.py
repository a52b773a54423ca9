"""API keys: who may do what, and the answers of a real server to those who may not."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.requests import Request

from shardroute.testing._qdrant_errors import Refusal


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of a server. Without any, everybody may do everything."""

    full: str | None = None
    read_only: str | None = None

    def refuse_unknown(self, request: Request) -> str | None:
        """What to answer to a request without a key, or with one that is not known (status 401, plain text)."""
        if self == ApiKeys():
            return None
        key = _key(request)
        if key is None:
            return "Must provide an API key or an Authorization bearer token"
        return None if _same(key, self.full) or _same(key, self.read_only) else "Invalid API key or JWT"

    def check_write(self, request: Request) -> None:
        """Refuse what changes something to who may only read.

        Raises:
            Refusal: the key is that for reading.
        """
        if self != ApiKeys() and not _same(_key(request) or "", self.full):
            raise Refusal(403, "Forbidden: Global manage access is required")


def _key(request: Request) -> str | None:
    if (key := request.headers.get("api-key")) is not None:
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else None


def _same(given: str, known: str | None) -> bool:
    return known is not None and hmac.compare_digest(given.encode(), known.encode())
