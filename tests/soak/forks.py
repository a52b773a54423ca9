"""Starts routers, migrators and clusters as processes, in no time: this one has imported everything and forks.

`python -m tests.soak.forks` reads lines of JSON, a list of a role and its arguments, and answers each with
``started PID``; ``ended PID STATUS`` comes when a child has ended. It takes its children with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from shardroute.testing.qdrant import QdrantServer

from . import client, migrator


async def cluster(path: str, port: int) -> None:
    """A cluster that keeps its data; it ends by being killed."""
    async with QdrantServer(port, path):
        await asyncio.Event().wait()


ROLES: dict[str, Callable[..., Any]] = {
    "router": client.main,
    "migrator": migrator.main,
    "cluster": cluster,
}


def child(role: str, *arguments: Any) -> None:
    """Never returns: whatever happens, this is another process than the one that forked."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
        status = asyncio.run(ROLES[role](*arguments)) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class Forks:
    def __init__(self) -> None:
        self._children: set[int] = set()
        self._woken, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        rest = b""
        while True:
            ready, _, _ = select.select([0, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if 0 in ready:
                if not (read := os.read(0, 65536)):
                    return
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self._fork(line)

    def _fork(self, line: bytes) -> None:
        pid = os.fork()
        if not pid:
            child(*json.loads(line))
        self._children.add(pid)
        print(f"started {pid}", flush=True)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            print(f"ended {pid} {os.waitstatus_to_exitcode(status)}", flush=True)

    def end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    forks = Forks()
    print("ready", flush=True)
    try:
        forks.serve()
    finally:
        forks.end()
        sys.stdout.close()


if __name__ == "__main__":
    main()
