"""Applications on two clusters in memory, called in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from tests.web.deployed import deployed as deployed  # fixtures
from tests.web.deployed import deployment as deployment
from tests.web.deployed import servers as servers


@asynccontextmanager
async def asking(app: Starlette, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running application. What the application raises is raised here."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://testserver", **options
        ) as client,
    ):
        yield client
