"""Which cells only look at what they name: `df['price'].mean()`, `print(len(rows))` (pure).

Called by `reach`, for a cell of which everything else is known: known code ran, on values of known
types. Such a cell changes nothing when it binds no name, sets no item and no attribute, and calls
nothing but functions and methods that never change what they are given.

The lists err on the side of doubt: what is missing here costs a capture of what the cell names.
"""

import opcode
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach_code import instructions, numbers
from flow_kernel.session.checkpoints.reach_reading_words import (
    MANY,
    READING_BUILTINS,
    READING_WORDS,
    WRITING_ARGUMENTS,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_OPS: Final = opcode.opmap


_KNOWN_NAMES: Final = """
    PUSH_NULL POP_TOP COPY SWAP RETURN_VALUE RETURN_CONST PRINT_EXPR LOAD_CONST LOAD_SMALL_INT
    LOAD_COMMON_CONSTANT LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST
    LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW STORE_FAST STORE_FAST_STORE_FAST
    STORE_FAST_LOAD_FAST LOAD_DEREF LOAD_CLOSURE COPY_FREE_VARS MAKE_CELL PRECALL KW_NAMES
    BINARY_OP BINARY_SUBSCR BINARY_SLICE COMPARE_OP IS_OP CONTAINS_OP UNARY_NOT UNARY_NEGATIVE
    UNARY_POSITIVE UNARY_INVERT TO_BOOL BUILD_TUPLE BUILD_LIST BUILD_SET BUILD_MAP
    BUILD_CONST_KEY_MAP BUILD_STRING BUILD_SLICE LIST_APPEND SET_ADD MAP_ADD LIST_EXTEND
    SET_UPDATE DICT_UPDATE LIST_TO_TUPLE FORMAT_VALUE FORMAT_SIMPLE FORMAT_WITH_SPEC
    CONVERT_VALUE GET_ITER FOR_ITER END_FOR POP_ITER UNPACK_SEQUENCE RETURN_GENERATOR
    YIELD_VALUE RERAISE JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT POP_JUMP_IF_TRUE
    POP_JUMP_IF_FALSE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_FORWARD_IF_TRUE
    POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE
    POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE
    POP_JUMP_BACKWARD_IF_NOT_NONE JUMP_IF_TRUE_OR_POP JUMP_IF_FALSE_OR_POP MAKE_FUNCTION
    SET_FUNCTION_ATTRIBUTE CALL_INTRINSIC_1
"""
_KNOWN: Final = numbers(*_KNOWN_NAMES.split())
"""Instructions that change nothing but the stack, locals of their own code, and containers that
were made by the instruction before."""
_LOAD_ATTR: Final = _OPS["LOAD_ATTR"]
_LOADS: Final = numbers("LOAD_NAME", "LOAD_GLOBAL")
_ATTRIBUTES: Final = numbers("LOAD_ATTR", "LOAD_METHOD")
_CALLS: Final = numbers("CALL", "CALL_KW")
_KW_NAMES: Final = _OPS.get("KW_NAMES", -1)
_CALL_KW: Final = _OPS.get("CALL_KW", -1)
_LOAD_CONST: Final = _OPS["LOAD_CONST"]
_HAS_FLAG: Final = numbers("LOAD_GLOBAL", *(["LOAD_ATTR"] if sys.version_info >= (3, 12) else []))
"""Whose lowest bit is no part of the name."""
_BINARY_OP: Final = _OPS["BINARY_OP"]
_IN_PLACE: Final = range(13, 26)
"""`+=` and its like. Source: CPython `Include/opcode.h`, NB_INPLACE_ADD and after it."""
_MAPS_ONE: Final = 2
"""`map` with more than a function and one thing calls it with several arguments."""
_MAX_CODES: Final = 50


@dataclass(slots=True)
class Reads:
    """What code that only looks has used.

    Attributes:
        names: Globals that it reads.
        words: Attributes that it asks for.
        parts: Global and attribute, for those that are asked of a global and may be a column.
        most_given: The most arguments by position in one call, without `self`.
    """

    names: set[str]
    words: set[str]
    parts: set[tuple[str, str]]
    most_given: int = 0


def reads_of(codes: Iterable[CodeType]) -> Reads | None:
    """What statements use; None when they do more than look.

    Args:
        codes: Of one cell; the code nested in them is looked at as well.
    """
    found = Reads(set(), set(), set())
    todo = list(codes)
    count = 0
    while todo:
        count += 1
        code = todo.pop()
        if count > _MAX_CODES or not _takes_in(code, found):
            return None
        todo += (const for const in code.co_consts if type(const) is CodeType)
    return found


def only_look(reads: Reads, functions: Iterable[Any], builtins: Iterable[str]) -> bool:
    """True when all that is called changes nothing of what it is given.

    Args:
        reads: Of a cell.
        functions: Values of those of its names that stand for functions and classes.
        builtins: Those of its names that are builtins.
    """
    names = set(builtins)
    if not names <= READING_BUILTINS or ("map" in names and reads.most_given > _MAPS_ONE):
        return False
    words = set(reads.words)
    for function in functions:  # by the name that it was given by its library
        word = getattr(function, "__name__", None)
        if type(word) is not str:
            return False
        words.add(word)
    return all(reads.most_given < READING_WORDS.get(word, 0) for word in words)


def _takes_in(code: CodeType, found: Reads) -> bool:
    """False when an instruction does more than look."""
    if any(map(_is_writing, code.co_consts)):
        return False
    by_name = 0
    before: tuple[int, int] = (0, 0)
    for op, arg in instructions(code):
        if op in _LOADS:
            found.names.add(_name(code, op, arg))
        elif op in _ATTRIBUTES:
            _note_attribute(code, (op, arg), before, found)
        elif op in _CALLS:
            if op == _CALL_KW:
                by_name = _count_of(code, before)
            found.most_given = max(found.most_given, arg - by_name)
            by_name = 0
        elif op == _KW_NAMES:
            by_name = _count_of(code, (_LOAD_CONST, arg))
        elif op not in _KNOWN or (op == _BINARY_OP and arg in _IN_PLACE):
            return False
        before = (op, arg)
    return True


def _name(code: CodeType, op: int, arg: int) -> str:
    return code.co_names[arg >> 1 if op in _HAS_FLAG else arg]


def _is_called(load: tuple[int, int]) -> bool:
    """True for an attribute that is asked for to be called at once."""
    op, arg = load
    return op != _LOAD_ATTR or bool(op in _HAS_FLAG and arg & 1)


def _note_attribute(
    code: CodeType, load: tuple[int, int], before: tuple[int, int], found: Reads
) -> None:
    word = _name(code, *load)
    if load[0] == _LOAD_ATTR and before[0] in _LOADS and word not in READING_WORDS:
        found.parts.add((_name(code, *before), word))
    else:
        found.words.add(word)
        if not _is_called(load) and READING_WORDS.get(word, MANY) < MANY:
            found.most_given = MANY  # who calls it is not seen, nor what with


def _count_of(code: CodeType, load: tuple[int, int]) -> int:
    """How many arguments are given by name; none where that is not seen, which is no harm."""
    op, arg = load
    names = code.co_consts[arg] if op == _LOAD_CONST else ()
    return len(names) if type(names) is tuple else 0


def _is_writing(const: object) -> bool:
    """True when it names an argument by which a function is told to change what it is given."""
    if type(const) is str:
        return const in WRITING_ARGUMENTS
    return type(const) is tuple and any(map(_is_writing, const))
