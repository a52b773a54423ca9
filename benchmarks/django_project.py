"""A Django project of two views, called as a server would, without and with the middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from shardroute.web import Header

_MIDDLEWARE = "shardroute_django.middleware.ShardrouteMiddleware"


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


async def nothing_awaited(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


async def asking(request: Any) -> HttpResponse:
    """Crosses to the router's thread and back, and asks no cluster."""
    await request.vectors.phase()
    return HttpResponse(status=204)


urlpatterns = [path("", nothing), path("nothing", nothing_awaited), path("asking", asking)]


def configured(config: Mapping[str, Any]) -> None:
    """Once in a process."""
    settings.configure(
        ALLOWED_HOSTS=["acme.example.com"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["shardroute_django"],
        SHARDROUTE={"CONFIG": dict(config), "RESOLVER": Header("X-Tenant")},
    )
    django.setup()


def wsgi(*, middleware: bool) -> Callable[[], Awaitable[None]]:
    """A request, as gunicorn passes it on. ASGI adds more of its own to a request than could be told from this."""
    with _with_middleware(middleware):
        application = WSGIHandler()

    def start(status: str, headers: object, *failure: object) -> Callable[[bytes], object]:
        assert status.startswith("204")
        return lambda body: None

    async def call() -> None:
        environ = {**_ENVIRON, "wsgi.input": BytesIO()}
        application(environ, start).close()

    return call


def asgi(scope: Mapping[str, Any], path: str) -> Callable[[], Awaitable[None]]:
    """A request of an async view, as uvicorn passes it on; with the middleware."""
    with _with_middleware(True):
        application = ASGIHandler()

    async def call() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Mapping[str, Any]:
            return messages.pop() if messages else await asyncio.get_running_loop().create_future()

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 204

        await application({**scope, "path": path}, receive, send)

    return call


def _with_middleware(there: bool) -> override_settings:
    return override_settings(MIDDLEWARE=[_MIDDLEWARE] if there else [])


_ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "acme.example.com",
    "SERVER_PORT": "80",
    "HTTP_HOST": "acme.example.com",
    "HTTP_ACCEPT": "application/json",
    "HTTP_X_TENANT": "acme",
    "wsgi.url_scheme": "http",
}
