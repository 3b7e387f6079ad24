"""Puts frames and series together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import importlib
from collections.abc import Callable
from typing import Any


def references() -> Any:
    """What sharers of memory have in common; they enter themselves."""
    return _internals().BlockValuesRefs()


def block(kind: Any, values: Any, place: Any, ndim: int, refs: Any) -> Any:
    """Columns of one kind."""
    return kind(values, placement=_internals().BlockPlacement(place), ndim=ndim, refs=refs)


def single_manager(kind: Any, values: Any, axis: Any) -> Any:
    """What a series consists of."""
    return kind(values, axis)


def index(made: Callable[..., Any], arguments: tuple[Any, ...], refs: Any) -> Any:
    """Labels that may share memory with a column."""
    found = made(*arguments)
    found._references = refs
    refs.add_index_reference(found)
    return found


def _internals() -> Any:
    return importlib.import_module("pandas._libs.internals")
