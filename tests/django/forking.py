"""A process that uses its router, forks, and uses it again, as its child does. Says which session each has."""

from __future__ import annotations

import os
import sys

import django


def used() -> str:
    """The session of this process, by a router that answers."""
    from shardroute_django import tenant
    from shardroute_django.process import host

    tenant("acme").count()
    return host().submit(host().router()).wait().session


def main() -> None:
    django.setup()
    before = used()
    if (child := os.fork()) == 0:
        print("child", used(), flush=True)  # noqa: T201 - its answer
        sys.exit()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    print("parent", before, used(), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
