"""``manage.py shardroute …``: the script, with the configuration of the project's settings."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shardroute import __version__
from shardroute.cli import Caller, main

from ... import conf


class Command(BaseCommand):
    """Verbs, options, output and exit codes are the script's."""

    help = (
        "Moves tenants between vector database clusters. The same as the script `shardroute`; see its --help."
    )
    requires_system_checks = ()

    def get_version(self) -> str:
        return __version__

    def run_from_argv(self, argv: list[str]) -> None:
        """Everything is the script's to parse, but for what Django has used up before: --settings, --pythonpath."""
        _run(_without_djangos(argv[2:]), command=f"{Path(argv[0]).name} {argv[1]}")

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """For ``manage.py help shardroute``."""
        _run(["--help"], command=f"{Path(prog_name).name} {subcommand}")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=REMAINDER, help="as of the script")

    def handle(self, *args: Any, arguments: Sequence[str], **options: Any) -> None:
        """For `call_command`. Raises CommandError with the exit code."""
        try:
            _run(arguments, command="manage.py shardroute")
        except SystemExit as end:
            if end.code:
                raise CommandError(
                    f"shardroute {' '.join(arguments)}: exit code {end.code}", returncode=int(end.code)
                ) from end


def _run(arguments: Sequence[str], *, command: str) -> None:
    main(arguments, Caller(command, config=lambda: conf.config(conf.given())))


def _without_djangos(arguments: list[str]) -> list[str]:
    djangos = ArgumentParser(add_help=False, allow_abbrev=False)
    djangos.add_argument("--settings")
    djangos.add_argument("--pythonpath")
    return djangos.parse_known_args(arguments)[1]
