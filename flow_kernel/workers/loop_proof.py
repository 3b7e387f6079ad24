"""Whether a loop of Python code goes round for ever: one pass of it is followed, on paper (pure).

Called by `shell.worker.sampler` with the frame of the cell.

A loop that only reads and computes with values that cannot change is a machine without memory but
its variables. Once a pass ends where it began, with the variables that it began with, the next one
does the same: that is a proof. It says nothing of code that calls, iterates, looks into objects or
waits for a signal; whoever uses it has to know that no other thread changes a variable meanwhile.

The pass is followed in copies of the values. Nothing of the user's runs: values of exactly the
types below take part, and operations whose cost has no bound do not.
"""

import dis
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from types import CodeType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MOST_BITS: Final = 4096
_MOST_CHARS: Final = 256
_MOST_STEPS: Final = 400
"""More than any loop that a person waits for by mistake; about 0.4 ms."""
_MOST_BYTES: Final = 50_000
"""A thousand lines; to read them takes 10 ms."""
_BINARY: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "/": operator.truediv,
    "%": operator.mod,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNARY: Final[Mapping[str, Callable[[Any], Any]]] = {
    "UNARY_NOT": operator.not_,
    "UNARY_NEGATIVE": operator.neg,
    "UNARY_POSITIVE": operator.pos,
    "UNARY_INVERT": operator.invert,
    "TO_BOOL": bool,
}
_NOTHING: Final = frozenset(("NOP", "RESUME", "CACHE", "EXTENDED_ARG", "PRECALL", "NOT_TAKEN"))
_OF_FRAME: Final = frozenset(
    ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF"),
)
_LOADS: Final = frozenset((*_OF_FRAME, "LOAD_NAME", "LOAD_GLOBAL"))
_STORES: Final = frozenset(("STORE_FAST", "STORE_NAME", "STORE_GLOBAL"))
_ADVANCES: Final = (
    *("CALL", "FOR_ITER", "SEND", "YIELD", "GET_", "STORE", "DELETE", "BEFORE_", "LIST_EXTEND"),
    *("SET_UPDATE", "UNPACK_", "CONTAINS_OP"),
)
"""Any of these may take the next of an iterator, or call."""


def _names_of_function() -> object:
    return sys._getframe().f_locals


_PLACES: Final = (dict, type(_names_of_function()))
"""What holds the names of a function is no dict from Python 3.13 on."""


Steps = Mapping[int, dis.Instruction]
"""Instructions by their offset."""


class Verdict(Enum):
    """What can be said of a loop."""

    ENDLESS = "endless"
    """It repeats itself."""
    WAITS = "waits"
    """It only looks at things that somebody else may change."""
    OPEN = "open"
    """Nothing can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Where the code of a frame finds names.

    Attributes:
        near: Of the frame.
        wide: Of its module.
        built_in: Of Python.
    """

    near: Mapping[str, Any]
    wide: Mapping[str, Any]
    built_in: Mapping[str, Any]


class _GivesUpError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Opaque:
    """A value of which no more is known than which it is."""

    identity: int


@dataclass(slots=True)
class _Pass:
    names: Names
    own: dict[str, Any] = field(default_factory=dict)
    wide: dict[str, Any] = field(default_factory=dict)
    stack: list[Any] = field(default_factory=list)

    def load(self, op: str, name: str) -> None:
        if op != "LOAD_GLOBAL" and name in self.own:
            self.stack.append(self.own[name])
            return
        if name in self.wide:
            self.stack.append(self.wide[name])
            return
        names = self.names
        places = [] if op == "LOAD_GLOBAL" else [names.near]
        places += [] if op in _OF_FRAME else [names.wide, names.built_in]
        for place in places:
            if type(place) not in _PLACES:  # any other may find what it has not
                break
            if name in place:
                self.stack.append(_known(place[name]))
                return
        raise _GivesUpError

    def store(self, op: str, name: str) -> None:
        (self.wide if op == "STORE_GLOBAL" else self.own)[name] = self.stack.pop()

    def pop_plain(self) -> Any:
        value = self.stack.pop()
        if type(value) is _Opaque:
            raise _GivesUpError
        return value

    def state(self) -> tuple[Any, ...]:
        typed = [
            (name, type(value).__name__, repr(value))
            for place in (self.own, self.wide)
            for name, value in sorted(place.items())
        ]
        return (*typed, len(self.stack))


def parse(code: CodeType) -> Steps:
    """The instructions of `code`; none of code that is too long to think about."""
    if len(code.co_code) > _MOST_BYTES:
        return {}
    return {step.offset: step for step in dis.get_instructions(code)}


def is_at_loop(steps: Steps, offset: int) -> bool:
    """True where code that stands at `offset` goes back: only there can anything be said."""
    found = steps.get(offset)
    return found is not None and _is_back(found)


