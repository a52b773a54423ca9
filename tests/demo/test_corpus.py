from __future__ import annotations

from pathlib import Path

import pytest

from shardroute.demo import corpus
from shardroute.demo.corpus import Corpus, Document, standard_library
from shardroute.errors import ShardrouteError
from shardroute.topology import check_tenant


@pytest.fixture(scope="module")
def library() -> Corpus:
    return standard_library(28)


def test_there_are_enough_tenants_and_the_largest_has_hundreds_of_records(library: Corpus) -> None:
    assert len(library) == 28
    assert max(map(len, library.values())) >= 200
    assert min(map(len, library.values())) >= 25


def test_tenants_are_modules_and_ids_qualified_names(library: Corpus) -> None:
    assert "asyncio" in library
    for tenant, documents in library.items():
        assert check_tenant(tenant) == tenant
        assert all(document.id.split(".")[0] == tenant for document in documents)
        assert len({document.id for document in documents}) == len(documents)


def test_the_same_python_gives_the_same_corpus(library: Corpus) -> None:
    assert standard_library(28) == library


def test_a_corpus_survives_being_saved(library: Corpus, tmp_path: Path) -> None:
    corpus.save(library, tmp_path / "corpus.json")
    assert corpus.load(tmp_path / "corpus.json") == library


_SOURCE = '''"""The module.

More of it."""

class Shape:
    """A shape."""

    def area(self):
        """Its area."""

    def _hidden(self):
        """Nobody's business."""

    def undocumented(self): ...

async def draw():
    """Draws."""
'''


def test_what_is_kept_of_a_docstring(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(_SOURCE)
    documents = standard_library(1, fewest=1, root=tmp_path)["shapes"]
    assert [(each.id, each.kind, each.public) for each in documents] == [
        ("shapes", "module", True),
        ("shapes.Shape", "class", True),
        ("shapes.Shape.area", "method", True),
        ("shapes.Shape._hidden", "method", False),
        ("shapes.draw", "function", True),
    ]
    first = Document("shapes", "shapes", "shapes", "module", True, 3, "The module.\n\nMore of it.")
    assert documents[0] == first
    assert first.sentence == "The module."


def test_sources_that_do_not_parse_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text('"""Good."""')
    (tmp_path / "bad.py").write_text('"""Bad.""" (' * 3)
    assert list(standard_library(1, fewest=1, root=tmp_path)) == ["good"]


def test_too_few_sources_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(ShardrouteError, match="has 0 modules"):
        standard_library(3, root=tmp_path)
