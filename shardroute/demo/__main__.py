"""``python -m shardroute.demo``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from .kinds import KINDS
from .plan import Plan
from .story import run_demo

_INTERRUPTED = 130


def main() -> int:
    """Runs the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.demo", description=run_demo.__doc__)
    parser.add_argument("--report", type=Path, default=Path("demo-report.json"), help="where the figures go")
    parser.add_argument("--json", action="store_true", help="the figures on stdout as well")
    parser.add_argument(
        "--tenants", type=int, default=Plan().tenants, help="how many modules (default %(default)s)"
    )
    for option, role in (("--from", "source"), ("--to", "target")):
        parser.add_argument(
            option, dest=role, choices=KINDS, default="qdrant", help="kind of cluster (default %(default)s)"
        )
    given = parser.parse_args()
    plan = Plan(source=given.source, target=given.target, tenants=given.tenants)
    try:
        return asyncio.run(run_demo(given.report, given.json, plan))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
