"""The forms of code that `session.risk` looks for, beside names (pure).

Used by `session.risk` alone.
"""

import ast
import shlex
from collections.abc import Iterator
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_FINDERS: Final = {"find_line_magic": "line", "find_cell_magic": "cell", "find_magic": ""}
"""The kind of magic that each finds; `find_magic` is told."""


def is_shell(function: ast.AST) -> bool:
    """True for an attribute of the shell, by the names that it goes by."""
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    if isinstance(owner, ast.Call):
        owner = owner.func
    return isinstance(owner, ast.Name) and owner.id in ("get_ipython", "ip", "shell")


def attributes_of(node: ast.AST) -> Iterator[str]:
    """`c` and `b` of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        yield node.attr
        node = node.value


def text_of(node: ast.AST | None) -> str | None:
    """The text that stands there; None for all else."""
    return node.value if isinstance(node, ast.Constant) and type(node.value) is str else None


def allows_pickle(node: ast.Call) -> bool:
    """True for `load(…, allow_pickle=True)`, or whatever is not known to be False."""
    return any(
        word.arg == "allow_pickle"
        and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        for word in node.keywords
    )


def is_safe_loader(node: ast.Call) -> bool:
    """True for `yaml.load(text, SafeLoader)`."""
    given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "Loader")]
    names = [getattr(each, "attr", getattr(each, "id", "")) for each in given]
    return bool(names) and all(
        name in ("SafeLoader", "CSafeLoader", "BaseLoader") for name in names
    )


def found_magic(node: ast.Call) -> ast.Call | None:
    """`ip.find_line_magic(name)(line)` as `ip.run_line_magic(name, line)`; None for all else.

    What is not as plain as that becomes a magic whose name nobody knows.
    """
    finder = node.func
    if not (isinstance(finder, ast.Call) and isinstance(finder.func, ast.Attribute)):
        return None
    method = finder.func.attr
    if method not in _FINDERS or not is_shell(finder.func):
        return None
    given = [*finder.args]
    kind: str | None = _FINDERS[method]
    if not kind:
        kind = text_of(given.pop(1)) if len(given) > 1 else "line"
    name: ast.expr = ast.Constant(None)
    if kind in _FINDERS.values() and len(given) == 1:
        name = given[0]
    run = ast.Attribute(finder.func.value, f"run_{kind or 'line'}_magic", ast.Load())
    made = ast.Call(run, [name, *node.args], [*finder.keywords, *node.keywords])
    return ast.fix_missing_locations(ast.copy_location(made, node))


def is_script(line: str) -> bool:
    """True for the line of `%%isolated --shell`, whatever quotes it is written with."""
    try:
        return "--shell" in shlex.split(line)
    except ValueError:  # the magic refuses it
        return False


def without_options(line: str) -> str:
    """The statement of `%timeit -n 10 f(x)`."""
    words = line.split(" ")
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if len(option) == 2 and option[1] in "nrtpDTs" and words:
            words.pop(0)
    return " ".join(words)
