"""Which classes and functions another process finds by their names.

Called by the pickler of `saving` and by `saving` itself.

What is found is referred to; everything else of Python's making is kept by value. Names of the
notebook find nothing that lasts: another cell may have bound them by the time they are looked up.
"""

import importlib
import sys
import types
from typing import Any

from flow_kernel.records import class_parts
from flow_kernel.records.class_parts import MAIN, is_made_in_c


def is_found(value: Any) -> bool:
    """True for a class or function that its module has under its name."""
    return class_parts.is_found(value, lambda module: sys.modules.get(module) or _imported(module))


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception:  # noqa: BLE001 - code of any package may raise anything
        return None


def is_by_value(value: object) -> bool:
    """True for a class or function that is kept as what it consists of.

    A class of a library that no import finds is one of these when it was made for its user alone.
    """
    if isinstance(value, type):
        return _is_of_its_user(value) and not is_found(value) and not is_made_in_c(value)
    return isinstance(value, types.FunctionType) and not is_found(value)


def _is_of_its_user(kind: type) -> bool:
    is_local = "<locals>" in kind.__qualname__ or kind.__module__ in (MAIN, "types")
    return is_local or issubclass(kind, tuple)  # named tuples and their like


def alone(name: str) -> str:
    """A name as a string of its own, so that what is written does not depend on who else has it.

    Python keeps one object for names in code and for single characters, and makes others anew:
    whether a name and a string of the user are one object is chance, and pickle writes one object
    once. `called` gives the name back.
    """
    return f":{name}"


def called(text: str) -> str:
    """The name in what `alone` made."""
    return sys.intern(text[1:])


def alias(kind: type) -> str | None:
    """The name in `types` of a built-in class whose own name leads nowhere."""
    names = (name for name in types.__all__ if getattr(types, name) is kind)
    return next(names, None)
