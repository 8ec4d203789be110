"""Everything public says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("edgevid", "convert", "benchmarks")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if path.name != "_version.py"
)


def undocumented(tree: ast.Module) -> list[str]:
    """Public classes and functions of a module without a docstring."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{node.name} (line {node.lineno})"
        for node in tree.body
        if isinstance(node, kinds)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_have_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert undocumented(tree) == []
    empty = not tree.body
    assert empty or ast.get_docstring(tree), "the module has no docstring"


def test_the_search_finds_what_lacks_one():
    assert undocumented(ast.parse("def f(): pass\ndef _g(): pass\nclass C: 'doc'")) == [
        "f (line 1)"
    ]
