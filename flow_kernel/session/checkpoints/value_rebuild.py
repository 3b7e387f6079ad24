"""Puts windows on other values together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import random
import weakref
from typing import Any


def window(inside: Any, name: str) -> Any:
    """The keys, values or items of a dict."""
    return getattr(inside, name)()


def memory(owner: Any, form: str, shape: tuple[int, ...], is_read_only: bool) -> memoryview:
    """A window on the memory of an object."""
    made = memoryview(owner)
    if (made.format, made.shape) != (form, shape):
        made = made.cast("B").cast(form, shape)  # type: ignore[call-overload]  # a format it had
    return made.toreadonly() if is_read_only and not made.readonly else made


class _Gone:
    """Dies at once."""


def weak_reference(target: Any) -> Any:
    """A weak reference; None for one whose target is gone."""
    return weakref.ref(_Gone() if target is None else target)


def weak_container(kind: Any) -> Any:
    """An empty one."""
    return kind()


def fill(value: Any, content: list[Any]) -> None:
    """What it holds."""
    value.update(content)


def set_dice(value: random.Random, state: tuple[Any, dict[str, Any]]) -> None:
    """Where a generator of random numbers is, and its attributes."""
    place, attributes = state
    random.Random.setstate(value, place)
    vars(value).update(attributes)


def global_dice() -> Any:
    """The generator behind the functions of `random`."""
    return vars(random)["_inst"]
