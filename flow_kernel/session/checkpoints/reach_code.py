"""What one code object and the code nested in it can name (pure).

Called by `reach`.

The reading is of the bytecode that ran, not of the text: what IPython made of a line counts.
Attributes are not told from global names: a word that leads astray does so in either place.

Source: CPython `Lib/dis.py` and `Include/opcode_ids.h`; two bytes an instruction, `LOAD_GLOBAL`
carries a flag in its lowest bit.
"""

import opcode
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach_words import (
    FOREVER,
    HARMLESS_DUNDERS,
    STRAYS,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_OPS: Final = opcode.opmap


def numbers(*names: str) -> frozenset[int]:
    """Instructions by name, as far as this Python has them."""
    return frozenset(_OPS[name] for name in names if name in _OPS)


_BUILDS_CLASS: Final = _OPS["LOAD_BUILD_CLASS"]
_EXTENDED: Final = _OPS["EXTENDED_ARG"]
_LOAD_GLOBAL: Final = _OPS["LOAD_GLOBAL"]
_LOAD_CONST: Final = _OPS["LOAD_CONST"]
_FLAG_BITS: Final = 1 if sys.version_info >= (3, 12) else 0
_ATTRIBUTES: Final = {_OPS["LOAD_ATTR"]: _FLAG_BITS} | dict.fromkeys(numbers("LOAD_METHOD"), 0)
_FORMATS: Final = ("format", "format_map")
_SKIPPED: Final = numbers("CACHE", "NOP", "RESUME", "NOT_TAKEN")
_LOADS: Final = numbers("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_DELETES: Final = numbers("DELETE_NAME", "DELETE_GLOBAL")
_GLOBAL_BINDS: Final = numbers("STORE_GLOBAL", "DELETE_GLOBAL")
_BINDS: Final = _GLOBAL_BINDS | numbers("STORE_NAME", "DELETE_NAME")
_SETS_ATTRIBUTE: Final = numbers("STORE_ATTR", "DELETE_ATTR")
_IMPORTS: Final = numbers("IMPORT_NAME")
_DOUBTFUL: Final = {
    _OPS[name]: why
    for name, why in (
        ("IMPORT_STAR", "imports names that it does not show"),
        ("GET_AWAITABLE", "awaits"),
        ("GET_AITER", "awaits"),
        ("BEFORE_ASYNC_WITH", "awaits"),
        ("ASYNC_GEN_WRAP", "awaits"),
    )
    if name in _OPS
}
_INTRINSIC: Final = _OPS.get("CALL_INTRINSIC_1", -1)
_IMPORT_STAR_INTRINSIC: Final = 2
_CALLS: Final = numbers(
    "CALL", "CALL_KW", "CALL_FUNCTION_EX", "FOR_ITER", "BEFORE_WITH", "LOAD_SPECIAL", "IMPORT_NAME",
    "BINARY_OP", "BINARY_SUBSCR", "COMPARE_OP", "CONTAINS_OP", "LOAD_ATTR", "LOAD_METHOD",
    "GET_ITER", "UNPACK_SEQUENCE", "UNPACK_EX", "STORE_SUBSCR", "STORE_ATTR", "DELETE_SUBSCR",
    "LOAD_BUILD_CLASS", "FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "DICT_UPDATE",
    "LIST_EXTEND", "SET_UPDATE", "DICT_MERGE", "BINARY_SLICE", "STORE_SLICE", "UNARY_NOT",
    "UNARY_NEGATIVE", "UNARY_INVERT", "BUILD_MAP", "BUILD_SET", "MAP_ADD", "SET_ADD",
)  # fmt: skip
"""Instructions that may run other code."""
_JUMPS: Final = frozenset(opcode.hasjrel) | frozenset(getattr(opcode, "hasjabs", ()))
_COMPREHENSIONS: Final = frozenset(["<listcomp>", "<setcomp>", "<dictcomp>"])
_ASYNC: Final = 0x80 | 0x100 | 0x200
_GENERATOR: Final = 0x20
_CLEANS_UP: Final = numbers("PUSH_EXC_INFO")
_MAX_CODES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one statement, or one function, can name.

    Attributes:
        loads: Globals that its own instructions read.
        inner_loads: Globals that nested code reads, whenever that may run.
        stores: Globals that it binds or deletes.
        settles: Those that it has certainly bound when it ends.
        words: Attributes and names of all kinds.
        imports: Modules that it imports.
        targets: Globals whose attributes it sets.
        makes_code: True when it makes functions or classes.
        makes_classes: True when it makes classes.
        codes: The ids of the code objects that were read.
        runs_inner: True when nested code may run before it ends.
        doubt: Why it may do anything; None when it may not.
        forever: Why later cells may do anything.
    """

    loads: frozenset[str]
    inner_loads: frozenset[str]
    stores: tuple[str, ...]
    settles: frozenset[str]
    words: frozenset[str]
    imports: frozenset[str]
    targets: frozenset[str]
    makes_code: bool
    makes_classes: bool
    codes: frozenset[int]
    runs_inner: bool
    doubt: str | None
    forever: str | None


def read(code: CodeType, *, is_module: bool) -> Reading:
    """Read a statement or a function, about 0.1 us an instruction.

    Args:
        code: What was compiled.
        is_module: True for a statement, whose names are globals.
    """
    reader = _Reader()
    reader.scan(code, is_module=is_module)
    own, reader.loads = reader.loads, set()
    if code.co_exceptiontable:
        reader.has_jumps = True
    settles = frozenset() if reader.has_jumps else frozenset(reader.stores) - reader.deleted
    runs_inner = reader.has_calls
    makes_code = False
    todo = [const for const in code.co_consts if type(const) is CodeType]
    count = 0
    while todo:
        count += 1
        if count > _MAX_CODES:
            reader.doubt = "has too much code"
            break
        nested = todo.pop()
        makes_code = makes_code or nested.co_name not in _COMPREHENSIONS
        reader.scan(nested, is_module=False)
        todo.extend(const for const in nested.co_consts if type(const) is CodeType)
    return Reading(
        loads=frozenset(own),
        inner_loads=frozenset(reader.loads),
        stores=tuple(reader.stores),
        settles=settles,
        words=frozenset(reader.words),
        imports=frozenset(reader.imports),
        targets=frozenset(reader.targets),
        makes_code=makes_code,
        makes_classes=reader.makes_classes,
        codes=frozenset(reader.codes),
        runs_inner=runs_inner,
        doubt=reader.doubt,
        forever=reader.forever,
    )


class _Reader:
    """Gathers names over nested code."""

    def __init__(self) -> None:
        self.codes: set[int] = set()
        self.loads: set[str] = set()
        self.stores: list[str] = []
        self.deleted: set[str] = set()
        self.words: set[str] = set()
        self.imports: set[str] = set()
        self.targets: set[str] = set()
        self.has_jumps = False
        self.has_calls = False
        self.makes_classes = False
        self.doubt: str | None = None
        self.forever: str | None = None

    def scan(self, code: CodeType, *, is_module: bool) -> None:
        """Take in one code object, without those nested in it."""
        self.codes.add(id(code))
        self._note_words(code)
        if code.co_flags & _ASYNC:
            self.doubt = "is asynchronous"
        names = code.co_names
        before: tuple[int, int] = (0, 0)
        for op, arg in instructions(code):
            if op == _LOAD_GLOBAL:
                self.loads.add(names[arg >> 1])
            elif op in _LOADS:
                self.loads.add(names[arg])
            elif op in _BINDS:
                self._note_binding(op, names[arg], is_module=is_module)
            elif op in _SETS_ATTRIBUTE:
                self._note_target(names, before)
            elif op in _ATTRIBUTES:
                self._note_attribute(names[arg >> _ATTRIBUTES[op]], before)
            else:
                self._note_rest(op, arg, code)
            before = (op, arg)
            if op in _CALLS:
                self.has_calls = True

    def _note_binding(self, op: int, name: str, *, is_module: bool) -> None:
        # In nested code it is an attribute of a class, unless it is said to be global.
        if is_module or op in _GLOBAL_BINDS:
            self.stores.append(name)
            if op in _DELETES:
                self.deleted.add(name)

    def _note_rest(self, op: int, arg: int, code: CodeType) -> None:
        if op in _IMPORTS:
            self.imports.add(code.co_names[arg])
        elif op == _BUILDS_CLASS:
            self.makes_classes = True
        elif op in _JUMPS:
            self.has_jumps = True
        elif op in _CLEANS_UP and code.co_flags & _GENERATOR:
            self.forever = "a generator of the notebook cleans up when it ends"
        elif op in _DOUBTFUL:
            self.doubt = _DOUBTFUL[op]
        elif op == _INTRINSIC and arg == _IMPORT_STAR_INTRINSIC:
            self.doubt = "imports names that it does not show"

    def _note_target(self, names: tuple[str, ...], before: tuple[int, int]) -> None:
        op, arg = before
        if op == _LOAD_GLOBAL:
            self.targets.add(names[arg >> 1])
        elif op in _LOADS:
            self.targets.add(names[arg])
        else:
            self.doubt = "sets an attribute of something that has no name"

    def _note_attribute(self, name: str, before: tuple[int, int]) -> None:
        # A text with `{0.__globals__[x]}` reads anything; a constant one was looked at.
        if name in _FORMATS and before[0] != _LOAD_CONST:
            self.doubt = "formats by a text that is not in it"

    def _note_words(self, code: CodeType) -> None:
        words = self.words
        words.update(code.co_names)
        self._judge_word(code.co_name)
        for text in _texts(code.co_consts):
            if (why := strangeness(text)) is not None:
                self.doubt = why
            if text in FOREVER:
                self.forever = FOREVER[text]
        for word in code.co_names:
            self._judge_word(word)

    def _judge_word(self, word: str) -> None:
        if word in FOREVER:
            self.forever = FOREVER[word]
        is_inside = word.startswith(("_", "register")) and word not in HARMLESS_DUNDERS
        if is_inside or word in STRAYS:
            self.doubt = f"uses {word}"


def strangeness(text: str) -> str | None:
    """Why a text may lead a library to other code; None when it does not."""
    if "__" in text:
        return "has a text with two underscores"
    if "@" in text or text in STRAYS:
        return f"has the text {text[:60]!r}"
    return None


def instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    """Instruction and argument, without those that do nothing."""
    raw = code.co_code
    extended = 0
    for op, arg in zip(raw[::2], raw[1::2], strict=True):
        if op in _SKIPPED:
            continue
        if op == _EXTENDED:
            extended = (extended | arg) << 8
            continue
        yield op, extended | arg
        extended = 0


def _texts(consts: tuple[object, ...]) -> Iterator[str]:
    for const in consts:
        if type(const) is str:
            yield const
        elif type(const) is tuple or type(const) is frozenset:
            yield from _texts(tuple(const))
