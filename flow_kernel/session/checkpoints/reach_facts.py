"""What a save can say of the variables for the cells that come after it (pure).

Called by the writer of a save, in a forked child, where time is nobody's.

A value is known when all of it is of known types, and when none of it belongs to a library: a
variable that is the list or the dict of a library changes without being named.
"""

import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from flow_kernel.session.checkpoints.reach_libraries import is_known_callable, is_known_module
from flow_kernel.session.checkpoints.reach_types import Types
from flow_kernel.session.checkpoints.reach_walk import Status, walk
from flow_kernel.session.checkpoints.reach_words import MODULES

_CONTAINERS: Final = (dict, list, set, tuple, frozenset)
_CHANGING: Final = (dict, list, set)
_DEEPEST: Final = 6


def statuses(
    values: Mapping[str, object], types: Types, namespace: dict[str, Any]
) -> dict[str, Status]:
    """What is known of each variable. Runs no code of its classes.

    Args:
        values: Variables by name.
        types: What is known.
        namespace: Of the notebook.
    """
    of_libraries = set(_state_of_libraries())
    found: dict[str, Status] = {}
    for name, value in values.items():
        if type(value) is ModuleType:
            found[name] = Status.PLAIN if is_known_module(value) else Status.WILD
        elif is_known_callable(value):
            found[name] = Status.PLAIN
        else:
            walked = walk(value, types, namespace, budget=None)
            is_shared = not of_libraries.isdisjoint(walked.seen)
            found[name] = Status.WILD if is_shared else walked.status
    return found


def foreign_code(namespace: dict[str, Any]) -> str | None:
    """Where a known library holds code of the notebook; None when it holds none.

    Looks at the modules of the known packages, their classes, and the containers and objects that
    these hold.
    """
    for path, value in _parts():
        if _is_of_notebook(value, namespace):
            return f"{path} holds code of the notebook"
    return None


def _is_of_notebook(value: Any, namespace: dict[str, Any]) -> bool:
    kind = type(value)
    if kind is MethodType:
        return _is_of_notebook(value.__func__, namespace) or _is_of_notebook(
            value.__self__, namespace
        )
    if kind is FunctionType:
        return value.__globals__ is namespace or _is_cell_file(value.__code__.co_filename)
    if kind in (staticmethod, classmethod):
        return _is_of_notebook(value.__func__, namespace)
    if kind is property:
        return any(_is_of_notebook(one, namespace) for one in (value.fget, value.fset, value.fdel))
    return _module_of(value if issubclass(kind, type) else kind) == "__main__"


def _is_cell_file(filename: str) -> bool:
    return filename.startswith("<ipython-input") or "/ipykernel_" in filename


def _module_of(kind: type) -> object:
    """Without asking the metaclass."""
    name: object = type.__dict__["__module__"].__get__(kind)
    return name


def _modules() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if type(module) is ModuleType and name.partition(".")[0].lstrip("_") in MODULES
    ]


def _parts() -> Iterator[tuple[str, object]]:
    """What the known packages consist of, each object once."""
    seen: set[int] = set()
    todo: list[tuple[str, object, int]] = [
        (f"{name}.{word}", value, 0)
        for name, module in _modules()
        for word, value in list(vars(module).items())
    ]
    while todo:
        path, value, depth = todo.pop()
        if id(value) in seen or type(value) in (str, int, float, type(None), ModuleType, bool):
            continue
        seen.add(id(value))
        yield path, value
        if depth < _DEEPEST:
            todo += [(path, inner, depth + 1) for inner in _inside(value)]


def _inside(value: Any) -> list[object]:
    kind = type(value)
    if issubclass(kind, type):
        return list(vars(value).values()) if _is_of_known_package(value) else []
    if kind is FunctionType:
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [*cells, *(value.__defaults__ or ()), *value.__dict__.values()]
    if issubclass(kind, dict):
        if value.get("__name__") in sys.modules:
            return []  # the namespace of a module
        return list(chain(dict.keys(value), dict.values(value)))
    for plain in (list, set, tuple, frozenset):
        if issubclass(kind, plain):
            return list(plain.__iter__(value))
    own = _own(value) if _is_of_known_package(kind) else None
    return list(own.values()) if type(own) is dict else []


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _own(value: object) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


def _is_of_known_package(kind: type) -> bool:
    name = _module_of(kind)
    return type(name) is str and name.partition(".")[0].lstrip("_") in MODULES


def _state_of_libraries() -> Iterator[int]:
    """The ids of what may change in the containers of all modules, and in what these contain."""
    level: list[Any] = []
    for module in list(sys.modules.values()):
        if type(module) is ModuleType and vars(module).get("__name__") != "__main__":
            level += list(vars(module).values())
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind in _CHANGING or (kind.__name__ == "ndarray" and kind.__module__ == "numpy"):
                yield id(value)
            if kind is dict:
                below += [*value.keys(), *value.values()]
            elif kind in _CONTAINERS:
                below += value
        level = below
