"""Puts instances together again without code of their classes; these names stay.

Called by the unpickler of `loading`.
"""

from typing import Any


def made_by(kind: Any, base: Any, arguments: tuple[Any, ...]) -> Any:
    """An instance, as a class of a library makes it that its own class comes from."""
    made = base.__new__(kind, *arguments)
    if base.__init__ is not object.__init__:
        base.__init__(made, *arguments)
    return made


def set_plain_state(value: Any, state: Any) -> None:
    """Attributes and slots, past what the class does when they are set."""
    is_pair = isinstance(state, tuple) and len(state) == 2
    attributes, slots = state if is_pair else (state, None)
    if attributes:
        object.__getattribute__(value, "__dict__").update(attributes)
    for name, one in (slots or {}).items():
        object.__setattr__(value, name, one)


def set_contents(value: Any, whole: tuple[Any, list[Any], list[tuple[Any, Any]], Any]) -> None:
    """What a container holds, put in as the class of a library does."""
    base, items, pairs, state = whole
    if items:
        base.extend(value, items)
    for key, one in pairs:
        base.__setitem__(value, key, one)
    if state is not None:
        set_plain_state(value, state)


def set_exception(value: BaseException, whole: tuple[Any, Any, Any, Any, bool]) -> None:
    """Attributes, slots, cause and context."""
    state, slots, cause, context, is_suppressed = whole
    if state:
        BaseException.__setstate__(value, state)
    set_plain_state(value, (None, slots))
    value.__cause__, value.__context__ = cause, context
    value.__suppress_context__ = is_suppressed
