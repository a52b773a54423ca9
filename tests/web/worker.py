"""uvicorn's worker for gunicorn, as docs/fastapi.md has it: it ends in time, even if clients keep connections."""

from __future__ import annotations

from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]  # it says nothing of its types


class Worker(UvicornWorker):  # type: ignore[misc]  # as above
    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "timeout_graceful_shutdown": 20}  # noqa: RUF012 - as in its base
