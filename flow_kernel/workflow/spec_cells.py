"""The statements of recorded cells: what each one reads, binds and repeats (pure).

Called by `spec_task`, which makes scripts out of the cells of a task.

Names are those of the bytecode, as the recorder has them, but statement by statement: a name that a
step binds before it reads it is none that it has to be given.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Final

from flow_kernel.records.bytecode import CodeNames

# Work of the session and not of the step; a step of a workflow runs without one.
_OWN_MAGIC: Final = re.compile(r"%(task|checkpoint|flow|workers|load_ext[ \t]+flow_kernel)\b")
_OWN_CELL_MAGIC: Final = re.compile(r"%%(step|isolated)\b")
_MAGIC: Final = re.compile(r"[ \t]*([%!?]|[^#\n]*\?[ \t]*$|\w+[ \t]*=[ \t]*[%!])")
_MARK: Final = "[REDACTED:"


class NoScript(Exception):
    """Why a cell cannot be part of a script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement at the top of a cell.

    Attributes:
        loads: Names that it reads, of its functions too.
        stores: Names that it binds or deletes.
        repeated: Its source where repeating it is the way to have its names: imports, functions
            and classes.
    """

    loads: frozenset[str]
    stores: frozenset[str]
    repeated: str = ""


def source_of(code: str, *, is_cut: bool = False) -> str:
    """The code of a cell without the magics that mean the session.

    Raises:
        NoScript: It has others, is no Python or cut; or a secret was taken out of it.
    """
    if is_cut:
        raise NoScript("its code was too long to be recorded whole")
    if _MARK in code:
        raise NoScript("a secret was taken out of its code; read it from the environment instead")
    lines = code.split("\n")
    while lines and (not lines[0].strip() or _OWN_CELL_MAGIC.match(lines[0])):
        del lines[0]
    source = "\n".join(lines)
    if _fault(source):
        # Only then: such a line may stand within a text.
        source = "\n".join(line for line in lines if not _OWN_MAGIC.match(line))
    fault = _fault(source)
    if fault:
        raise NoScript(fault)
    return source.strip("\n")


def statements_of(source: str) -> Iterator[Statement]:
    """The statements at the top of a cell, in order."""
    for node in ast.parse(source).body:
        names = _names([node])
        yield Statement(
            loads=frozenset(names.loads),
            stores=frozenset(names.stores | names.dynamic_stores()),
            repeated=_segment(source, node) if _is_repeated(node) else "",
        )


def reads_of(sources: Iterable[str]) -> list[str]:
    """Names that cells which run one after the other read and have not bound before, in order."""
    wanted: dict[str, None] = {}
    bound: set[str] = set()
    for source in sources:
        _read(ast.parse(source).body, bound, wanted)
    return list(wanted)


def _read(body: Iterable[ast.stmt], bound: set[str], wanted: dict[str, None]) -> None:
    """Follow statements; `bound` grows by what they bind whichever way they go."""
    for node in body:
        match node:
            case ast.With():
                for item in node.items:
                    _want(item.context_expr, bound, wanted)
                    bound |= _targets(item.optional_vars)
                _read(node.body, bound, wanted)
            case ast.For():
                _want(node.iter, bound, wanted)
                # Kept after the loop: it ran here, and so it will with the same inputs.
                bound |= _targets(node.target)
                _read(node.body, set(bound), wanted)
                _read(node.orelse, set(bound), wanted)
            case ast.While() | ast.If():
                _want(node.test, bound, wanted)
                ways = [set(bound), set(bound)]
                _read(node.body, ways[0], wanted)
                _read(node.orelse, ways[1], wanted)
                bound |= ways[0] & ways[1]
            case ast.Try():
                _read_try(node, bound, wanted)
            case _:
                names = _names([node])
                is_named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                own = {node.name} if is_named else set()  # type: ignore[attr-defined]  # these have
                wanted.update(dict.fromkeys(sorted(names.loads - bound - own)))
                bound |= names.stores


def _read_try(node: ast.Try, bound: set[str], wanted: dict[str, None]) -> None:
    straight = set(bound)
    _read(node.body, straight, wanted)
    ways = []
    for handler in node.handlers:
        caught = bound | ({handler.name} if handler.name else set())
        if handler.type is not None:
            _want(handler.type, bound, wanted)
        _read(handler.body, caught, wanted)
        ways.append(caught)
    _read(node.orelse, straight, wanted)
    bound |= straight.intersection(*ways)
    _read(node.finalbody, bound, wanted)


def _want(node: ast.expr, bound: set[str], wanted: dict[str, None]) -> None:
    expression = ast.copy_location(ast.Expr(node), node)
    names = _names([expression])
    wanted.update(dict.fromkeys(sorted(names.loads - bound)))
    bound |= names.stores


def _targets(node: ast.expr | None) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} if node else set()


def _names(body: list[ast.stmt]) -> CodeNames:
    names = CodeNames()
    names.add(_compiled(body))
    return names


def _is_repeated(node: ast.stmt) -> bool:
    if isinstance(node, ast.Try):
        # The usual way to have a library or its substitute.
        return all(isinstance(each, ast.Import | ast.ImportFrom) for each in node.body)
    return isinstance(
        node,
        ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom,
    )


def _segment(source: str, node: ast.stmt) -> str:
    """The lines of a statement, with those of its decorators."""
    first = node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        first = min([first, *(each.lineno for each in node.decorator_list)])
    if node.col_offset or isinstance(node, ast.Import | ast.ImportFrom):
        # Another statement may stand in the same line.
        return ast.unparse(node)
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


def _compiled(body: list[ast.stmt]) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(ast.Module(body, []), "<cell>", "exec", dont_inherit=True)


def _fault(source: str) -> str:
    """Why this is no script; empty when it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        _compiled(tree.body)
    except SyntaxError as error:
        magic = next((line for line in source.split("\n") if _MAGIC.match(line)), None)
        if magic is not None:
            return f"has a magic or a shell command ({magic.strip()[:60]}), which scripts have not"
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, MemoryError, RecursionError):
        return "cannot be compiled"
    futures = (each for each in tree.body if isinstance(each, ast.ImportFrom))
    if any(each.module == "__future__" for each in futures):
        return "imports from __future__, which stands at the top of a script only"
    return ""
