"""Finds every TensorRT name in a piece of Python, by following types through the code.

The module is the name `trt`, or whatever `import tensorrt` binds. What a variable holds is
known from `trt.Class(...)`, from annotations such as `x: tensorrt.IBuilderConfig`, and from
the return types in the recorded signatures.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MODULES = ("tensorrt", "tensorrt_rtx")
API_FOLDER = Path(__file__).parents[1] / "data" / "trt-api"


@dataclass(frozen=True)
class Api:
    """The public names of one release: top-level name to members (name to signature)."""

    name: str
    members: dict[str, dict[str, str]]

    def has(self, use: Use) -> bool:
        if use.owner is None:
            return use.member in self.members
        return use.member in self.members.get(use.owner, {})


@dataclass(frozen=True)
class Use:
    """`member` of class `owner`, or of the module where `owner` is None."""

    owner: str | None
    member: str
    line: int
    guarded: bool

    def __str__(self) -> str:
        return f"line {self.line}: {self.owner or 'trt'}.{self.member}"


@dataclass
class Found:
    uses: list[Use] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)
    """TensorRT-looking attributes of something whose type is not known."""


def load_apis() -> list[Api]:
    apis = []
    for path in sorted(API_FOLDER.glob("*.json.gz")):
        data = json.loads(gzip.decompress(path.read_bytes()))
        members = {}
        for name, entry in data["api"].items():
            inside = entry.get("members", {})
            members[name] = dict.fromkeys(inside, "") if isinstance(inside, list) else inside
        apis.append(Api(path.name.removesuffix(".json.gz"), members))
    return apis


def find_names(source: str, apis: list[Api]) -> Found:
    walker = _Walker(apis)
    walker.visit(ast.parse(source))
    return walker.found


class _Walker(ast.NodeVisitor):
    """Types are strings: "module", "class C", "object C", "method C.m"."""

    def __init__(self, apis: list[Api]) -> None:
        self.apis = apis
        self.found = Found()
        self.scopes: list[dict[str, str]] = [{"trt": "module"}]
        self.guards: list[set[tuple[str, str]]] = [set()]
        names = {m for api in apis for inside in api.members.values() for m in inside}
        # Names of one plain word (`name`, `shape`) say nothing about whose they are.
        self.telling = {name for name in names if "_" in name.strip("_")}

    # What things are.

    def type_of(self, node: ast.expr) -> str | None:
        if isinstance(node, (ast.Name, ast.Attribute)):
            text = ast.unparse(node)
            for scope in reversed(self.scopes):
                if text in scope:
                    return scope[text]
        if isinstance(node, ast.Attribute):
            return self._type_of_attribute(node)
        if isinstance(node, ast.Call):
            return self._type_of_call(node)
        return None

    def _type_of_attribute(self, node: ast.Attribute) -> str | None:
        kind, _, name = (self.type_of(node.value) or "").partition(" ")
        if kind == "module":
            return f"class {node.attr}"
        return f"method {name}.{node.attr}" if kind == "object" else None

    def _type_of_call(self, node: ast.Call) -> str | None:
        kind, _, name = (self.type_of(node.func) or "").partition(" ")
        if kind == "class":
            return f"object {name}"
        if kind == "method":
            owner, member = name.split(".")
            for api in self.apis:
                signature = api.members.get(owner, {}).get(member, "")
                returns = re.search(r"-> [\w.]*?(\w+)$", signature)
                if returns and returns[1] in api.members:
                    return f"object {returns[1]}"
        return None

    def annotated(self, annotation: ast.expr | None) -> str | None:
        for node in ast.walk(annotation) if annotation else ():
            if isinstance(node, ast.Attribute) and self.type_of(node.value) == "module":
                return f"object {node.attr}"
        return None

    # Walking.

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name in MODULES:
                self.scopes[0][alias.asname or alias.name] = "module"

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        scope: dict[str, str] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Attribute):
                held = self.annotated(inner.annotation)
                if held:
                    scope[ast.unparse(inner.target)] = held
        self.scopes.append(scope)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        scope: dict[str, str] = {}
        for argument in (*node.args.args, *node.args.kwonlyargs):
            held = self.annotated(argument.annotation)
            if held:
                scope[argument.arg] = held
        self.scopes.append(scope)
        self.guards.append(set(_guards(node)))
        self.generic_visit(node)
        self.guards.pop()
        self.scopes.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        held = self.type_of(node.value)
        for target in node.targets:
            if held and isinstance(target, (ast.Name, ast.Attribute)):
                self.scopes[-1][ast.unparse(target)] = held
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        held = self.annotated(node.annotation)
        if held:
            self.scopes[-1][ast.unparse(node.target)] = held
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if node.attr.startswith("__"):
            return
        kind, _, name = (self.type_of(node.value) or "").partition(" ")
        guard = (ast.unparse(node.value), node.attr)
        guarded = any(guard in level for level in self.guards)
        if kind == "module":
            self.found.uses.append(Use(None, node.attr, node.lineno, guarded))
        elif kind in ("class", "object"):
            self.found.uses.append(Use(name, node.attr, node.lineno, guarded))
        elif node.attr in self.telling:
            self.found.unresolved.append(f"line {node.lineno}: {ast.unparse(node)}")


def _guards(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """(object, attribute) of every `hasattr(object, "attribute")` in the function."""
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "hasattr"
            and isinstance(node.args[1], ast.Constant)
        ):
            yield ast.unparse(node.args[0]), str(node.args[1].value)
