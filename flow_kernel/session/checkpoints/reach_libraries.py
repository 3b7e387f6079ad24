"""Which modules, and which of their functions, do no more than their arguments say (pure).

Called by `reach`.
"""

import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach_types import Types, module_of, name_of
from flow_kernel.session.checkpoints.reach_words import (
    CONSTANTS_OF_MODULES,
    HARMLESS_BUILTINS,
    MODULES,
    STRAYS,
)

globals()["__builtins__"] = FROZEN_BUILTINS

PLACES: Final = (
    *{sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(__file__).parents[2]) + "/",
)
"""Where Python, libraries and this package lie."""
_HARMLESS: Final = {
    id(value)
    for name, value in FROZEN_BUILTINS.items()
    if name in HARMLESS_BUILTINS or (isinstance(value, type) and issubclass(value, BaseException))
}
_GENERATORS: Final = ("random.Random", "numpy.random.mtrand.RandomState")
_CYTHON: Final = "cython_function_or_method"
_OF_C: Final = ("numpy.ufunc", "numpy._ArrayFunctionDispatcher")


_dict_of: Final[Any] = type.__dict__["__dict__"].__get__
_flags_of: Final[Any] = type.__dict__["__flags__"].__get__
_OF_A_CLASS_STATEMENT: Final = 0x200


_OF_IPYTHON: Final = ("get_ipython", "exit", "quit", "input")
"""Builtins that are others while a kernel runs a cell; by name, none of them counts as harmless."""


def is_patched(builtins: Mapping[str, object]) -> bool:
    """True when a builtin is not the one that Python came with."""
    return any(
        builtins.get(name) is not value and name not in _OF_IPYTHON
        for name, value in FROZEN_BUILTINS.items()
    )


def is_harmless_builtin(value: object) -> bool:
    """True for builtins that do no more than they are given."""
    return id(value) in _HARMLESS


def is_known_module(module: ModuleType) -> bool:
    """True for a module of the known packages that lies where libraries lie."""
    own = vars(module)
    name = own.get("__name__")
    if type(name) is not str or name.partition(".")[0] not in MODULES:
        return False
    if sys.modules.get(name) is not module:
        return False
    path = own.get("__file__")
    if path is None:
        return name in sys.builtin_module_names
    return type(path) is str and path.startswith(PLACES)


def is_known_import(name: str) -> bool:
    """True for a module of a known package or of Python, that a library loads when it needs it."""
    module = sys.modules.get(name)
    if type(module) is not ModuleType:
        return False
    if name.partition(".")[0].lstrip("_") in MODULES:
        return is_known_module(module)
    path = vars(module).get("__file__", "")
    is_there = type(path) is str and path.startswith(PLACES)
    return name.partition(".")[0] in sys.stdlib_module_names and is_there


def reason_against(
    modules: Iterable[ModuleType], words: frozenset[str], types: Types
) -> str | None:
    """Why code that uses these modules may do anything.

    Each word is looked up in each module, and in the modules that this finds.

    Args:
        modules: That the code names.
        words: Attributes that it uses, on whatever.
        types: What is known.
    """
    todo = list(modules)
    seen: set[int] = set()
    while todo:
        module = todo.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if not is_known_module(module):
            return f"uses module {str(vars(module).get('__name__'))[:60]}"
        own = vars(module)
        for word in words & own.keys():
            value = own[word]
            if type(value) is ModuleType:
                todo.append(value)
            elif not is_known_callable(value) and not _is_constant(word, value, types):
                return f"uses {word} of {str(own['__name__'])[:60]}"
    return None


def is_known_callable(value: Any) -> bool:
    """True for functions and classes of known packages."""
    kind = type(value)
    if kind is FunctionType:
        return _is_known_function(value)
    if kind is MethodType:  # of the generators that `random` and `numpy.random` keep
        return _is_global_generator(type(value.__self__))
    if issubclass(kind, type):
        return _is_known_class(value)
    if kind is BuiltinFunctionType:
        return _is_known_builtin(value)
    return _is_known_function_of_c(kind, value)


def _is_known_function_of_c(kind: type, value: object) -> bool:
    name = name_of(kind)
    # A class statement cannot make `__module__` a member.
    home = _dict_of(kind).get("__module__")
    is_cython = name == _CYTHON and type(home) is MemberDescriptorType
    if not is_cython and (
        f"{module_of(kind)}.{name}" not in _OF_C or _flags_of(kind) & _OF_A_CLASS_STATEMENT
    ):
        return False
    word = getattr(value, "__name__", None)
    # A ufunc that `frompyfunc` made of a function says so in its name.
    return type(word) is str and word not in STRAYS and " (" not in word


def _is_known_function(function: FunctionType) -> bool:
    around = function.__globals__
    name = around.get("__name__")
    module = sys.modules.get(name) if type(name) is str else None
    return (
        type(module) is ModuleType
        and vars(module) is around
        # What a library made of a function of the notebook is in no namespace of its own.
        and (function.__closure__ is None or around.get(function.__name__) is function)
        and is_known_module(module)
        and function.__name__ not in STRAYS
        and not function.__name__.startswith("register")
        and function.__code__.co_filename.startswith(PLACES)
    )


def _is_global_generator(kind: type) -> bool:
    return f"{module_of(kind)}.{name_of(kind)}" in _GENERATORS


def _is_known_class(kind: type) -> bool:
    if is_harmless_builtin(kind):
        return True
    name = module_of(kind)
    if name.partition(".")[0] not in MODULES:
        return False
    module = sys.modules.get(name)
    own = vars(module) if type(module) is ModuleType else {}
    return own.get(name_of(kind)) is kind and name_of(kind) not in STRAYS


def _is_known_builtin(function: Any) -> bool:
    if is_harmless_builtin(function):
        return True
    owner = function.__self__
    if type(owner) is ModuleType:
        name = vars(owner).get("__name__")
        return (
            type(name) is str
            and name.partition(".")[0].lstrip("_") in MODULES
            and function.__name__ not in STRAYS
        )
    kind = type(owner)
    return (
        owner is None
        or kind.__module__ in ("random", "numpy.random.mtrand")
        or (issubclass(kind, type) and _is_known_class(owner))
    )


def _is_constant(word: str, value: object, types: Types) -> bool:
    return id(type(value)) in types.scalar_ids or word in CONSTANTS_OF_MODULES
