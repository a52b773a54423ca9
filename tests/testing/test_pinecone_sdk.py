"""`make pinecone-sdk` ends well if all that is promised passes, and only then. On a checkout of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pinecone_sdk.__main__ import main

TESTS = """
from pinecone import Pinecone

def test_promised(client):
    index = client.indexes.create(name="docs", dimension=2, metric="cosine")
    with client.index(name="docs", grpc=True) as over_grpc, client.index(name="docs") as over_http:
        over_grpc.upsert(vectors=[("a", [1.0, 0.0])], namespace="n")
        assert set(over_http.fetch(ids=["a"], namespace="n").vectors) == {"a"}

async def test_not_promised(anyio_backend):
    raise AssertionError
"""
CONFTEST = """
import pytest
from pinecone import Pinecone

@pytest.fixture
def client():
    return Pinecone()
"""
ALL_OF_IT = (
    '[[group]]\nreason = "why"\ntests = ["test_few.py::test_not_promised"]\nfiles = ["test_other.py"]\n'
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "sdk" / "tests" / "integration"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "test_few.py").write_text(TESTS)
    (folder / "test_other.py").write_text("raise AssertionError('read all the same')")
    (folder / "conftest.py").write_text(CONFTEST)
    return tmp_path / "sdk"


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        (ALL_OF_IT, 0),
        (ALL_OF_IT.replace("test_not_promised", "test_promised"), 1),
        (ALL_OF_IT + '[[group]]\nreason = "gone"\ntests = ["test_few.py::test_gone"]\n', 1),
        (ALL_OF_IT.replace('files = ["test_other.py"]', ""), 2),
    ],
    ids=["all that is promised passes", "one does not", "one is listed and gone", "one cannot be read"],
)
def test_it_ends_well_if_all_that_is_promised_passes(
    checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], listed: str, code: int
) -> None:
    (tmp_path / "list.toml").write_text(listed)
    assert main([str(checkout), "--not-promised", str(tmp_path / "list.toml")]) == code
    shown = capfd.readouterr().out
    assert "not promised" in shown
    assert ("no test is called test_few.py::test_gone" in shown) is ("gone" in listed)


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no checkout"):
        main([str(tmp_path)])
