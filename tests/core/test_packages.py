"""The shape of the code itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import shardroute

ROOT = Path(shardroute.__file__).parent
PACKAGES = sorted(ROOT.rglob("__init__.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _only_re_exports(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
            return True
    return False


@pytest.mark.parametrize("package", PACKAGES, ids=_name)
def test_a_packages_init_only_re_exports(package: Path) -> None:
    body = ast.parse(package.read_text(encoding="utf-8")).body
    more = [ast.unparse(statement) for statement in body if not _only_re_exports(statement)]
    assert more == []
