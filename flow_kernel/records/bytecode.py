"""Which global names a code object reads and binds (pure).

Called by the recorder for each code object that the shell compiles while a cell runs.

Identity of values cannot see a loop that rebinds a name onto the address it just freed
(`for _ in range(2): q = q + 1.0` ends at the same id every time), so a name that the bytecode
stores counts as changed. Two bytes an instruction since CPython 3.6; `LOAD_GLOBAL` carries a flag
in its lowest bit since 3.11. In nested code `STORE_NAME` binds an attribute of a class body, not a
global.

Source: CPython `Lib/dis.py` and `Include/opcode_ids.h`, compared in the tests with
`dis.get_instructions` on every interpreter that they run on.
"""

import opcode
import re
from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_OPS: Final = opcode.opmap
_EXTENDED: Final = _OPS["EXTENDED_ARG"]
_LOAD_GLOBAL: Final = _OPS["LOAD_GLOBAL"]
_LOADS: Final = frozenset(
    _OPS[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in _OPS
)
_BINDS: Final = frozenset(_OPS[name] for name in ("STORE_NAME", "DELETE_NAME"))
_GLOBAL_BINDS: Final = frozenset(_OPS[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_INTERESTING: Final = _LOADS | _BINDS | _GLOBAL_BINDS | {_LOAD_GLOBAL, _EXTENDED}
_MAX_CODES: Final = 20_000
_MAX_TEXT: Final = 20_000

DYNAMIC: Final = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "__main__"})
"""Names whose use means that a cell may bind names which its bytecode does not show."""

_ASSIGNED: Final = re.compile(r"(?:^|[;\n:])[ \t]*([^\W\d]\w*)[ \t]*(?:[-+*/%&|^@<>]{0,2})=(?!=)")
_WORD: Final = re.compile(r"[^\W\d]\w*")


class CodeNames:
    """Global names of one or more code objects; `add` widens it."""

    __slots__ = ("loads", "stores", "texts")

    def __init__(self) -> None:
        self.loads: set[str] = set()
        self.stores: set[str] = set()
        self.texts: list[str] = []
        """String constants, kept only to find what `exec` and `globals()` may bind."""

    def add(self, code: CodeType) -> None:
        """Take in the names of `code` and of the code nested in it. About 1 us a statement."""
        self._scan(code, _BINDS)
        todo = [c for c in code.co_consts if type(c) is CodeType]
        done = 0
        while todo and done < _MAX_CODES:
            done += 1
            nested = todo.pop()
            self._scan(nested, _GLOBAL_BINDS)
            todo.extend(c for c in nested.co_consts if type(c) is CodeType)

    def dynamic_stores(self) -> set[str]:
        """Names that the cell's own texts assign when run by `exec`, or index `globals()` with."""
        if not (self.loads & DYNAMIC):
            return set()
        found = set()
        for text in self.texts:
            if text.isidentifier():
                found.add(text)
            else:
                found.update(_ASSIGNED.findall(text))
        return found

    def _keep_texts(self, consts: Iterable[object]) -> None:
        for const in consts:
            if type(const) is str:
                if len(const) < _MAX_TEXT:
                    self.texts.append(const)
            elif type(const) is tuple or type(const) is frozenset:
                # A literal list to loop over is folded into one constant.
                self.texts.extend(c for c in const if type(c) is str and len(c) < _MAX_TEXT)

    def _scan(self, code: CodeType, binds: frozenset[int]) -> None:
        names = code.co_names
        self._keep_texts(code.co_consts)
        if not names:
            return
        raw = code.co_code
        extended = 0
        for op, arg in zip(raw[::2], raw[1::2], strict=True):
            if op not in _INTERESTING:
                extended = 0
                continue
            if op == _EXTENDED:
                extended = (extended | arg) << 8
                continue
            index = extended | arg
            extended = 0
            if op == _LOAD_GLOBAL:
                self.loads.add(names[index >> 1])
            elif op in _LOADS:
                self.loads.add(names[index])
            elif op in binds or op in _GLOBAL_BINDS:
                self.stores.add(names[index])


def words(source: str) -> set[str]:
    """All identifier-like words of a source text; a superset of the names it can read or bind."""
    return set(_WORD.findall(source))


def reachable(names: set[str], namespace: dict[str, object], *, limit: int = 64) -> set[str]:
    """`names` and those that functions of the namespace, named by them, refer to.

    Follows exact functions only, by their code's `co_names`; at most `limit` of them.
    """
    seen = set(names)
    todo = [name for name in names if type(namespace.get(name)) is FunctionType]
    followed = 0
    while todo and followed < limit:
        followed += 1
        function = namespace.get(todo.pop())
        if type(function) is not FunctionType or function.__globals__ is not namespace:
            continue
        for name in function.__code__.co_names:
            if name not in seen and name in namespace:
                seen.add(name)
                todo.append(name)
    return seen
