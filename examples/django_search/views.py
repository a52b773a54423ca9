"""The pages. `tenant(request)` is all that connects them to shardroute: `request.vectors`, with types."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.http import require_GET, require_POST
from shardroute_django import tenant

from . import library
from .models import Company
from .pages import page
from .passages import marked, read

LARGEST = 500_000  # bytes of a file


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """All documents, or the passages that are nearest to the query."""
    query = request.GET.get("query", "").strip()[:500]
    if query:
        hits = [(hit, marked(hit.text, query)) for hit in library.search(tenant(request), query)]
        return page(request, "found.html", query=query, hits=hits)
    return page(request, "documents.html", entries=library.entries(tenant(request)))


@require_GET
def document(request: HttpRequest, document: str) -> HttpResponse:
    """A document as a whole."""
    found = library.text(tenant(request), document)
    if found is None:
        return page(request, "problem.html", 404, detail="no such document")
    return page(request, "document.html", document=document, title=found[0], passages=found[1])


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Adds a text file, or replaces the one of this name."""
    file = request.FILES.get("file")
    if file is None or not file.size:
        return page(request, "problem.html", 422, detail="there is nothing in this file")
    if file.size > LARGEST:
        return page(request, "problem.html", 413, detail=f"a file has {LARGEST:,} bytes at most")
    try:
        text = read(file.name or "", file.read())
    except ValueError as error:
        return page(request, "problem.html", 422, detail=str(error))
    library.add(tenant(request), text)
    return HttpResponseRedirect(f"/documents/{text.id}")


@require_POST
def removal(request: HttpRequest, document: str) -> HttpResponse:
    """Removes a document."""
    library.remove(tenant(request), document)
    return HttpResponseRedirect("/")


@require_GET
def standing(request: HttpRequest) -> JsonResponse:
    """Where the tenant stands, for the line at the top of each page."""
    return JsonResponse(library.STANDINGS[tenant(request).phase()]._asdict())


@require_GET
def ready(request: HttpRequest) -> HttpResponse:
    """Whether a worker answers, with the database."""
    return HttpResponse(f"{Company.objects.count()} companies")
