"""Which variables of the session an isolated cell is given (pure).

Called by `service` before a cell goes to a worker.

A name is sent when the cell may read it before it binds it, and so are the names that functions and
classes of the session read in their turn. Too much costs time, too little is a `NameError`: where a
text may be code (magics, `!ls {path}`, `eval`, SQL, `query("a > @least")`), all its words count.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, Literal

from flow_kernel.errors import UsageError
from flow_kernel.records.bytecode import DYNAMIC, CodeNames, words
from flow_kernel.records.diff import Visibility

_MAIN: Final = "__main__"
_SHELLS: Final = frozenset({"In", "Out", "get_ipython", "exit", "quit"})
_NOTHING: Final[Mapping[str, object]] = {}
# Libraries find variables by the names in a text: pandas in queries, duckdb and others in SQL.
_AT: Final = re.compile(r"@([^\W\d]\w*)")
_SQL: Final = re.compile(r"\b(?:from|join|into|update)\b", re.IGNORECASE)
_module_of: Final = type.__dict__["__module__"].__get__
_dict_of: Final = type.__dict__["__dict__"].__get__
_mro_of: Final = type.__dict__["__mro__"].__get__
_SPELLED: Final = re.compile(r"['\"\\]|__")
_LAZY: Final = frozenset({*DYNAMIC, "get_ipython"})


def wanted(
    source: str,
    namespace: Mapping[str, object],
    spec: tuple[str, ...] | Literal["auto", "none"],
    *,
    hidden: Mapping[str, object] = _NOTHING,
) -> list[str]:
    """The names to send.

    Args:
        source: Of the cell, with or without IPython's magics.
        namespace: The session's.
        spec: Names as the user gave them; "auto" for those that the cell reads.
        hidden: What IPython does not show of the namespace.

    Returns:
        Those of the user in their order; for "auto" sorted.

    Raises:
        UsageError: A name that the user gave does not exist.
    """
    if spec == "none":
        return []
    if spec != "auto":
        return _named(spec, namespace)
    visible = Visibility(hidden)

    def is_sent(name: str) -> bool:
        if name not in namespace or name in _SHELLS or (name[:2] == "__" == name[-2:]):
            return False
        return visible(name, id(namespace[name]))

    if _is_plain(source) and not any(map(is_sent, words(source))):
        return []
    found: set[str] = set()
    todo = {name for name in _reads(source) if is_sent(name)}
    while todo:
        found |= todo
        codes = {code for name in todo for code in _codes_of(namespace[name], namespace)}
        todo = {name for code in codes for name in _names(code) if is_sent(name)} - found
    return sorted(found)


def _named(names: tuple[str, ...], namespace: Mapping[str, object]) -> list[str]:
    missing = [name for name in dict.fromkeys(names) if name not in namespace]
    if missing:
        known = [name for name in namespace if not name.startswith("_")]
        near = {name: get_close_matches(name, known, n=1, cutoff=0.5) for name in missing}
        meant = [f"{guess[0]} for {name}" for name, guess in near.items() if guess]
        raise UsageError(
            f"the session has no variable {', '.join(missing)}; nothing was run",
            hint=f"did you mean {', '.join(meant)}?" if meant else "",
        )
    return list(dict.fromkeys(names))


def _is_plain(source: str) -> bool:
    """True where every name that the cell can read stands in it as a word: most need no compiler.

    Not those in a text, which may be joined of several, nor what Python spells otherwise.
    """
    return source.isascii() and _SPELLED.search(source) is None


def _reads(source: str) -> set[str]:
    """Names that a cell may read before it binds them."""
    try:
        tree = ast.parse(source)
        if any(map(_is_anywhere, ast.walk(tree))):
            return words(source)
        statements = tree.body
        found: set[str] = set()
        bound: set[str] = set()
        for statement in statements:
            found |= _reads_of(statement) - bound
            bound = bound - _unbound(statement) | _bound(statement)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return words(source)
    return found


def _is_anywhere(node: ast.AST) -> bool:
    """True for what runs a text, which may stand elsewhere in the cell, or imports its globals."""
    match node:
        case ast.Name(id="exec" | "eval"):
            return True
        case ast.Import(names=names):
            return any(alias.name == _MAIN for alias in names)
        case ast.ImportFrom(module=module):
            return module == _MAIN
        case ast.Subscript(slice=ast.Constant(value=key)):
            return key == _MAIN
    return False


def _reads_of(statement: ast.stmt) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the worker compiles it again and says so
        code = compile(
            ast.Module([statement], []),
            "<cell>",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
    return _names(code) | _unbound(statement)


def _unbound(statement: ast.stmt) -> set[str]:
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del)
    }


def _bound(statement: ast.stmt) -> set[str]:
    """Names that are bound for certain after a statement: none that a branch or a loop binds."""
    match statement:
        case ast.Assign(targets=targets):
            return {name for target in targets for name in _stored(target)}
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return {*_stored(target)}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.split(".")[0] for alias in names}
    return set()


def _stored(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _names(code: CodeType) -> set[str]:
    """Global names that code reads, itself or nested, and words of texts that may be code."""
    found = CodeNames()
    found.add(code)
    names = set(found.loads)
    is_lazy = not _LAZY.isdisjoint(names)
    for text in found.texts:
        if is_lazy or _SQL.search(text):
            names |= words(text)
        else:
            names.update(_AT.findall(text))
    return names


def _codes_of(value: object, namespace: Mapping[str, object]) -> Iterator[CodeType]:
    """The code of functions, methods and classes of the session that a value brings with it."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one)
        if kind is FunctionType:
            if one.__globals__ is namespace or one.__module__ == _MAIN:
                yield one.__code__
            todo += _held(one)
        elif kind is MethodType:
            todo += [one.__func__, one.__self__]
        elif issubclass(kind, type):
            if _module_of(one) == _MAIN:
                todo += [*_mro_of(one)[1:], *_dict_of(one).values()]
        else:
            todo += [kind, *_parts(one)]


def _held(function: FunctionType) -> Iterator[object]:
    """What a function holds besides its globals."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing yet
            continue


def _parts(value: object) -> Iterator[object]:
    """Functions in what decorators make of them."""
    kind = type(value)  # `isinstance` may ask a class of the user's
    if issubclass(kind, staticmethod | classmethod):
        yield value.__func__  # type: ignore[attr-defined]  # both have it
    elif issubclass(kind, property):
        yield from (value.fget, value.fset, value.fdel)  # type: ignore[attr-defined]  # it has them
