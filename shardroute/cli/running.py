"""Runs one command from the configuration to the exit code: connections, signals, failures, the document."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import stamina.instrumentation

from ..addresses import shown
from ..admin import Admin, TenantStatus
from ..config import Config
from ..errors import ConfigError, ControlPlaneUnavailable, MapLost, ShardrouteError
from .caller import caller
from .exits import Exit, exit_of, worst
from .options import Common
from .output import Screen, phase_column, text
from .progress import Watch, watch_on
from .tracing import traced
from .words import plural

_QUICK = 5.0  # seconds in which Redis has to answer before anything begins, or after an interruption


@dataclass
class Run:
    """One run of a command: how it talks, and what it has done so far.

    `tenants` are those that it was asked for; `begun` and `ended` say how far it came with them.
    """

    screen: Screen
    watch: Watch
    document: dict[str, Any] = field(default_factory=lambda: {"results": [], "errors": []})
    exits: list[Exit] = field(default_factory=list)
    config: Config | None = None
    tenants: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, common: Common) -> Run:
        screen = Screen(json=common.json, no_color=common.no_color, verbose=common.verbose)
        return cls(screen, watch_on(screen, quiet=common.quiet))

    def fail(self, error: Exception, tenant: str | None = None) -> None:
        """Says it at once, and notes it for the document and the exit code."""
        self.screen.error(error)
        self.exits.append(exit_of(error))
        failure = {"tenant": tenant, "error": type(error).__name__, "message": str(error)}
        self.document["errors"].append({**failure, "retryable": getattr(error, "retryable", False)})


Command = Callable[[Run, Admin], Awaitable[None]]


def perform(common: Common, command: Command, *, needs_map: bool = True, clusters: bool = True) -> Exit:
    """Opens the configuration, runs the command, and turns whatever happens into an exit code.

    Without `clusters` only Redis is connected to: quicker, and works while a cluster is away.
    """
    run = Run.of(common)
    _hear_of_retries(run, common)

    async def with_admin() -> None:
        async with _opened(run, common, needs_map, clusters) as admin:
            await command(run, admin)

    try:
        with traced(common.trace_file, run.screen.note):
            _run_to_end(with_admin())
    except (KeyboardInterrupt, asyncio.CancelledError):
        _interrupted(run)
    except Exception as error:  # a bug is told like any other failure; -v shows where
        run.fail(error)
    if run.screen.json:
        run.screen.document(run.document)
    return worst(run.exits)


def _run_to_end(work: Awaitable[Any]) -> Any:
    """In an event loop of its own, which SIGTERM ends as SIGINT does: by cancelling the work."""

    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        with suppress(NotImplementedError):  # Windows has no such signal
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    with asyncio.Runner() as runner:
        return runner.run(main())


@asynccontextmanager
async def _opened(run: Run, common: Common, needs_map: bool, clusters: bool) -> AsyncIterator[Admin]:
    run.config = config = _config(common)
    await _check_redis(config, needs_map=needs_map)
    async with Admin.open(config, observer=run.watch, stores=None if clusters else {}) as admin:
        yield admin


def _config(common: Common) -> Config:
    """The caller's, or that of a file. Raises ConfigError."""
    embedded = caller().config
    if embedded is None:
        return Config.load(common.config or "shardroute.toml")
    if common.config is not None:
        raise ConfigError(
            f"`{caller().command}` has a configuration already: leave --config (SHARDROUTE_CONFIG) out"
        )
    return embedded()


async def _check_redis(config: Config, *, needs_map: bool) -> None:
    """So that a wrong address is told in seconds. Later on, a Redis that goes away is waited for."""
    try:
        async with asyncio.timeout(_QUICK), Admin.open(config, stores={}, patience=1.0) as admin:
            await admin.map()
    except MapLost:
        if needs_map:
            raise
    except (TimeoutError, ControlPlaneUnavailable) as error:
        raise ControlPlaneUnavailable(
            f"no Redis at {shown(config.control.url)} (control.url). {error}"
        ) from error


def _hear_of_retries(run: Run, common: Common) -> None:
    """Requests that are asked again are told with -v; stamina would log each of them."""

    def say(details: stamina.instrumentation.RetryDetails) -> None:
        run.screen.aside(f"again in {details.wait_for:.1f} s: {details.caused_by}")

    stamina.instrumentation.set_on_retry_hooks([say] if common.verbose else [])


# -- interrupted ---------------------------------------------------------------------------------------------------


def _interrupted(run: Run) -> None:
    """Says where each tenant that was under way stands now, and which command goes on."""
    run.exits.append(Exit.INTERRUPTED)
    left = [tenant for tenant in run.begun if tenant not in run.ended]
    waiting = [tenant for tenant in run.tenants if tenant not in run.begun]
    standing = {status.tenant: status for status in _standings(run, left)}
    run.document["unfinished"] = [
        {"tenant": tenant, "phase": standing[tenant].phase if tenant in standing else None}
        for tenant in left + waiting
    ]
    run.screen.note("interrupted" + ("; every step that was done holds" if run.begun else ""))
    if standing:
        _show_standings(run, list(standing.values()))
    for tenant in filter(run.watch.watched.__contains__, left):
        run.screen.note(f"tenant {tenant!r} has crossed and stays on its new cluster; nobody watches it now")
    if waiting:
        run.screen.aside(f"{plural(len(waiting), 'tenant')} not begun")
    if left or waiting:
        run.screen.aside("this goes on:")
        run.screen.aside(f"  {caller().typed}", copied=True)


def _standings(run: Run, tenants: list[str]) -> list[TenantStatus]:
    """By a fresh connection, if it answers quickly: what was interrupted may have hung on the old one."""
    if run.config is None or not tenants:
        return []
    try:
        return asyncio.run(_ask_standings(run.config, tenants))
    except (ShardrouteError, TimeoutError, KeyboardInterrupt) as error:
        run.screen.note(f"where they stand is not known: {str(error) or type(error).__name__}")
        return []


async def _ask_standings(config: Config, tenants: list[str]) -> list[TenantStatus]:
    async with asyncio.timeout(_QUICK), Admin.open(config, stores={}, patience=0.0) as admin:
        return await admin.status(tenants)


def _show_standings(run: Run, standings: list[TenantStatus]) -> None:
    rows = [{"tenant": status.tenant, "phase": status.phase} for status in standings]
    run.screen.table((text("tenant"), phase_column()), rows, aside=True)
