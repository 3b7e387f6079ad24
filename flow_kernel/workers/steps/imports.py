"""What a script imports, as far as its text tells and as far as it may be imported ahead.

Called by `hosts`. Only the standard library and installed packages may: what lies beside a script
can be another thing at its next step.
"""

import ast
import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_MOST_CHARS: Final = 1_000_000
_MOST_NAMES: Final = 64
_NEVER: Final = frozenset(
    {
        *("__future__", "__main__", "antigravity", "flow_kernel", "idlelib", "lib2to3"),
        *("test", "this", "tkinter", "turtle", "turtledemo"),
    }
)
"""Their import has an effect, or nobody should have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """Names of modules; `a:b` for `from a import b`, where `b` may be a module.

    Attributes:
        standard: Of the standard library.
        installed: Of packages.
    """

    standard: tuple[str, ...]
    installed: tuple[str, ...]


def named(source: str) -> frozenset[str]:
    """What the text imports where it is run from top to bottom, at any depth of `if` and `try`.

    What functions import is left out: it may never be wanted. Empty for what is no Python.
    """
    if len(source) > _MOST_CHARS:
        return frozenset()
    try:
        body: list[ast.stmt] = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[str] = set()
    todo = [*body]
    while todo and len(found) < _MOST_NAMES:
        node = todo.pop()
        match node:
            case ast.Import():
                found.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module)
                found.update(f"{module}:{alias.name}" for alias in node.names if alias.name != "*")
            case ast.If() | ast.Try() | ast.With():
                todo += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]
                if isinstance(node, ast.Try):
                    todo += [each for handler in node.handlers for each in handler.body]
    return frozenset(found)


class Finder:
    """Tells what may be imported ahead.

    Args:
        system: Where the standard library and installed packages are.
    """

    def __init__(self, system: Sequence[str]) -> None:
        self._system = list(system)
        self._of = lru_cache(maxsize=256)(self._parted)
        self._is_installed = lru_cache(maxsize=1024)(self._found)

    def of(self, source: str) -> Imports:
        """The imports of a script; those of one that was seen before take no time."""
        return self._of(source)

    def _parted(self, source: str) -> Imports:
        standard, installed = [], []
        for name in sorted(named(source)):
            top = name.partition(":")[0].partition(".")[0]
            if top in _NEVER or top in sys.builtin_module_names:
                continue
            if top in sys.stdlib_module_names:
                standard.append(name)
            elif self._is_installed(top):
                installed.append(name)
        return Imports(standard=tuple(standard), installed=tuple(installed))

    def _found(self, top: str) -> bool:
        try:
            spec = importlib.machinery.PathFinder.find_spec(top, self._system)
        except (ImportError, ValueError):
            return False
        return spec is not None and spec.origin is not None
