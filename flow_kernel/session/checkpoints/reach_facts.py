"""What a save can say of the variables for the cells that come after it (pure).

Called by the writer of a save, in a forked child, where time is nobody's.

A value is known when all of it is of known types, and when none of it belongs to a library: a
variable that is the list or the dict of a library changes without being named.
"""

import copyreg
import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from types import BuiltinFunctionType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any, Final

from flow_kernel.session.checkpoints.by_name import is_found
from flow_kernel.session.checkpoints.reach_libraries import (
    PLACES,
    is_known_callable,
    is_known_module,
)
from flow_kernel.session.checkpoints.reach_types import Types, module_of
from flow_kernel.session.checkpoints.reach_walk import Status, Walk, is_loose, walk
from flow_kernel.session.checkpoints.reach_words import MODULES
from flow_kernel.session.checkpoints.saving import Landmarks, Saved

_CONTAINERS: Final = (dict, list, set, tuple, frozenset)
_CHANGED: Final = (list, dict, set, deque, bytearray)
_FIXED: Final = (tuple, frozenset)
_LEAVES: Final = frozenset([str, bytes, int, float, bool, type(None), ModuleType])
_OF_SHELL: Final = ("In", "Out", "_ih", "_oh", "_dh")
_OWNERS: Final = MODULES | {"warnings", "linecache", "sys", "os", "abc", "locale"}
_LOOKED_AT: Final = MODULES | {"IPython", "ipykernel", "traitlets", "flow_kernel"}
_DEEPEST: Final = 6
_NOTHING_FOUND: Final = Walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFacts:
    """What a save says of the variables.

    Attributes:
        statuses: Of each saved name; one that is missing is WILD.
        groups: Names that share something, together.
        loose: Names of values that change when something is looked at: their memory, of those that
            are known (`reach_walk.can_settle`), or a library's own state that the others hold.
        doubt: Why cells cannot be judged by it: a library holds code of the notebook.
    """

    statuses: Mapping[str, Status]
    groups: Iterable[tuple[str, ...]] = ()
    loose: frozenset[str] = frozenset()
    doubt: str | None = None


def facts_of(
    values: Mapping[str, object],
    saved: Saved,
    types: Types,
    *,
    namespace: dict[str, Any],
    looks_for_code: bool = True,
) -> SaveFacts:
    """What there is to say. Runs no code of the variables' classes.

    Args:
        values: Variables by name.
        saved: What saving them with `landmarks` has shown.
        types: What is known.
        namespace: Of the notebook.
        looks_for_code: False when no cell since the last look may have done anything.
    """
    of_shell = _of_shell(namespace)
    walks: dict[int, Walk] = {}
    statuses: dict[str, Status] = {}
    loose = set()
    kept = {name for group in saved.groups for name in group.names}
    doubt = foreign_code(namespace) if looks_for_code else None
    for name, value in values.items():
        walked = _NOTHING_FOUND
        if name not in saved.bare:
            if id(value) not in walks:  # another name of the same object
                walks[id(value)] = _walked(value, types, namespace)
            walked = walks[id(value)]
        is_shared = name in saved.holding
        statuses[name] = Status.WILD if is_shared else walked.status
        if statuses[name] is Status.WILD and name in kept and _is_a_name(value, namespace):
            statuses[name] = Status.NAME
        if is_shared or is_loose(walked.seen.values()):
            loose.add(name)
        if not of_shell.isdisjoint(walked.seen):
            doubt = f"{name} holds a list of the shell, which every cell changes"
    groups = tuple(group.names for group in saved.groups)
    return SaveFacts(statuses=statuses, groups=groups, loose=frozenset(loose), doubt=doubt)


def landmarks(namespace: dict[str, Any], anchors: Iterable[object]) -> Landmarks:
    """What to look out for while variables are saved, so that `facts_of` has less to do.

    Args:
        namespace: Of the notebook.
        anchors: Objects of the session, which are no library's.
    """
    # What has a code of its own is in no memo.
    is_hidden = vars(copyreg)["_extension_registry"]
    return Landmarks(
        owned=state_of_libraries() - frozenset(map(id, anchors)),
        strange=None if is_hidden else _of_shell(namespace),
    )


def _of_shell(namespace: dict[str, Any]) -> frozenset[int]:
    return frozenset(id(namespace[name]) for name in _OF_SHELL if name in namespace)


def _walked(value: object, types: Types, namespace: dict[str, Any]) -> Walk:
    if type(value) is ModuleType:
        return Walk(Status.PLAIN if is_known_module(value) else Status.WILD)
    if is_known_callable(value):
        return Walk(Status.PLAIN)
    return walk(value, types, namespace, budget=None)


def _is_a_name(value: Any, namespace: dict[str, Any]) -> bool:
    """True for what is saved as the way to it."""
    kind = type(value)
    try:
        if kind is ModuleType:
            return sys.modules.get(vars(value)["__name__"]) is value
        if kind is FunctionType:
            return value.__globals__ is not namespace and is_found(value)
        # A metaclass may say otherwise.
        return issubclass(kind, type) and kind not in copyreg.dispatch_table and is_found(value)
    except Exception:  # noqa: BLE001 - modules and metaclasses may run any code
        return False


