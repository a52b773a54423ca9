"""Pages, also for errors: people read a page where programs would read JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from shardroute_django import tenant

from shardroute import ShardrouteError
from shardroute.web import problem

from . import library
from .models import Company


def page(request: HttpRequest, name: str, status: int = 200, **context: Any) -> HttpResponse:
    """A page, with where its tenant stands. Nothing in it comes from elsewhere."""
    context |= {"companies": Company.objects.order_by("slug"), "port": request.get_port()}
    answer = render(request, f"search/{name}", {**_mine(request), **context}, status=status)
    answer["Content-Security-Policy"] = "default-src 'self'"
    return answer


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """For an address that is nowhere in `urls`."""
    return page(request, "problem.html", 404, detail="no such page")


def _mine(request: HttpRequest) -> dict[str, Any]:
    """The request's company; nothing if it has none, or if nobody can say where it stands."""
    mine = tenant(request)
    try:
        company = Company.objects.get(slug=mine.name())
        return {"company": company, "standing": library.STANDINGS[mine.phase()]}
    except ShardrouteError:
        return {}


class Sorry:
    """A middleware, after shardroute's own, so that it is asked first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, ShardrouteError):
            return None
        found = problem(error)
        answer = page(request, "problem.html", found.status, detail=found.document["detail"])
        for name, value in found.headers.items():
            answer[name] = value
        return answer
