"""The refusals of the Pinecone emulator, and the two shapes in which Pinecone writes them."""

from __future__ import annotations

from typing import Any

CODES = {
    400: ("INVALID_ARGUMENT", 3),
    401: ("UNAUTHENTICATED", 16),
    403: ("FORBIDDEN", 7),
    404: ("NOT_FOUND", 5),
    409: ("ALREADY_EXISTS", 6),
    412: ("FAILED_PRECONDITION", 9),
    413: ("OUT_OF_RANGE", 11),
    422: ("INVALID_ARGUMENT", 3),
    429: ("RESOURCE_EXHAUSTED", 8),
    500: ("INTERNAL", 13),
    501: ("UNIMPLEMENTED", 12),
    503: ("UNAVAILABLE", 14),
    504: ("DEADLINE_EXCEEDED", 4),
}
"""Of a status: the word that the control plane uses, the gRPC code that the data plane uses."""


class Refused(ValueError):
    """A request that is answered with an error."""

    def __init__(self, message: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = headers or {}


def data_error(status: int, message: str) -> dict[str, Any]:
    """An error as an index writes it: Google's `rpcStatus`."""
    return {"code": CODES.get(status, CODES[500])[1], "message": message, "details": []}


def control_error(status: int, message: str) -> dict[str, Any]:
    """An error as the control plane writes it."""
    return {"error": {"code": CODES.get(status, CODES[500])[0], "message": message}, "status": status}
