"""Starts all of it on this machine, with an empty map and a few documents: a Redis, two clusters, two workers,
a database with a user.

PYTHONPATH=examples python -m django_search [--port 8000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from secrets import token_urlsafe

import django
import httpx
from django.core.management import call_command
from shardroute_django import close, tenant

from shardroute import Config
from shardroute.admin import Admin
from shardroute.clusters import connected
from shardroute.embedded import embedded_redis
from shardroute.testing.qdrant import QdrantProcess

from .encoder import DIMENSION
from .passages import read

DOCUMENTS = Path(__file__).parent / "documents"
CONFIGURATION = """\
[control]
url = "{redis}"

[clusters.old]
kind = "qdrant"
url = "{old}"

[clusters.new]
kind = "qdrant"
url = "{new}"

[topologies.v1]
dimension = {dimension}
placement = {{ cluster = "old", collection = "passages" }}

[topologies.v2]
shards = 4
dimension = {dimension}
placement = {{ cluster = "new", collection = "passages_{{shard}}" }}

[copy]
rate = 4    # passages a second, so that there is something to see
page = 4

[migration]
from = "v1"
to = "v2"
"""
COMPANIES = {"acme": "Acme Kettles", "globex": "Globex Observatory"}
HINT = """
  {links}
  {admin}    user {user}, password {password}

Move a tenant while you search: in the admin, or in another terminal:

  export SEARCH_FOLDER={folder}
  {manage} shardroute migrate acme
  {manage} shardroute rollback acme

Ctrl-C ends all of it.
"""
USER = "demo"


def free(port: int) -> bool:
    """Whether nobody listens on it yet. Else `ready` would ask somebody else's application."""
    with socket.socket() as probe:
        # As the server does: connections of a former run may linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def taken(port: int) -> str:
    """What to type instead."""
    other = next(number for number in range(max(port, 1023) + 1, 65536) if free(number))
    folder, python = Path(__file__).parents[1], Path(sys.executable).parent / "python"
    command = f"PYTHONPATH={os.path.relpath(folder)} {os.path.relpath(python)} -m {__package__}"
    return f"port {port} is taken: {command} --port {other}"


@contextmanager
def deaf() -> Iterator[None]:
    """What is started in the block does not hear Ctrl-C: it is ended when nobody needs it any more."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@asynccontextmanager
async def servers() -> AsyncIterator[Path]:
    """A Redis, two clusters, and where the configuration is. All of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="django-search-") as folder:
        path = Path(folder) / "shardroute.toml"
        async with AsyncExitStack() as stack:
            with deaf():
                redis = await stack.enter_async_context(embedded_redis())
                old, new = [await stack.enter_async_context(QdrantProcess()) for _ in range(2)]
            path.write_text(
                CONFIGURATION.format(redis=redis.url, old=old.url, new=new.url, dimension=DIMENSION)
            )
            yield path


def fill(password: str) -> None:
    """The database with its user, the map, and what the tenants begin with."""
    from django.contrib.auth.models import User

    from . import library
    from .models import Company

    call_command("migrate", verbosity=0)
    User.objects.create_superuser(USER, password=password)
    for slug, name in COMPANIES.items():
        Company.objects.create(slug=slug, name=name)
        for file in sorted((DOCUMENTS / slug).iterdir()):
            library.add(tenant(slug), read(file.name, file.read_bytes()))
    close()


async def prepare(config: Config) -> None:
    """The map, and the old cluster's collection."""
    async with Admin.open(config) as admin, connected(config.clusters) as stores:
        await admin.init()
        await stores["old"].prepare(config.route.old.place("acme"))


@asynccontextmanager
async def application(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """gunicorn with two workers, ended in order: they finish their requests and leave no session behind."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gunicorn", "django_search.wsgi:application", "--bind", f"127.0.0.1:{port}"),
        *("--workers", "2", "--log-level", "warning", "--graceful-timeout", "10", "--no-control-socket"),
        start_new_session=True,  # deaf to Ctrl-C as well; signals of its own reach its workers
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def ready(port: int) -> None:
    """Returns when a worker answers."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).is_success:
                    return
            await asyncio.sleep(0.1)


def hint(config: Path, port: int, password: str) -> str:
    """What to open, and what to try."""
    python = Path(sys.executable).parent / "python"
    return HINT.format(
        links="\n  ".join(f"http://{name}.localhost:{port}/" for name in COMPANIES),
        admin=f"http://acme.localhost:{port}/admin/",
        user=USER,
        password=password,
        folder=config.parent,
        manage=f"{os.path.relpath(python)} {os.path.relpath(Path(__file__).with_name('manage.py'))}",
    )


async def main(port: int) -> int:
    """Until a signal, or the end of the application; its exit code, or 0."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with servers() as config:
        password = token_urlsafe(9)
        os.environ |= {"SEARCH_FOLDER": str(config.parent), "SEARCH_SECRET": token_urlsafe(32)}
        os.environ["DJANGO_SETTINGS_MODULE"] = "django_search.settings"  # whatever else this shell works on
        await prepare(Config.load(config, {}))
        django.setup()
        await asyncio.to_thread(fill, password)
        async with application(port) as process:
            ended, begun, enough = (
                asyncio.create_task(process.wait()),
                asyncio.create_task(ready(port)),
                asyncio.create_task(told.wait()),
            )
            await asyncio.wait((ended, begun, enough), return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                print(hint(config, port, password), flush=True)
            await asyncio.wait((ended, enough), return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            enough.cancel()
            return process.returncode or 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="django_search", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="default %(default)s")
    given = parser.parse_args()
    if not free(given.port):
        print(taken(given.port), file=sys.stderr)
        sys.exit(2)
    sys.exit(asyncio.run(main(given.port)))