def foreign_code(namespace: dict[str, Any]) -> str | None:
    """Where a known library, or the shell, holds code of the notebook; None when none does.

    Looks at the modules of these packages, their classes, and the containers and objects that they
    hold. About 50 ms with pandas, so only after cells that may have done anything.
    """
    for path, value in _parts():
        if is_of_notebook(value, namespace):
            return f"{path} holds code of the notebook"
    numpy = sys.modules.get("numpy")
    return "numpy calls back" if numpy is not None and _calls_back(numpy) else None


def _calls_back(numpy: Any) -> bool:
    """True when numpy keeps a function for errors or for printing, where no container shows it."""
    options = numpy.get_printoptions()
    kept = (numpy.geterrcall(), options.get("formatter"), options.get("override_repr"))
    return any(one is not None for one in kept)


def is_of_notebook(value: Any, namespace: dict[str, Any]) -> bool:
    """True for code of the notebook, and of modules that lie elsewhere than libraries do."""
    kind = type(value)
    if kind is MethodType:
        return is_of_notebook(value.__func__, namespace) or is_of_notebook(
            value.__self__, namespace
        )
    if kind is FunctionType:
        return value.__globals__ is namespace or not _is_of_library(value.__code__.co_filename)
    if kind in (staticmethod, classmethod):
        return is_of_notebook(value.__func__, namespace)
    if kind is property:
        return any(is_of_notebook(one, namespace) for one in (value.fget, value.fset, value.fdel))
    if kind in (BuiltinFunctionType, MethodWrapperType):
        # `calls.append` as somebody's callback; tables of a library look things up.
        is_look_up = value.__name__ in ("__getitem__", "__contains__", "get")
        return type(value.__self__) in _CHANGED and not is_look_up
    return module_of(value if issubclass(kind, type) else kind) == "__main__"


def _is_of_library(filename: str) -> bool:
    """False for cells, and for modules that lie elsewhere than libraries do."""
    is_made = filename.startswith("<") and not filename.startswith("<ipython-input")
    return is_made or filename.startswith(PLACES)


def _modules(packages: frozenset[str]) -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if type(module) is ModuleType and name.partition(".")[0].lstrip("_") in packages
    ]


def _parts() -> Iterator[tuple[str, object]]:
    """What the known packages consist of, each object once."""
    seen: set[int] = set()
    for name, module in _modules(_LOOKED_AT):
        level: list[Any] = list(vars(module).values())
        for _ in range(_DEEPEST):
            fresh = {id(one): one for one in level if type(one) not in _LEAVES}
            level = []
            for value in [fresh[number] for number in fresh if number not in seen]:
                yield name, value
                level += _inside(value)
            seen.update(fresh)


def _inside(value: Any) -> Iterable[object]:
    kind = type(value)
    found: Iterable[object] = ()
    if issubclass(kind, type):
        found = vars(value).values() if _is_of(_LOOKED_AT, value) else ()
    elif kind is FunctionType:
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        found = [*cells, *(value.__defaults__ or ()), *value.__dict__.values()]
    elif issubclass(kind, dict):
        # The namespace of a module is no part of what refers to it.
        if type(dict.get(value, "__builtins__")) not in (dict, ModuleType):
            found = chain(dict.keys(value), dict.values(value))
    elif issubclass(kind, (list, set, tuple, frozenset)):
        found = _items(value)
    elif kind is functools.partial:
        found = [value.func, *value.args, *value.keywords.values()]
    elif _is_of(MODULES, kind):  # not the shell, which holds what cells gave back
        found = _own(value).values()
    return found


def _items(value: Any) -> Iterable[object]:
    """Without the iterator of a subclass."""
    for plain in (list, set, tuple, frozenset):
        if isinstance(value, plain):
            iterator: Any = plain.__iter__
            return list(iterator(value))
    return ()


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _own(value: object) -> dict[str, object]:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return own if type(own) is dict else {}


def _is_of(packages: frozenset[str], kind: type) -> bool:
    return module_of(kind).partition(".")[0].lstrip("_") in packages


def state_of_libraries() -> frozenset[int]:
    """The ids of what may change in containers of the known packages, and in what these contain."""
    level: list[Any] = []
    for _, module in _modules(_OWNERS):
        level += vars(module).values()
    arrays = {kind for kind in set(map(type, level)) if kind.__name__ == "ndarray"}
    wanted = {*_CONTAINERS, *arrays}
    seen: set[int] = set()
    found: set[int] = set()
    while level := [one for one in level if type(one) in wanted]:
        below: list[Any] = []
        for value in level:
            number = id(value)
            if number in seen:
                continue
            seen.add(number)
            kind = type(value)
            if kind not in _FIXED:
                found.add(number)
            if kind is dict:
                below += value.values()
            elif kind in _CONTAINERS:
                below += value
        level = below
    return frozenset(found)
