"""The ASGI application of a Django project, with an end: Django's own does not hear that its server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.asgi import get_asgi_application as _django_application

from .process import close

_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], _Receive, _Send], Awaitable[None]]


def get_asgi_application() -> Application:
    """Instead of `django.core.asgi.get_asgi_application`, in a project's ``asgi.py``."""
    return with_end(_django_application())


def with_end(application: Application) -> Application:
    """The same for an application that does not know ASGI's lifespan: its end closes this process's router.

    ASGI servers may end their workers by a signal, so that nothing else is told of the end.
    """

    async def ending(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await application(scope, receive, send)

    return ending


async def _lifespan(receive: _Receive, send: _Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.to_thread(close)
    await send({"type": "lifespan.shutdown.complete"})
