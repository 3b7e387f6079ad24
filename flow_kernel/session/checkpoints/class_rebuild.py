"""Puts classes of the notebook together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any


def notebook_class(
    metaclass: Any, name: str, bases: tuple[Any, ...], qualname: str, module: str, slots: Any
) -> Any:
    """A class without its attributes: its methods may refer to it."""
    namespace: dict[str, Any] = {"__module__": module, "__qualname__": qualname}
    if slots is not None:
        namespace["__slots__"] = slots
    return metaclass(name, bases, namespace)


def set_class_state(made: Any, state: dict[str, Any]) -> None:
    """Its attributes, in their order."""
    for name, value in state.items():
        if name not in ("__module__", "__qualname__"):
            setattr(made, name, value)
    if hasattr(made, "__abstractmethods__"):
        made.__abstractmethods__ = state.get("__abstractmethods__", frozenset())


def cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """A property that is computed once."""
    made = functools.cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def read_only(content: dict[Any, Any]) -> types.MappingProxyType[Any, Any]:
    """A dict that cannot be written to."""
    return types.MappingProxyType(content)


def dataclass_word(name: str) -> Any:
    """A value of `dataclasses` that is known by its identity."""
    return getattr(dataclasses, name)
