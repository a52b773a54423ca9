"""Options and arguments that commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ..phases import Side


@Parameter(name="*", group="Common options")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Which configuration, and how to talk. `json`: one document on stdout instead of tables."""

    config: Annotated[
        Path | None,
        Parameter(
            env_var="SHARDROUTE_CONFIG",
            metavar="FILE",
            show_default=lambda _: "shardroute.toml",
            help="The configuration.",
        ),
    ] = None
    json: Annotated[bool, Parameter(negative=(), show_default=False, help="One JSON document on stdout.")] = (
        False
    )
    quiet: Annotated[
        bool, Parameter(name=("--quiet", "-q"), negative=(), show_default=False, help="No progress.")
    ] = False
    no_color: Annotated[
        bool, Parameter(negative=(), show_default=False, help="No colours; NO_COLOR does the same.")
    ] = False
    verbose: Annotated[
        bool,
        Parameter(
            name=("--verbose", "-v"), negative=(), show_default=False, help="Retries, and errors with traces."
        ),
    ] = False
    trace_file: Annotated[
        Path | None,
        Parameter(metavar="FILE", show_default=False, help="Spans, as a file that Jaeger's page can open."),
    ] = None


COMMON = Common()

Tenants = Annotated[str, Parameter(name="TENANT", negative=(), help="Names of tenants.")]
Tenant = Annotated[str, Parameter(name="TENANT", help="Name of a tenant.")]
Ids = Annotated[
    str, Parameter(name="ID", allow_leading_hyphen=True, help="Ids of records; `-` reads them from stdin, one a line.")
]  # fmt: skip
Parallel = Annotated[
    int, Parameter(metavar="N", validator=Number(gte=1), help="Tenants under way at the same time.")
]


def every(text: str) -> Parameter:
    """`--all` instead of names; `text` says which those are."""
    return Parameter(name="--all", negative=(), show_default=False, help=text)


def flag(text: str) -> Parameter:
    """A switch that has no opposite."""
    return Parameter(negative=(), show_default=False, help=text)


AcceptLoss = Annotated[
    int,
    Parameter(
        metavar="N",
        validator=Number(gte=0),
        show_default=False,
        help="So many records of the other side a repair may delete or replace.",
    ),
]
Trust = Annotated[
    Side | None,
    Parameter(help="Which side is right where a migrator without its lock may have written."),
]
Yes = Annotated[bool, flag("Do not ask before deleting.")]
Repair = Annotated[bool, flag("Bring records that differ to the other side again.")]
