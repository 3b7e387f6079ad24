"""Whether anything can have changed the session's variables since some moment (pure).

Made by `session.assembly`; told by `shell.attach` of each code object that the shell compiles, and
asked by `session.isolation.sent`. A session whose cells are all isolated stays still for ever.
"""

import re
from collections.abc import Callable
from types import CodeType
from typing import Final

from flow_kernel.records.bytecode import CodeNames
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_CELL_MAGICS: Final = frozenset({"isolated"})
_LINE_MAGICS: Final = frozenset({"task", "flow", "workers", "workflow", "approve"})
_NAME, _LINE, _BODY = "name", "line", "body"
# A whole statement of IPython that calls one magic and nothing else, as bytecode.
_CALLS: Final = {
    (code.co_names, code.co_code): (code.co_consts.index(_NAME), code.co_consts.index(_LINE), known)
    for source, known in (
        (f"get_ipython().run_cell_magic({_NAME!r}, {_LINE!r}, {_BODY!r})", _CELL_MAGICS),
        (f"get_ipython().run_line_magic({_NAME!r}, {_LINE!r})", _LINE_MAGICS),
    )
    for code in (compile(source, "<magic>", "exec"), compile(source, "<magic>", "single"))
}
# IPython evaluates what stands in braces, and attributes behind a dollar, in the line of a magic.
_CODE: Final = re.compile(r"[{$]")
_SEEDS: Final = frozenset({"seed", "setstate", "set_state", "default_rng", "RandomState"})


class Stillness:
    """Of one session.

    Args:
        look_around: Says what else may run: threads, tasks, handlers; None where nobody can.
    """

    __slots__ = ("_binds", "_look_around", "_stirred", "has_seeded")

    def __init__(self, look_around: Callable[[], tuple[str, ...]] | None) -> None:
        self._stirred = 0
        self._look_around = look_around
        self._binds: dict[str, int] | None = None
        self.has_seeded: bool = False
        """True once a cell has named what makes random numbers repeat."""

    def note(self, code: CodeType) -> None:
        """The shell has compiled `code`; what only calls our magics changes no variable."""
        if _is_our_magic(code):
            return
        self._stirred += 1
        if not self.has_seeded:
            self.has_seeded = _names(code)
        if self._binds is not None:
            found = CodeNames()
            found.add(code)
            self._binds.update(dict.fromkeys(found.stores, self._stirred))

    def follow(self) -> None:
        """From now on remember what is bound."""
        if self._binds is None:
            self._binds = {}

    def bound(self, name: str) -> int:
        """Equal at two moments when no cell between them binds `name`, maybe to the same again."""
        return 0 if self._binds is None else self._binds.get(name, 0)

    def stir(self) -> None:
        """Something else ran that may have changed anything."""
        self._stirred += 1

    @property
    def mark(self) -> int | None:
        """Equal at two moments exactly when nothing ran between; None while nobody can tell."""
        look_around = self._look_around
        return None if look_around is None or look_around() else self._stirred


def _is_our_magic(code: CodeType) -> bool:
    call = _CALLS.get((code.co_names, code.co_code))
    if call is None:
        return False
    at_name, at_line, known = call
    name, line = code.co_consts[at_name], code.co_consts[at_line]
    return name in known and type(line) is str and _CODE.search(line) is None


def _names(code: CodeType) -> bool:
    if not _SEEDS.isdisjoint(code.co_names):
        return True
    return any(type(const) is CodeType and _names(const) for const in code.co_consts)
