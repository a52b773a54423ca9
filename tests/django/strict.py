"""A middleware with a policy under which a page may hold nothing inline and ask nobody else."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class Strict:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._get_response(request)
        answer["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return answer
