"""The package as syntax trees: its modules and who imports whom.

Called by `test_architecture.py`. Nothing is imported, so what a module does at import plays no
part.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "flow_kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import statement's target, as seen from one module."""

    source: str
    target: str
    line: int
    is_local: bool
    """Inside a function: it runs when the function does."""
    is_for_types: bool
    """Under `if TYPE_CHECKING:`: it never runs."""


@cache
def modules() -> dict[str, Path]:
    """Dotted name of each module of the package, and its file."""
    return {_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of one module."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module; `from a import b` counts as `a.b` where that is a module."""
    return tuple(found for module in modules() for found in _imports_of(module))


def own_imports() -> list[Import]:
    """Imports of the package's own modules."""
    return [i for i in imports() if i.target.split(".")[0] == PACKAGE]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(module: str) -> Iterator[Import]:
    stack: list[tuple[ast.AST, bool, bool]] = [(tree(module), False, False)]
    while stack:
        node, is_local, is_for_types = stack.pop()
        for target in _targets(node):
            yield Import(
                source=module,
                target=target,
                line=getattr(node, "lineno", 0),
                is_local=is_local,
                is_for_types=is_for_types,
            )
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        stack += [
            (child, is_local or is_function, is_for_types or is_guard)
            for child in ast.iter_child_nodes(node)
        ]


def _targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in modules() else node.module
