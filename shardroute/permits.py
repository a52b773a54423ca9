"""Requests that may be sent only while something still holds: a router's lease (rule 4), a migrator's lock (rule 12).

The question is asked as late as a client allows. The clients of HTTP here send all of a request but its last byte,
ask, and send that byte (`stores/last_byte.py`): no server acts on a request whose body is not whole. So a process that
is stopped in the middle of a request and goes on much later asks before anything of it can take effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Permit:
    """What the requests of one attempt to write need, and whether any of them can have left."""

    def __init__(self, ask: Callable[[], Awaitable[None]], *, in_one_piece: int = 0) -> None:
        """`ask` returns while the request may be sent, and raises an error of ours once it may not.

        `in_one_piece`: bytes of a body that the system takes at once, so that nothing can come between.
        """
        self._ask = ask
        self.in_one_piece = in_one_piece
        self._left = 0
        self.asks_late = False

    def will_ask(self) -> None:
        """A client says that it asks before the last byte of each request."""
        self.asks_late = True

    async def ask(self) -> None:
        """Before what cannot be taken back."""
        await self._ask()
        self._left += 1

    @property
    def may_have_left(self) -> bool:
        """Whether a request can have left whole. Of a client that does not ask late, that is not known: True."""
        return self._left > 0 or not self.asks_late


_permit: ContextVar[Permit | None] = ContextVar("shardroute_permit", default=None)


require = _permit.set
"""From here on, requests of stores need the permit, until `no_longer_require` is given what this answers."""

no_longer_require = _permit.reset


@contextmanager
def needing(permit: Permit) -> Iterator[None]:
    """Inside, requests of stores need the permit."""
    token = require(permit)
    try:
        yield
    finally:
        no_longer_require(token)


def needed() -> Permit | None:
    """The permit that requests need here; None for those of routers and for reads."""
    return _permit.get()
