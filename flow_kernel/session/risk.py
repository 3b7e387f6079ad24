"""Finds what a cell might do harm with, in its syntax tree (pure).

Called by `shell.taps.gate` before a cell runs, with the tree that IPython is about to run: magics
are calls of `get_ipython()` by then.

It fails closed. What it knows to be harmless, or has no opinion of, passes; a name that stands for
something risky counts wherever it is loaded, called or not, and so does each way around the scan
that it can see: `exec` of anything but a literal, star imports, an attribute that is computed, a
module that is passed on. A scan that breaks is itself a finding.

What it cannot see: a function that was defined before, a module of the user's own, data that a
library takes for code. It is a seat belt, not a lock.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.plain import one_line
from flow_kernel.records.secret_names import is_secret_in_environment
from flow_kernel.session import risk_tables as tables
from flow_kernel.session.risk_forms import (
    allows_pickle,
    attributes_of,
    found_magic,
    is_safe_loader,
    is_script,
    is_shell,
    text_of,
    without_options,
)
from flow_kernel.session.risk_tables import Kind

globals()["__builtins__"] = FROZEN_BUILTINS

_WIDTH: Final = 80
_DEPTH: Final = 4
_BUILTIN_CALLS: Final = frozenset({"eval", "exec", "compile", "__import__"})
_COMPUTED: Final = frozenset({"getattr", "setattr", "delattr", "vars"})
_MAGIC_CALLS: Final = frozenset({"run_line_magic", "run_cell_magic"})
_SHELL_CALLS: Final = frozenset({"system", "getoutput", "ex", "ev", "run_cell", "safe_execfile"})
_ENVIRON: Final = frozenset({"os.environ", "os.environb", "posix.environ"})
_GETENV: Final = frozenset({"os.getenv", "os.getenvb", "os.environ.get"})
_MARKER_KINDS: Final = ((tables.SQL, Kind.DELETES), (tables.GIT, Kind.GIT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One risky place.

    Attributes:
        kind: What it might do.
        line: Where in the cell, from 1.
        text: The piece of code, cut.
    """

    kind: Kind
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the scan may ask about the session; neither may run code of the user's.

    Attributes:
        resolve: The dotted name of what a name is bound to, for modules, functions and classes;
            empty for other values, None for a name that is not bound.
        transform: IPython syntax into Python.
    """

    resolve: Callable[[str], str | None] = lambda _: None
    transform: Callable[[str], str] = lambda source: source


def scan(tree: ast.AST, world: World) -> list[Finding]:
    """The risky places of `tree` in the order of their lines; never raises an Exception."""
    try:
        return sorted(_Scan(world, 0).of(tree), key=lambda found: found.line)
    except Exception as error:  # noqa: BLE001 - a cell that breaks the scan is no safer for it
        return [Finding(kind=Kind.CODE, line=1, text=f"it cannot be read: {type(error).__name__}")]


def scan_source(source: str, world: World) -> list[Finding]:
    """The same for source text; what is no Python after `world.transform` is a finding."""
    return _Scan(world, 0).of_source(source, 0)


class _Scan:
    def __init__(self, world: World, depth: int) -> None:
        self._world = world
        self._depth = depth
        self._names: dict[str, str] = {}
        self._bound: set[str] = set()
        self._found: dict[tuple[Kind, int], Finding] = {}

    def of(self, tree: ast.AST) -> list[Finding]:
        self._learn(tree)
        todo = [tree]
        while todo:
            node = todo.pop()
            todo += self._look(node)
        return [*self._found.values()]

    def of_source(self, source: str, line: int) -> list[Finding]:
        if self._depth > _DEPTH:
            return [Finding(kind=Kind.CODE, line=line + 1, text=one_line(source, _WIDTH))]
        try:
            tree = ast.parse(self._world.transform(source))
            inner = _Scan(self._world, self._depth + 1)
            inner._names, inner._bound = dict(self._names), set(self._bound)
            found = inner.of(tree)
        except Exception:  # noqa: BLE001 - whatever it is, it is no code that was read
            found = [Finding(kind=Kind.CODE, line=1, text=one_line(source, _WIDTH))]
        return [Finding(kind=each.kind, line=each.line + line, text=each.text) for each in found]

    # -- names -------------------------------------------------------------------------------------

    def _learn(self, tree: ast.AST) -> None:
        """What the imports of the cell bind, and what else is bound in it."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    self._names[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self._bound.add(node.id)
            elif isinstance(node, ast.arg):
                self._bound.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._bound.add(node.name)

    def _name_of(self, node: ast.AST) -> str | None:  # noqa: PLR0911 - a line for each form
        """The dotted name of what an expression loads; None where nobody can tell."""
        if isinstance(node, ast.Attribute):
            base = self._name_of(node.value)
            return None if base is None else f"{base}.{node.attr}"
        if isinstance(node, ast.Call):
            # An object is known by the name of its class: Path("x").unlink.
            return self._name_of(node.func)
        if not isinstance(node, ast.Name):
            return None
        name = node.id
        if name in self._names:
            return self._names[name]
        known = self._world.resolve(name)
        if known is not None:
            return known or None
        if name in self._bound:
            return None
        return f"builtins.{name}"

    # -- places ------------------------------------------------------------------------------------

    def _look(self, node: ast.AST) -> Iterator[ast.AST]:
        """Note what is risky about `node`; what is left to look at below it."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
            return iter(())
        if isinstance(node, ast.Constant):
            self._constant(node)
            return iter(())
        if isinstance(node, ast.Call):
            left = self._call(node)
            if left is not None:
                return left
        if isinstance(node, ast.Subscript) and self._name_of(node.value) in _ENVIRON:
            return self._environment(node, node.slice)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._loaded(node)
        return ast.iter_child_nodes(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            return  # it is used where it is named
        for alias in node.names:
            if alias.name == "*":
                self._note(Kind.CODE, node)
            elif (kind := _kind_of(f"{node.module or ''}.{alias.name}")) is not None:
                self._note(kind, node)

    def _constant(self, node: ast.Constant) -> None:
        text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
        if not isinstance(text, str):
            return
        if tables.METHODS.get(text) is Kind.CODE:
            self._note(Kind.CODE, node)
        for marker, kind in _MARKER_KINDS:
            if marker.search(text):
                self._note(kind, node)
        if len(text) < 4096 and tables.SECRET_FILE.search(text.strip()):
            self._note(Kind.CREDENTIALS, node)

    def _call(  # noqa: PLR0911 - a line for each form
        self, node: ast.Call
    ) -> Iterator[ast.AST] | None:
        """A call that says more than the name of what is called; None for all others."""
        if not isinstance(node.func, ast.Name | ast.Attribute):
            found = found_magic(node)
            return None if found is None else self._magic(found)
        name = self._name_of(node.func) or ""
        first = node.args[0] if node.args else None
        short = name.removeprefix("builtins.")
        if is_shell(node.func):
            return self._magic(node)
        if short in _BUILTIN_CALLS and name.startswith("builtins."):
            return self._evaluated(node, first, is_import=short == "__import__")
        if name == "importlib.import_module" and text_of(first) is not None:
            return self._evaluated(node, first, is_import=True)
        if short in _COMPUTED and name.startswith("builtins."):
            return self._computed(node)
        if name in _GETENV:
            return self._environment(node, first)
        if name.rpartition(".")[2] == "load" and allows_pickle(node):
            self._note(Kind.CODE, node)
        if name.startswith(("yaml.load",)) and is_safe_loader(node):
            return iter([*node.args])
        takes_url = isinstance(node.func, ast.Attribute) and node.func.attr.startswith("read_")
        if takes_url and tables.URL.match(text_of(first) or ""):
            self._note(Kind.NETWORK, node)
        return None

    def _loaded(self, node: ast.Name | ast.Attribute) -> Iterator[ast.AST]:
        if not isinstance(node.ctx, ast.Load):
            return ast.iter_child_nodes(node)
        name = self._name_of(node)
        kind = _kind_of(name)
        if kind is None:
            kind = next(filter(None, map(tables.METHODS.get, attributes_of(node))), None)
        if kind is not None:
            self._note(kind, node)
            return iter(())
        if name in _ENVIRON:
            self._note(Kind.CREDENTIALS, node)  # all of it
            return iter(())
        if name in tables.MODULES:
            self._note(Kind.CODE, node)  # passed on, under a name that nobody follows
            return iter(())
        return _below(node)

    def _environment(self, node: ast.AST, key: ast.AST | None) -> Iterator[ast.AST]:
        is_written = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
        text = text_of(key)
        if not is_written and (text is None or is_secret_in_environment(text)):
            self._note(Kind.CREDENTIALS, node)
        rest = node.args[1:] if isinstance(node, ast.Call) else [key] if key is not None else []
        return iter(rest)

    def _evaluated(
        self, node: ast.Call, first: ast.AST | None, *, is_import: bool
    ) -> Iterator[ast.AST]:
        text = text_of(first)
        if text is None:
            self._note(Kind.CODE, node)
        elif is_import:
            kind = _kind_of(text) or (Kind.CODE if text in tables.MODULES else None)
            if kind is not None:
                self._note(kind, node)
        else:
            self._take(self.of_source(text, node.lineno - 1))
        return iter(node.args[1:])

    def _computed(self, node: ast.Call) -> Iterator[ast.AST]:
        """`getattr(x, name)` is `x.name` where the name is known, and risky on a risky module."""
        if not node.args:
            return iter(())
        base, *rest = node.args
        name = self._name_of(base) or ""
        attribute = text_of(rest[0]) if rest else None
        if attribute is not None and attribute.isidentifier():
            loaded = ast.copy_location(ast.Attribute(base, attribute, ast.Load()), node)
            return iter([loaded, *rest[1:]])
        if name.split(".")[0] in tables.MODULES - {"builtins"} or name.startswith("builtins.__"):
            self._note(Kind.CODE, node)
            return iter(rest)
        return iter(node.args)

    # -- magics ------------------------------------------------------------------------------------

    def _magic(self, node: ast.Call) -> Iterator[ast.AST]:
        """A call on `get_ipython()`."""
        texts = [text_of(arg) for arg in node.args]
        method = getattr(node.func, "attr", "")
        if method in _SHELL_CALLS:
            self._command(node, " ".join(text or "" for text in texts))
        elif method in _MAGIC_CALLS:
            if not texts or node.keywords or any(text is None for text in texts):
                self._note(Kind.CODE, node)
            elif method == "run_line_magic":
                self._line_magic(node, texts[0] or "", "".join(t or "" for t in texts[1:2]))
            else:
                self._cell_magic(node, *(text or "" for text in (*texts, "", "")[:3]))
        elif method in tables.METHODS:
            self._note(tables.METHODS[method], node)
        return iter(node.args if method not in (*_SHELL_CALLS, *_MAGIC_CALLS) else ())

    def _command(self, node: ast.AST, text: str) -> None:
        self._note(Kind.SHELL, node)
        if tables.REMOVES.search(f" {text} "):
            self._note(Kind.DELETES, node)
        if tables.GIT.search(text):
            self._note(Kind.GIT, node)

    def _line_magic(self, node: ast.Call, name: str, line: str) -> None:
        if name in tables.PYTHON_LINE_MAGICS:
            self._take(self.of_source(without_options(line), node.lineno - 1))
        elif name == "env" and "=" in line:
            return
        elif name in tables.PROGRAMS or name in ("sx", "system", "sc"):
            self._command(node, f"{name} {line}")
        elif name not in tables.SAFE_LINE_MAGICS:
            self._note(tables.LINE_MAGICS.get(name, Kind.CODE), node)

    def _cell_magic(self, node: ast.Call, name: str, line: str, body: str) -> None:
        if name == "isolated" and is_script(line):
            self._command(node, body)
        elif name in tables.PYTHON_CELL_MAGICS:
            self._take(self.of_source(body, node.lineno))
            if name in ("timeit", "time") and line.strip():
                self._take(self.of_source(without_options(line), node.lineno - 1))
        elif name in tables.CELL_MAGICS:
            self._command(node, body)
        elif name in ("sql", "bigquery", "duckdb"):
            if tables.SQL.search(f"{line}\n{body}"):
                self._note(Kind.DELETES, node)
        elif name not in tables.SAFE_CELL_MAGICS:
            self._note(Kind.CODE, node)

    # -- notes -------------------------------------------------------------------------------------

    def _note(self, kind: Kind, node: ast.AST) -> None:
        line = getattr(node, "lineno", 1)
        try:
            text = one_line(ast.unparse(node), _WIDTH)
        except Exception:  # noqa: BLE001 - a tree that another transformer has bent
            text = type(node).__name__
        self._found.setdefault((kind, line), Finding(kind=kind, line=line, text=text))

    def _take(self, found: list[Finding]) -> None:
        for each in found:
            self._found.setdefault((each.kind, each.line), each)


def _kind_of(name: str | None) -> Kind | None:
    """The kind of a dotted name, or of what it is a part of."""
    while name:
        if name in tables.NAMES:
            return tables.NAMES[name]
        name = name.rpartition(".")[0]
    return None


def _below(node: ast.Name | ast.Attribute) -> Iterator[ast.AST]:
    """What an attribute is taken from, unless that is only a name with dots."""
    value: ast.AST = node
    while isinstance(value, ast.Attribute):
        value = value.value
    return iter(() if isinstance(value, ast.Name) else (value,))
