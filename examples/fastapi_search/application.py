"""The application. `SHARDROUTE_CONFIG` says where its configuration is; everything else is in the request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from shardroute_fastapi import TenantDep, install
from starlette.exceptions import HTTPException

from shardroute import ShardrouteError
from shardroute.web import Subdomain, problem

from . import library
from .passages import marked, read

HERE = Path(__file__).parent
LARGEST = 500_000  # bytes of a file

app = FastAPI(title="search", openapi_url=None)
app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
install(
    app,
    config=os.environ.get("SHARDROUTE_CONFIG", "shardroute.toml"),
    resolver=Subdomain("localhost"),  # behind a login: Subdomain(…) & Claim(…), see the README
    known=library.TENANTS.__contains__,
)
pages = Jinja2Templates(HERE / "templates")
pages.env.filters["marked"] = marked


def page(request: Request, name: str, status: int = 200, **context: Any) -> Response:
    """A page, with where its tenant stands. Nothing in it comes from elsewhere."""
    tenant = request.state.tenant
    context |= {"tenants": library.TENANTS, "port": request.url.port}
    if tenant is not None:
        context |= {"company": library.TENANTS[tenant.name], "standing": library.STANDINGS[tenant.phase]}
    policy = {"Content-Security-Policy": "default-src 'self'"}
    return pages.TemplateResponse(request, name, context, status, policy)


@app.exception_handler(ShardrouteError)
async def sorry(request: Request, error: ShardrouteError) -> Response:
    """People read a page where programs would read JSON."""
    found = problem(error)
    answer = page(request, "problem.html", found.status, detail=found.document["detail"])
    answer.headers.update(found.headers)
    return answer


@app.exception_handler(HTTPException)
async def unserved(request: Request, error: HTTPException) -> Response:
    """The same where no address fits, or no method."""
    detail = "no such page" if error.status_code == 404 else error.detail
    answer = page(request, "problem.html", error.status_code, detail=detail)
    answer.headers.update(error.headers or {})
    return answer


@app.get("/")
async def search(request: Request, tenant: TenantDep, query: str = "") -> Response:
    """All documents, or the passages that are nearest to the query."""
    query = query.strip()[:500]
    if query:
        return page(request, "found.html", query=query, hits=await library.search(tenant, query))
    return page(request, "documents.html", entries=await library.entries(tenant))


@app.get("/documents/{document}")
async def document(request: Request, tenant: TenantDep, document: str) -> Response:
    """A document as a whole."""
    found = await library.text(tenant, document)
    if found is None:
        return page(request, "problem.html", 404, detail="no such document")
    return page(request, "document.html", document=document, title=found[0], passages=found[1])


@app.post("/documents")
async def upload(request: Request, tenant: TenantDep, file: UploadFile) -> Response:
    """Adds a text file, or replaces the one of this name."""
    content = await file.read(LARGEST + 1)
    if len(content) > LARGEST:
        return page(request, "problem.html", 413, detail=f"a file has {LARGEST:,} bytes at most")
    try:
        text = read(file.filename or "", content)
    except ValueError as error:
        return page(request, "problem.html", 422, detail=str(error))
    await library.add(tenant, text)
    return RedirectResponse(f"/documents/{text.id}", 303)


@app.post("/documents/{document}/removal")
async def removal(tenant: TenantDep, document: str) -> Response:
    """Removes a document."""
    await library.remove(tenant, document)
    return RedirectResponse("/", 303)


@app.get("/standing")
async def standing(tenant: TenantDep) -> dict[str, Any]:
    """Where the tenant stands, for the line at the top of each page."""
    return library.STANDINGS[tenant.phase]._asdict()
