"""What stands in the place of a value that a checkpoint could not hold.

Made by `session.checkpoints.rollback`; `rebuilding` adds how the value is made again.
"""

import pickle
from typing import Any, NoReturn, SupportsIndex

from flow_kernel.errors import FlowError


class NotRestored(FlowError, RuntimeError):
    """A variable was touched that its checkpoint could not hold."""


class Tombstone:
    """Says what was here at any touch; only its text can be had.

    Args:
        name: Of the variable.
        text: What it was, why it is not there, and which cell made it.
    """

    __slots__ = ("_flow_text",)

    def __init__(self, name: str, text: str) -> None:
        object.__setattr__(self, "_flow_text", f"{name} was not restored: {text}")

    def __repr__(self) -> str:
        return f"<{object.__getattribute__(self, '_flow_text')}>"

    def __getattr__(self, name: str) -> NoReturn:
        raise NotRestored(object.__getattribute__(self, "_flow_text"))

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> str | tuple[Any, ...]:
        # A checkpoint says as its own reason what pickle says.
        raise pickle.PicklingError(object.__getattribute__(self, "_flow_text"))

    def __hash__(self) -> int:
        return object.__hash__(self)


def explain(value: Tombstone, text: str) -> None:
    """Add to what a tombstone says."""
    said = object.__getattribute__(value, "_flow_text")
    object.__setattr__(value, "_flow_text", f"{said}; {text}")


def _touch(self: Any, *_: Any, **__: Any) -> NoReturn:
    raise NotRestored(object.__getattribute__(self, "_flow_text"))


_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or",
               "xor", "lshift", "rshift")  # fmt: skip
_OTHER = (
    *("call", "len", "iter", "next", "reversed", "getitem", "setitem", "delitem", "contains"),
    *("bool", "enter", "exit", "aenter", "aexit", "aiter", "anext", "await", "setattr", "delattr"),
    *("lt", "gt", "le", "ge", "eq", "ne", "int", "float", "complex", "index", "bytes", "neg"),
    *("pos", "abs", "invert"),
)
for _name in (*_OTHER, *_ARITHMETIC, *(f"r{name}" for name in _ARITHMETIC)):
    setattr(Tombstone, f"__{_name}__", _touch)
