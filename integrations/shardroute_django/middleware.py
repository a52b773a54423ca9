"""``request.vectors``, and answers to shardroute's errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from shardroute.errors import ShardrouteError
from shardroute.web import Problem, for_log, problem

from .tenants import Vectors
from .whose import Requested

log = logging.getLogger(__name__)

_GetResponse = Callable[[HttpRequest], Any]


class ShardrouteMiddleware:
    """Goes after the session's and the authentication's, where the resolver looks at a session or a user.

    It does no I/O by itself: whose the request is, is asked when a view first uses ``request.vectors``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _GetResponse) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        request.vectors = Vectors(Requested(request))  # type: ignore[attr-defined]  # what this is for
        answer: HttpResponseBase | Awaitable[HttpResponseBase] = self._get_response(request)
        return answer  # to be awaited, where the next is async

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """An answer to an error of shardroute that a view let out."""
        return answered(request, exception) if isinstance(exception, ShardrouteError) else None


def answered(request: HttpRequest, error: ShardrouteError) -> HttpResponse:
    """As `shardroute.web.problem` says: JSON, or plain words for browsers. What is wrong inside goes to the log,
    without what a tenant wrote or asked."""
    found = problem(error)
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _tell(request, error, found.status)
    return _written(request, found)


def _tell(request: HttpRequest, error: ShardrouteError, status: int) -> None:
    """A 500 is a mistake of somebody's: with its trace, and for whoever collects such. Others are of the world."""
    mistake = status == HTTPStatus.INTERNAL_SERVER_ERROR
    if mistake:
        got_request_exception.send(sender=ShardrouteMiddleware, request=request)
    log.error(
        "%s %r: %d, %s",
        *(request.method, request.path, status, for_log(error)),
        exc_info=error if mistake else None,
        extra={"status_code": status, "request": request},
    )


def _written(request: HttpRequest, found: Problem) -> HttpResponse:
    wanted = request.get_preferred_type(["application/json", "text/plain", "text/html"])
    if wanted in ("text/plain", "text/html"):
        text = found.document["detail"]
        return HttpResponse(text, "text/plain; charset=utf-8", found.status, headers=found.headers)
    return JsonResponse(found.document, status=found.status, headers=found.headers)
