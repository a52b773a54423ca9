"""What deletes asks first, saying what goes; where nobody can be asked, it is refused."""

from __future__ import annotations

import sys

from ..admin import Admin
from ..errors import InvalidInput
from ..phases import EFFECTS, Side, check_verb
from .running import Run
from .words import plural

_NAMED = 5  # tenants that a question names


async def confirm_purge(run: Run, admin: Admin, tenants: list[str]) -> None:
    """For `purge`. Raises InvalidInput; VerbRefused where there is nothing to ask for."""
    standings = await admin.status(tenants)
    for status in standings:
        check_verb("purge", status.tenant, status.phase)
    where = [_place(admin, status.tenant, EFFECTS[status.phase].primary.other) for status in standings]
    _confirm(run, f"this deletes every record of {_listed(tenants, where)}")


async def confirm_purge_target(run: Run, admin: Admin, tenants: list[str]) -> None:
    """For `migrate` and `rollback` with `--purge-target`. Raises InvalidInput."""
    standings = [s for s in await admin.status(tenants) if EFFECTS[s.phase].settled] if tenants else []
    if standings:
        where = [_place(admin, status.tenant, EFFECTS[status.phase].primary.other) for status in standings]
        listed = _listed([status.tenant for status in standings], where)
        _confirm(run, f"before the copy, --purge-target deletes every record of {listed}")


def _place(admin: Admin, tenant: str, side: Side) -> str:
    topology = admin.config.route.old if side is Side.OLD else admin.config.route.new
    place = topology.place(tenant)
    return f"on cluster {place.cluster!r} (collection {place.collection!r})"


def _listed(tenants: list[str], where: list[str]) -> str:
    parts = [f"tenant {tenant!r} {place}" for tenant, place in zip(tenants, where, strict=True)]
    more = [f"and of {plural(len(parts) - _NAMED, 'more tenant')}"] if len(parts) > _NAMED else []
    return ", ".join(parts[:_NAMED] + more)


def _confirm(run: Run, what: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(f"{what}. Nothing was deleted; --yes goes ahead")
    if not run.screen.confirm(f"{what}. Go ahead?"):
        raise InvalidInput("not confirmed: nothing was deleted")
