"""What stands in the place of a value that a checkpoint could not hold.

Made by `session.checkpoints.rollback`.
"""

from typing import Any, NoReturn

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


def _touch(self: Any, *_: Any, **__: Any) -> NoReturn:
    raise NotRestored(object.__getattribute__(self, "_flow_text"))


for _name in (
    "__call__",
    "__len__",
    "__iter__",
    "__next__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__bool__",
    "__enter__",
    "__exit__",
    "__setattr__",
    "__add__",
    "__sub__",
    "__mul__",
    "__truediv__",
    "__lt__",
    "__gt__",
    "__le__",
    "__ge__",
    "__int__",
    "__float__",
    "__index__",
    "__reduce_ex__",
):
    setattr(Tombstone, _name, _touch)
