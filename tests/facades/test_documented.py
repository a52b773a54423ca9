"""docs/facades.md says what the facades do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from qdrant_client.models import FieldCondition, Filter, MatchValue, PointStruct

from shardroute import Router
from shardroute.facades.pinecone import RoutedIndex
from shardroute.facades.qdrant import RoutedClient

DOCUMENT = (Path(__file__).parents[2] / "docs" / "facades.md").read_text()
PARTS = dict(re.findall(r"^## \w+: `(\w+)`\n(.*?)(?=^## )", DOCUMENT, re.DOTALL | re.MULTILINE))


def _methods(facade: type) -> list[str]:
    return [name for name in dir(facade) if not name.startswith("_")]


@pytest.mark.parametrize(
    ("facade", "name"), [(kind, name) for kind in (RoutedIndex, RoutedClient) for name in _methods(kind)]
)
def test_every_covered_method_has_a_row(facade: type, name: str) -> None:
    assert re.search(rf"^\| (`\w+`, )*`{name}`(, `\w+`)* \|", PARTS[facade.__name__], re.MULTILINE)


@pytest.mark.parametrize("facade", [RoutedIndex, RoutedClient])
def test_every_option_has_a_row(facade: type) -> None:
    for option in list(inspect.signature(facade).parameters):
        if option != "router":
            assert re.search(
                rf"^\| (`\w+`, )*`{option}`(, `\w+`)* \|", PARTS[facade.__name__], re.MULTILINE
            ), option


REFUSED = re.compile(r"refuse\(\s*\"(\w+)\",(.*?)\)\n", re.DOTALL)


@pytest.mark.parametrize("facade", [RoutedIndex, RoutedClient])
def test_every_argument_that_is_refused_is_named_in_its_methods_row(facade: type) -> None:
    source = "".join(inspect.getsource(kind) for kind in facade.__mro__[:-1])
    found = REFUSED.findall(source)
    assert found
    for method, arguments in found:
        row = re.search(rf"^\| `{method}` \| (.*?) \|", PARTS[facade.__name__], re.MULTILINE)
        assert row, method
        for name in re.findall(r"(\w+)=", arguments):
            assert name == "mmr" or f"`{name}`" in row[1], (
                f"{method}({name})"
            )  # mmr is another query than the nearest


@pytest.mark.parametrize("facade", ["RoutedIndex", "RoutedClient"])
async def test_the_examples_run_as_they_are_written(router: Router, facade: str) -> None:
    example = re.findall(r"^```python\n(.*?)^```", PARTS[facade], re.DOTALL | re.MULTILINE)[0]
    body = "".join(f"    {line}\n" for line in example.splitlines())
    names: dict[str, Any] = {
        **{
            kind.__name__: kind
            for kind in (RoutedIndex, RoutedClient, PointStruct, Filter, FieldCondition, MatchValue)
        },
        "router": router,
        "vector": [1.0, 2.0, 3.0, 4.0],
    }
    exec(f"async def example():\n{body}    return found", names)
    found = await names["example"]()
    hits = found.matches if facade == "RoutedIndex" else found.points
    assert [hit.id for hit in hits] == ["a" if facade == "RoutedIndex" else 1]
