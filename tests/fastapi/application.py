"""The small API of `tests.web.load`, as an application would write it. `SHARDROUTE_CONFIG` says where the file is."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, HTTPException
from shardroute_fastapi import Source, TenantDep, install

from shardroute import Record
from shardroute.web import Header


def application(config: Source) -> FastAPI:
    app = FastAPI()
    install(app, config=config, resolver=Header("X-Tenant"))

    @app.put("/docs/{document}", status_code=204)
    async def put(tenant: TenantDep, document: str, body: dict[str, Any]) -> None:
        await tenant.upsert([Record(document, body["vector"], body["metadata"])])

    @app.get("/docs/{document}")
    async def get(tenant: TenantDep, document: str) -> dict[str, Any]:
        found = (await tenant.fetch([document])).get(document)
        if found is None:
            raise HTTPException(404, "no such document")
        return {"id": found.id, "metadata": dict(found.metadata)}

    @app.delete("/docs/{document}", status_code=204)
    async def delete(tenant: TenantDep, document: str) -> None:
        await tenant.delete([document])

    @app.post("/search")
    async def search(tenant: TenantDep, body: dict[str, Any]) -> dict[str, Any]:
        matches = await tenant.query(body["vector"], top_k=body["top_k"], filter=body.get("filter"))
        return {
            "matches": [
                {"id": match.id, "score": match.score, "metadata": dict(match.metadata)} for match in matches
            ]
        }

    return app


def served() -> FastAPI:
    """For servers that take a factory, and for those that take what an expression gives."""
    return application(os.environ["SHARDROUTE_CONFIG"])