def judge(steps: Steps, offset: int, names: Names) -> Verdict:
    """What can be said of the loop that code is in at `offset`.

    Args:
        steps: Of the code of the frame.
        offset: Of the instruction that it stands at.
        names: Where it finds names.
    """
    found = steps.get(offset)
    if found is None or not _is_back(found):
        return Verdict.OPEN
    try:
        # Python lets another thread look after it has jumped.
        if _repeats(steps, found.argval, names):
            return Verdict.ENDLESS
    except (_GivesUpError, IndexError, ArithmeticError, TypeError, ValueError, KeyError):
        return Verdict.WAITS if _only_looks(steps, offset) else Verdict.OPEN
    return Verdict.OPEN


def _known(value: Any) -> Any:
    kind = type(value)
    if kind in (float, bool, type(None)):
        return value
    if kind is int and value.bit_length() <= _MOST_BITS:
        return value
    if kind in (str, bytes) and len(value) <= _MOST_CHARS:
        return value
    return _Opaque(id(value))


def _repeats(steps: Steps, offset: int, names: Names) -> bool:
    """True once a pass brings nothing new; False where it leaves, or takes too long to tell."""
    order = sorted(steps)
    after = dict(pairwise(order))
    at, seen, now = offset, set[tuple[Any, ...]](), _Pass(names)
    for _ in range(_MOST_STEPS):
        if at == offset:
            # Names that were not written keep the value that they had all along.
            state = now.state()
            if state in seen:
                return True
            seen.add(state)
        target = _follow(steps[at], now)
        at = after[at] if target is None else target
    return False


def _follow(step: Any, now: _Pass) -> int | None:
    """Do one instruction; where it jumps to, if it does."""
    op = step.opname
    if op in _NOTHING:
        return None
    if op in _LOADS and not (op == "LOAD_GLOBAL" and "NULL" in step.argrepr):
        now.load(op, step.argval)
    elif op in _STORES:
        now.store(op, step.argval)
    elif op in _UNARY:
        now.stack.append(_bounded(_UNARY[op](now.pop_plain())))
    elif op in ("BINARY_OP", "COMPARE_OP", "IS_OP"):
        now.stack.append(_of_two(step, now))
    elif not _has_moved(step, now.stack):
        return _jump(step, now)
    return None


def _of_two(step: Any, now: _Pass) -> Any:
    if step.opname == "IS_OP":
        right, left = now.stack.pop(), now.stack.pop()
        return _is_same(left, right) is not bool(step.arg)
    right, left = now.pop_plain(), now.pop_plain()
    if step.opname == "COMPARE_OP":
        return _COMPARE[step.argval](left, right)
    sign = step.argrepr.removesuffix("=")
    if sign not in _BINARY or not (_is_number(left) and _is_number(right)):
        raise _GivesUpError
    return _bounded(_BINARY[sign](left, right))


def _has_moved(step: Any, stack: list[Any]) -> bool:
    """Constants, and values that change places; False where it is something else."""
    match step.opname:
        case "LOAD_CONST":
            stack.append(_known(step.argval))
        case "POP_TOP":
            stack.pop()
        case "COPY":
            stack.append(stack[-step.arg])
        case "SWAP":
            stack[-1], stack[-step.arg] = stack[-step.arg], stack[-1]
        case _:
            return False
    return True


def _jump(step: Any, now: _Pass) -> int | None:
    op: str = step.opname
    target: int = step.argval
    if op.startswith("JUMP_") and "IF" not in op:
        return target
    if not op.startswith("POP_JUMP"):
        raise _GivesUpError
    if op.endswith("NOT_NONE"):
        return target if now.stack.pop() is not None else None
    if op.endswith("NONE"):
        return target if now.stack.pop() is None else None
    is_wanted = op.endswith("TRUE")
    return target if bool(now.pop_plain()) is is_wanted else None


def _is_same(left: Any, right: Any) -> bool:
    """Whether both are one object, where that is known of copies."""
    if type(left) is _Opaque or type(right) is _Opaque:
        return type(left) is type(right) and left == right
    single = (bool, type(None))
    if type(left) in single or type(right) in single:
        return left is right
    raise _GivesUpError


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


def _bounded(value: Any) -> Any:
    found = _known(value)
    if type(found) is _Opaque:
        raise _GivesUpError
    return found


def _is_back(step: Any) -> bool:
    return "JUMP" in step.opname and type(step.argval) is int and step.argval <= step.offset


def _only_looks(steps: Steps, offset: int) -> bool:
    """True for a loop that neither calls nor iterates, as far out as it is nested."""
    loops = [(step.argval, step.offset) for step in steps.values() if _is_back(step)]
    around = [(begin, end) for begin, end in loops if begin <= offset <= end]
    begin, end = min(a for a, _ in around), max(b for _, b in around)
    return not any(
        step.opname.startswith(_ADVANCES) for at, step in steps.items() if begin <= at <= end
    )
