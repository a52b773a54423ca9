"""Loads lines of JSON into a tenant, beside the application that serves it.

    PYTHONPATH=examples python -m bulk_loader --tenant acme records.jsonl
    … | PYTHONPATH=examples python -m bulk_loader --tenant acme -
    PYTHONPATH=examples python -m bulk_loader --demo

A line: {"id": "1", "vector": [0.1, 0.2], "metadata": {"lang": "en"}}; with an encoder, "text" instead of "vector".
It may be interrupted (Ctrl-C, or worse) and run again: it goes on after what is surely written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import stamina.instrumentation

from shardroute import Config, ConfigError, Router, ShardrouteError

from .checkpoint import Checkpoint
from .lines import BadLine, Mark
from .load import Load, Settings
from .screen import shown
from .source import opened

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_NAMED = 20  # bad lines that are named; of the others, how many


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bulk_loader", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", default="-", help="'-', the default, is the standard input")
    parser.add_argument("--tenant", help="whose records they are")
    parser.add_argument("--config", default=os.environ.get("SHARDROUTE_CONFIG", "shardroute.toml"))
    parser.add_argument("--batch", type=_positive, default=100, help="records in one upsert (%(default)s)")
    parser.add_argument("--concurrency", type=_positive, default=8, help="upserts at once (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=300.0, help="seconds that one upsert is tried for (%(default)s)"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="default: beside the file; of the standard input, none"
    )
    parser.add_argument(
        "--restart", action="store_true", help="from the first line, whatever the checkpoint says"
    )
    parser.add_argument("--skip-malformed", action="store_true", help="go on past lines that are no records")
    parser.add_argument("--json", action="store_true", help="a summary in JSON on the standard output")
    parser.add_argument(
        "--demo", action="store_true", help="with servers and lines of its own, while the tenant moves"
    )
    given = parser.parse_args(arguments)
    if not given.demo and not given.tenant:
        parser.error("--tenant is needed")
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return number


def _checkpoint(given: argparse.Namespace) -> Checkpoint | None:
    path = given.checkpoint
    if path is None and given.file != "-":
        path = Path(f"{given.file}.{given.tenant}.checkpoint")
    return None if path is None else Checkpoint(path, given.tenant)


async def load(given: argparse.Namespace, file: BinaryIO, size: int | None) -> int:
    """Runs the load, says what came of it, and returns the exit code."""
    checkpoint = _checkpoint(given)
    begin = Mark() if checkpoint is None or given.restart else checkpoint.read()
    config = Config.load(given.config)
    settings = Settings(given.batch, given.concurrency, given.patience, given.skip_malformed)
    source_field = config.route.old.source_field
    began, failure = monotonic(), None
    async with Router(config) as router, opened(file) as source:
        with shown(f"loading {given.tenant}", size, begin) as told:
            job = Load(router.tenant(given.tenant), settings, checkpoint, told)
            try:
                await job.run(source, begin, source_field)
            except (BadLine, ShardrouteError, ValueError) as error:
                failure = error
            except asyncio.CancelledError:
                _report(job, given, begin, began, "interrupted")
                raise
    _report(job, given, begin, began, None if failure is None else str(failure))
    return DONE if failure is None else FAILED


def _report(job: Load, given: argparse.Namespace, begin: Mark, began: float, failure: str | None) -> None:
    outcome, seconds = job.outcome, monotonic() - began
    bad = sorted(outcome.bad, key=lambda line: line.number)
    for line in bad[:_NAMED]:
        print(f"skipped {line}", file=sys.stderr)
    if len(bad) > _NAMED:
        print(f"skipped {len(bad) - _NAMED:,} more", file=sys.stderr)
    rate = outcome.written / seconds if seconds else 0.0
    written, skipped = _counted(outcome.written, "record"), _counted(len(bad), "line")
    print(
        f"{failure or 'done'}: {written} written at {rate:,.0f}/s, {skipped} skipped{_sure(outcome.place)}",
        file=sys.stderr,
    )
    if given.json:
        print(json.dumps(_summary(job, given, begin, seconds, bad, failure)))


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _sure(place: Mark) -> str:
    return f"; all is surely written up to line {place.lines:,}" if place.lines else ""


def _summary(
    job: Load,
    given: argparse.Namespace,
    begin: Mark,
    seconds: float,
    bad: Sequence[BadLine],
    failure: str | None,
) -> dict[str, Any]:
    return {
        "tenant": given.tenant,
        "finished": job.outcome.finished,
        "resumed_after": begin.lines,
        "sure": job.outcome.place.lines,
        "written": job.outcome.written,
        "repeated": job.outcome.repeated,
        "skipped": [{"line": line.number, "reason": str(line)} for line in bad],
        "seconds": round(seconds, 3),
        "error": failure,
    }


def _said(given: argparse.Namespace, error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    if given.json:
        print(json.dumps({"tenant": given.tenant, "finished": False, "error": str(error)}))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed and may be run again, 2 usage, 130 interrupted and may be run again."""
    given = parsed(arguments)
    stamina.instrumentation.set_on_retry_hooks([])  # it would log each retry; the summary counts them
    try:
        if given.demo:
            from .demo import demo  # with servers, which a load does without

            return asyncio.run(demo())
        standard = given.file == "-"
        with nullcontext(sys.stdin.buffer) if standard else Path(given.file).open("rb") as file:
            size = None if standard else Path(given.file).stat().st_size
            return asyncio.run(load(given, file, size))
    except KeyboardInterrupt:
        return INTERRUPTED
    except ConfigError as error:
        return _said(given, error, USAGE)
    except (ShardrouteError, ValueError, OSError) as error:
        return _said(given, error, FAILED)


if __name__ == "__main__":
    sys.exit(main())
