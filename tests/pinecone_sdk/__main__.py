"""``python -m tests.pinecone_sdk CHECKOUT [argument of pytest …]``: the SDK's integration tests on the emulator.

The tests are the checkout's, the SDK is the one that is installed here: the tests are copied to where nothing else is,
so that the checkout's own SDK is not imported. Ends with pytest's exit code. What the emulator does not promise is in
`not_promised.toml`, and is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from shardroute.testing.pinecone import PineconeProcess

HERE = Path(__file__).parent
KEY = "of-the-emulator"
BESIDE = ("__init__.py", "conftest.py", "factories.py")
"""What integration tests import from the directory above theirs."""
SETTINGS = """\
[pytest]
anyio_mode = auto
asyncio_default_fixture_loop_scope = function
timeout = 300
markers =
    integration: on a Pinecone
"""


def laid_out(checkout: Path, listed: Path, directory: Path) -> None:
    """Copies the tests there, with the list and the plugin that reads it. Raises SystemExit if there are none."""
    source = checkout / "tests"
    if not (source / "integration").is_dir():
        raise SystemExit(f"{checkout} is no checkout of Pinecone's Python SDK: it has no tests/integration")
    shutil.copytree(source / "integration", directory / "tests" / "integration")
    for name in BESIDE:
        if (source / name).exists():
            shutil.copy(source / name, directory / "tests" / name)
    (directory / "pytest.ini").write_text(SETTINGS)
    shutil.copy(HERE / "plugin.py", directory / "emulated.py")
    groups = tomllib.loads(listed.read_text()).get("group", [])
    (directory / "not_promised.json").write_text(json.dumps(groups))


async def run(directory: Path, arguments: Sequence[str]) -> int:
    """Pytest's exit code."""
    async with PineconeProcess(options=["--api-key", KEY]) as server:
        environment = {
            **os.environ,
            "PINECONE_API_KEY": KEY,
            "PINECONE_CONTROLLER_HOST": server.url,
            "NOT_PROMISED": str(directory / "not_promised.json"),
            "PYTHONPATH": str(directory),
        }
        command = [sys.executable, "-m", "pytest", "-p", "emulated", *arguments]
        child = await asyncio.create_subprocess_exec(*command, cwd=directory, env=environment)
        return await child.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests of a checkout; pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.pinecone_sdk", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of Pinecone's Python SDK, v9.0.1")
    parser.add_argument("--not-promised", type=Path, default=HERE / "not_promised.toml", metavar="FILE")
    given, more = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        laid_out(given.checkout, given.not_promised, Path(directory))
        return asyncio.run(run(Path(directory), more or ["-q", "tests/integration"]))


if __name__ == "__main__":
    sys.exit(main())
