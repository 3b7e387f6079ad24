"""What variables hold, by content: equal digests mean equal values, in whatever process.

Called by `tests/flows/test_checkpoint_notebooks.py` inside a kernel, between two cells. Sharing is
content as well: a list that appears twice differs from two equal ones.
"""

import hashlib
import json
import types
from collections.abc import Callable, Iterator
from typing import Any

_UNSET = ("missing_go_to_left",)
"""scikit-learn sets it in the nodes of a tree that are no leaves, and only there."""
Seen = dict[int, tuple[int, object]]
_PLAIN = (str, bytes, int, float, complex, bool, type(None), range, slice)


def digests(namespace: dict[str, Any], hidden: dict[str, Any]) -> str:
    """The digest of each variable of a user, as JSON.

    Args:
        namespace: All names.
        hidden: Those that IPython brought.
    """
    found = {
        name: digest(value)
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in ("In", "Out", "exit", "quit", "get_ipython")
        and not (name in hidden and hidden[name] is value)
    }
    return json.dumps(found, sort_keys=True)


def digest(value: object) -> str:
    """16 hex that stand for the content of a value and its type."""
    whole = hashlib.sha256()
    for part in _parts(value, {}):
        whole.update(part.encode("utf-8", "backslashreplace") + b"\0")
    return whole.hexdigest()[:16]


def _parts(value: Any, seen: Seen) -> Iterator[str]:
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}"
    if kind in _PLAIN:
        yield repr(value)
        return
    if id(value) in seen:
        yield f"again {seen[id(value)][0]}"
        return
    # It stays: another one could have its id else.
    seen[id(value)] = (len(seen), value)
    yield from _WAYS.get(_family(value), _object)(value, seen)


def _family(value: object) -> str:
    for kinds, family in _KINDS:
        if isinstance(value, kinds):
            return family
    top, name = type(value).__module__.partition(".")[0], type(value).__name__
    found = _LIBRARIES.get((top, name))
    if found is None and hasattr(value, "getstate"):
        return "dice"
    return found or {"numpy": "scalar", "matplotlib": "figure"}.get(top, "object")


def _module(value: types.ModuleType, _: Seen) -> Iterator[str]:
    yield value.__name__


def _class(value: type, seen: Seen) -> Iterator[str]:
    yield f"{value.__module__}.{value.__qualname__}"
    if value.__module__ == "__main__":
        for name, attribute in sorted(vars(value).items()):
            if isinstance(attribute, types.FunctionType | int | str):
                yield name
                yield from _parts(attribute, seen)


def _function(value: types.FunctionType, seen: Seen) -> Iterator[str]:
    yield f"{value.__module__}.{value.__qualname__}"
    if value.__module__ == "__main__":
        yield value.__code__.co_code.hex()
        yield from _parts(value.__defaults__, seen)
        for cell in value.__closure__ or ():
            yield from _parts(cell.cell_contents, seen)


def _dict(value: dict[Any, Any], seen: Seen) -> Iterator[str]:
    for key, held in value.items():
        yield from _parts(key, seen)
        yield from _parts(held, seen)


def _list(value: list[Any], seen: Seen) -> Iterator[str]:
    for held in value:
        yield from _parts(held, seen)


def _set(value: set[Any], _: Seen) -> Iterator[str]:
    yield from sorted(map(repr, value))


def _array(value: Any, _: Seen) -> Iterator[str]:
    if value.dtype.names:  # between fields lie bytes that nobody has set
        held = [value[name].tolist() for name in value.dtype.names if name not in _UNSET]
    else:
        held = value.tolist() if value.dtype.hasobject else value.tobytes().hex()
    yield f"{value.shape} {value.dtype} {held} {value.flags.writeable}"


def _frame(value: Any, _: Seen) -> Iterator[str]:
    from pandas.util import hash_pandas_object  # only where there is one

    yield f"{value.shape} {hash_pandas_object(value).to_numpy().tobytes().hex()}"
    names = value.columns if value.ndim == 2 else [value.name]
    yield f"{list(names)} {getattr(value, 'dtypes', '')}"


def _figure(value: Any, _: Seen) -> Iterator[str]:
    for axes in value.get_axes() if hasattr(value, "get_axes") else [value]:
        if not hasattr(axes, "get_title"):
            return
        yield f"{axes.get_title()} {axes.get_ylabel()}"
        for line in axes.get_lines():
            yield f"{line.get_label()} {line.get_xydata().tobytes().hex()}"


def _dice(value: Any, seen: Seen) -> Iterator[str]:
    yield from _parts(value.getstate(), seen)


def _generator(value: Any, seen: Seen) -> Iterator[str]:
    is_new = type(value).__name__ == "Generator"
    yield from _parts(value.bit_generator.state if is_new else value.get_state(), seen)


def _repr(value: object, _: Seen) -> Iterator[str]:
    yield repr(value)


def _object(value: Any, seen: Seen) -> Iterator[str]:
    if hasattr(value, "__dict__"):
        yield from _parts(dict(sorted(vars(value).items())), seen)
    elif type(value).__repr__ is not object.__repr__:
        yield repr(value).partition(" at 0x")[0]


_KINDS: Any = (
    (types.ModuleType, "module"),
    (type, "class"),
    (types.FunctionType, "function"),
    (dict, "dict"),
    ((set, frozenset), "set"),
    ((list, tuple), "list"),
)
_LIBRARIES = {
    ("numpy", "ndarray"): "array",
    ("numpy", "Generator"): "generator",
    ("numpy", "RandomState"): "generator",
    ("pandas", "DataFrame"): "frame",
    ("pandas", "Series"): "frame",
    ("pandas", "Index"): "frame",
    ("pandas", "DatetimeIndex"): "frame",
}
_WAYS: dict[str, Callable[[Any, Seen], Iterator[str]]] = {
    "module": _module,
    "class": _class,
    "function": _function,
    "dict": _dict,
    "list": _list,
    "set": _set,
    "array": _array,
    "scalar": _repr,
    "dice": _dice,
    "generator": _generator,
    "frame": _frame,
    "figure": _figure,
    "object": _object,
}
