"""Real input that every machine with Python has: the docstrings of its standard library.

Nothing is imported: the sources are parsed. A tenant is a top-level module, a document one docstring.
The same Python gives the same documents, in the same order.
"""

from __future__ import annotations

import ast
import json
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from ..errors import ShardrouteError

_LEFT_OUT = frozenset({"test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "dist-packages"})
_SNIPPET = 300  # characters of a docstring that are kept

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Document:
    """One docstring. `id` is the qualified name, `kind` one of module, class, method, function."""

    id: str
    module: str
    name: str
    kind: str
    public: bool
    lines: int
    text: str

    @property
    def sentence(self) -> str:
        """The docstring's first line: what somebody might search for."""
        return self.text.partition("\n")[0]


Corpus = Mapping[str, tuple[Document, ...]]
"""The documents of each tenant."""


def standard_library(tenants: int, *, most: int = 400, fewest: int = 25, root: Path | None = None) -> Corpus:
    """The `tenants` largest public modules with `fewest` documents or more, `most` of each at the most.

    Raises ShardrouteError where the sources are not there, as in some minimal installations.
    """
    folder = root or Path(sysconfig.get_path("stdlib"))
    found = ((name, tuple(islice(_documents(folder, files), most))) for name, files in _modules(folder))
    corpus = dict(islice(((name, held) for name, held in found if len(held) >= fewest), tenants))
    if len(corpus) < tenants:
        raise ShardrouteError(
            f"{folder} has {len(corpus)} modules with {fewest} docstrings or more, and the demo wants {tenants}"
        )
    return dict(sorted(corpus.items()))


def smallest(corpus: Corpus, tenants: int) -> Corpus:
    """The so many of its modules that have the fewest documents."""
    chosen = sorted(corpus, key=lambda name: (len(corpus[name]), name))[:tenants]
    return {name: corpus[name] for name in sorted(chosen)}


def _modules(folder: Path) -> list[tuple[str, list[Path]]]:
    """Top-level modules with their sources, largest first."""
    sources: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if _LEFT_OUT.isdisjoint(parts) and not parts[0].startswith(("_", "config-")):
            sources[parts[0].removesuffix(".py")].append(path)
    sizes = {name: sum(path.stat().st_size for path in files) for name, files in sources.items()}
    return sorted(sources.items(), key=lambda item: (-sizes[item[0]], item[0]))


def _documents(folder: Path, files: Iterable[Path]) -> Iterator[Document]:
    seen: set[str] = set()
    for path in files:
        for document in _of_file(path, _dotted(path.relative_to(folder))):
            if document.id not in seen:
                seen.add(document.id)
                yield document


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _of_file(path: Path, module: str) -> Iterator[Document]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old sources have escapes that newer Pythons warn of
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for name, kind, node in _walk(tree, module, "module"):
        text = (ast.get_docstring(node) or "").strip()
        if text:
            yield _document(module, name, kind, text)


def _walk(node: _Documented, name: str, kind: str) -> Iterator[tuple[str, str, _Documented]]:
    yield name, kind, node
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _walk(child, f"{name}.{child.name}", "class")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{name}.{child.name}", "method" if kind == "class" else "function", child


def _document(module: str, qualified: str, kind: str, text: str) -> Document:
    name = qualified.rpartition(".")[2]
    return Document(
        id=qualified,
        module=module,
        name=name,
        kind=kind,
        public=not name.startswith("_"),
        lines=text.count("\n") + 1,
        text=text[:_SNIPPET].encode("utf-8", "replace").decode(),
    )


def save(corpus: Corpus, path: Path) -> None:
    """So that other processes need not parse again."""
    plain = {tenant: [asdict(document) for document in held] for tenant, held in corpus.items()}
    path.write_text(json.dumps(plain))


def load(path: Path) -> Corpus:
    """What `save` wrote."""
    plain = json.loads(path.read_text())
    return {tenant: tuple(Document(**document) for document in held) for tenant, held in plain.items()}
