"""Documents of a tenant over HTTP (`tests.web.load` says how), as sync and as async views."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from shardroute import Match, Record

_NOTHING = HttpResponse(status=204)


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


def doc(request: Any, name: str) -> HttpResponse:
    if request.method == "PUT":
        request.vectors.upsert([_record(name, request)])
        return _NOTHING
    if request.method == "DELETE":
        request.vectors.delete([name])
        return _NOTHING
    return _shown(request.vectors.fetch([name]).get(name))


async def async_doc(request: Any, name: str) -> HttpResponse:
    if request.method == "PUT":
        await request.vectors.upsert([_record(name, request)])
        return _NOTHING
    if request.method == "DELETE":
        await request.vectors.delete([name])
        return _NOTHING
    return _shown((await request.vectors.fetch([name])).get(name))


def search(request: Any) -> HttpResponse:
    return _found(request.vectors.query(**json.loads(request.body)))


async def async_search(request: Any) -> HttpResponse:
    return _found(await request.vectors.query(**json.loads(request.body)))


def about(request: Any) -> HttpResponse:
    """The whole of a tenant, and what a template makes of the handle."""
    ids = sorted(record.id for record in request.vectors.scan(vectors=False))
    return render(request, "about.html", {"ids": ids, "count": request.vectors.count()})


async def async_about(request: Any) -> HttpResponse:
    vectors = request.vectors
    ids = sorted([record.id async for record in vectors.scan(vectors=False)])
    found = {"name": await vectors.name(), "phase": await vectors.phase(), "count": await vectors.count()}
    return HttpResponse("{name} {phase} {count} ".format(**found) + ",".join(ids))


def untouched(request: HttpRequest) -> HttpResponse:
    """A page for everybody."""
    return HttpResponse("no tenant needed")


def _record(name: str, request: HttpRequest) -> Record:
    body = json.loads(request.body)
    return Record(name, body["vector"], body["metadata"])


def _shown(found: Record | None) -> HttpResponse:
    return HttpResponse(status=404) if found is None else JsonResponse({"metadata": dict(found.metadata)})


def _found(matches: list[Match]) -> HttpResponse:
    listed = [{"id": one.id, "score": one.score, "metadata": dict(one.metadata)} for one in matches]
    return JsonResponse({"matches": listed})
