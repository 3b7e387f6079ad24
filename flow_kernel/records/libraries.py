"""What is known of numpy and of other libraries' classes, without importing any of them (pure).

Called by `summaries_libraries`, `samples_libraries` and `pandas_reader`, inside a user's cell.

A library is looked at only when the user imported it. Its attributes are read through descriptors
that C code made, which is checked here once, so a class that a user put in a library's place is
never entered.
"""

import sys
import types
from collections.abc import Callable
from itertools import repeat
from operator import is_
from typing import Any, Final, Generic, TypeVar

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import (
    class_dict,
    is_class,
    is_static,
    module_dict,
    mro_of,
)

globals()["__builtins__"] = FROZEN_BUILTINS

Function = TypeVar("Function")
_modules: Final = sys.modules
_ModuleType: Final = types.ModuleType
_C_DESCRIPTORS: Final = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
)
_NATIVE: Final = "<|=" if sys.byteorder == "little" else ">|="
_DTYPE_NAMES: Final = {
    "b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64", "O": "object",
    "f2": "float16", "f4": "float32", "f8": "float64", "f16": "float128",
    "c8": "complex64", "c16": "complex128", "c32": "complex256",
}  # fmt: skip
_MAX_VIEWS: Final = 4


class UnfamiliarError(LookupError):
    """A library is not loaded, or does not look like the versions that are known."""


class TypeTable(Generic[Function]):
    """Functions by exact type; the classes of a library join when the user has imported it.

    Args:
        known: Functions by the id of a type that lives as long as the process; hashing the class
            itself might run its metaclass's code.
        makers: By the name of a module, what makes functions by type once it is imported. A maker
            that fails (half imported, another version) is tried again after the next import.
    """

    __slots__ = ("_kept", "_makers", "_seen", "known")

    def __init__(
        self,
        known: dict[int, Function],
        makers: dict[str, Callable[[], dict[type, Function]]],
    ) -> None:
        self.known: dict[int, Function] = known
        self._makers = dict(makers)
        self._kept: list[type] = []  # while a class lives, its id is not reused
        self._seen = 0

    def learn(self, kind: type) -> Function | None:
        """The function for `kind`, after a look at what was imported since the last call."""
        count = len(_modules)
        if count == self._seen:
            return None
        self._seen = count
        for library in [name for name in self._makers if name in _modules]:
            try:
                made = self._makers[library]()
            except Exception:  # noqa: BLE001, S112  # whatever another version of a library raises
                continue
            for known, function in made.items():
                self.known[id(known)] = function
                self._kept.append(known)
            self._makers.pop(library, None)  # another thread may have done the same
        return self.known.get(id(kind))


def loaded(name: str) -> dict[str, object]:
    """The namespace of the module `name`.

    Raises:
        UnfamiliarError: It is not imported, or something else than a module stands in its place.
    """
    module = _modules.get(name)
    if type(module) is not _ModuleType:
        raise UnfamiliarError(name)
    return module_dict(module)


def class_in(module: str, name: str) -> type:
    """The class that `module` itself defines under `name`; its metaclass may be any.

    Raises:
        UnfamiliarError: There is none, or the user put another one there.
    """
    found = loaded(module).get(name)
    if not is_class(type(found)):
        raise UnfamiliarError(name)
    kind: type = found  # type: ignore[assignment]  # its class is a metaclass
    defined = class_dict(kind).get("__module__")
    if not is_static(kind) and not _is_top_level(defined, module):
        raise UnfamiliarError(name)
    return kind


def getter(kind: type, name: str) -> Callable[[object], Any]:
    """What reads attribute `name` of an instance of `kind`, made by C code.

    Raises:
        UnfamiliarError: No class that `kind` inherits from has such a descriptor.
    """
    for base in mro_of(kind):
        found = class_dict(base).get(name)
        if any(map(is_, _C_DESCRIPTORS, repeat(type(found)))):
            return found.__get__  # type: ignore[attr-defined,no-any-return]  # a descriptor
    raise UnfamiliarError(name)


def ndarray_type() -> type:
    """The class `numpy.ndarray`.

    Raises:
        UnfamiliarError: numpy is not imported.
    """
    kind = class_in("numpy", "ndarray")
    if not is_static(kind):
        raise UnfamiliarError("ndarray")
    return kind


def dtype_text(dtype: Any) -> str:
    """The name of a numpy dtype as `str` gives it, without the Python code that `str` runs."""
    code: str = dtype.str
    if dtype.names is not None:
        return f"record({len(dtype.names)})"
    native = code[0] in _NATIVE
    if code[1] in "Mm":
        unit = code[code.find("[") :] if "[" in code else ""
        return ("datetime64" if code[1] == "M" else "timedelta64") + unit
    return _DTYPE_NAMES.get(code[1:], code) if native else code


def owns_memory(array: Any, ndarray: type) -> bool:
    """True when numpy or bytes hold the elements of `array`.

    Elements of a mapped file are never read: the page may lie on a slow disk, or be gone, which
    ends the process with SIGBUS.
    """
    for _ in range(_MAX_VIEWS):
        base = array.base
        if base is None or type(base) is bytes or type(base) is bytearray:
            return True
        if type(base) is not ndarray:
            return False
        array = base
    return False


def _is_top_level(defined: object, module: str) -> bool:
    """True when a class says that it comes from the library that `module` belongs to."""
    return type(defined) is str and defined.partition(".")[0] == module.partition(".")[0]
