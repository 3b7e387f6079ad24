"""How instances are taken apart whose classes would run code of their own when they come back.

Called by the pickler of `saving`; what puts them together again is in `instance_rebuild`.

Pickle makes an instance by calling its class, sets its attributes one by one, and asks it for
methods before it has any. Classes that count their instances, refuse to be changed, pass unknown
names on to something inside, or want other arguments, do not survive that, or not unchanged.
Instances of all other classes are left to pickle, which is faster.
"""

import copyreg
import inspect
import types
from collections import OrderedDict, deque
from enum import Enum
from typing import Any, Final

from flow_kernel.records.class_parts import MAIN, is_made_in_c
from flow_kernel.session.checkpoints import class_reducers, instance_rebuild
from flow_kernel.session.checkpoints.by_name import is_by_value, is_found
from flow_kernel.session.checkpoints.reducers import Reduced, Reducer
from flow_kernel.session.checkpoints.refusals import Unsaveable, refuse

_ASKS: Final = ("__getattr__", "__getattribute__", "__setattr__")
_FILLERS: Final = (
    (OrderedDict, ("__setitem__",)),
    (dict, ("__setitem__",)),
    (list, ("append", "extend")),
    (deque, ("append", "extend")),
)


_MAKES: Final = object.__reduce_ex__(type("Any", (), {})(), 2)[0]


def way(kind: Any) -> Reducer:
    """How instances of a class are taken apart for which there is no way of its own."""
    saves_itself = (
        kind in copyreg.dispatch_table
        or kind.__reduce__ is not object.__reduce__
        or kind.__reduce_ex__ is not object.__reduce_ex__
    )
    if is_by_value(kind):
        return instance if saves_itself or _runs_code(kind, _ASKS) else left_to_pickle
    if saves_itself:
        return known_by_name
    if type(type(kind).__call__) is types.FunctionType:
        refused: Reducer = refuse("its class decides which instances there are")
        return refused
    if type(getattr(kind, "__copy__", None)) is types.FunctionType:
        return unless_it_is_its_own_copy
    return instance if _runs_code(kind, ("__getattr__",)) else left_to_pickle


def _runs_code(kind: Any, asked: tuple[str, ...]) -> bool:
    """True when code of a class would run while an instance comes back."""
    return (
        issubclass(kind, Enum | BaseException)
        or any(getattr(kind, name, None) is not getattr(object, name, None) for name in asked)
        or _filler(kind) is not None
        or _wants_arguments(kind)
    )


def _wants_arguments(kind: Any) -> bool:
    """True for a class that makes instances itself and does not say of what.

    Those of the notebook are not asked at all: what they count or remember is not to change.
    """
    if type(kind.__new__) is not types.FunctionType:
        return False
    makes = _definer(kind, "__new__")
    said = [one for name in _SAYS if (one := _definer(kind, name)) and not is_made_in_c(one)]
    if any(issubclass(one, makes) for one in said):
        return False
    if is_by_value(kind):
        return True
    try:
        inspect.signature(kind.__new__).bind(*_made_of(kind, None)[1])
    except TypeError:
        return True
    return False


_SAYS: Final = ("__getnewargs__", "__getnewargs_ex__")


def _definer(kind: type, name: str) -> Any:
    return next((one for one in kind.__mro__ if name in vars(one)), None)


def _made_of(kind: Any, value: Any) -> tuple[Any, Reduced]:
    """The class of C that makes an instance, and of what: the class and the built-in value."""
    base: Any = next(one for one in kind.__mro__ if is_made_in_c(one) and "__new__" in vars(one))
    if not hasattr(base, "__getnewargs__"):
        return base, (kind,)
    return base, (kind, *(base.__getnewargs__(value) if value is not None else (None,)))


def left_to_pickle(_: object) -> None:
    """The way of what needs none."""


def unless_it_is_its_own_copy(value: Any) -> Reduced | None:
    """A value of a library's class that can be copied.

    Raises:
        Unsaveable: It cannot: who has it compares by identity.
    """
    if value.__copy__() is value:
        raise Unsaveable("there is one of it: its class makes no copies")
    return instance(value)


def instance(value: Any) -> Reduced | None:
    """An instance of such a class.

    Raises:
        Unsaveable: Its class says that it is known by a name of the notebook.
    """
    kind = type(value)
    base: type | None
    if isinstance(value, Enum):
        return class_reducers.member(value)
    reduced = reduced_by_itself(value)
    if reduced[0] is _MAKES and _wants_arguments(kind):
        base, made_of = _made_of(kind, value)
        reduced = (base.__new__, made_of, *reduced[2:])
    if reduced[0] is kind and (base := _maker(kind)) is not None:
        reduced = (instance_rebuild.made_by, (kind, base, reduced[1]), *reduced[2:])
    if len(reduced) == 2 and (forgotten := object.__getstate__(value)):
        reduced = (*reduced, forgotten, None, None, instance_rebuild.set_plain_state)
    made, arguments, state, items, pairs, setter = (*reduced, None, None, None, None)[:6]
    if setter is not None or hasattr(kind, "__setstate__"):
        return reduced
    filler = _filler(kind)
    contents = (list(items), list(pairs or ())) if filler and items is not None else None
    if filler is not None and pairs is not None:
        contents = ([], list(pairs))
    if contents is not None:
        whole = (filler, *contents, state)
        return made, arguments, whole, None, None, instance_rebuild.set_contents
    if state is None:
        return reduced
    return made, arguments, state, items, pairs, instance_rebuild.set_plain_state


def reduced_by_itself(value: Any) -> Reduced:
    """What the class of a value makes of it.

    Raises:
        Unsaveable: It names the value instead.
    """
    own = copyreg.dispatch_table.get(type(value))
    reduced: Any = value.__reduce_ex__(5) if own is None else own(value)
    if isinstance(reduced, str):
        raise Unsaveable(f"its class says that it is known by the name {reduced[:60]} alone")
    found: Reduced = reduced
    return found


def known_by_name(value: Any) -> Reduced | None:
    """A value of a library's class; None where pickle's own way is right.

    Raises:
        Unsaveable: It is known by a name of the notebook, which finds nothing that lasts.
    """
    if getattr(value, "__module__", None) != MAIN:
        return None
    return reduced_by_itself(value)


def exception(value: BaseException) -> Reduced | None:
    """An exception with its cause and context, made without its class's `__init__`.

    Raises:
        Unsaveable: It has a traceback.
    """
    if value.__traceback__ is not None:
        raise Unsaveable("an exception with a traceback; without: error.with_traceback(None)")
    kind: Any = type(value)
    chain = (value.__cause__, value.__context__, value.__suppress_context__)
    is_plain = chain == (None, None, False)
    base = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    if kind.__reduce__ is not base.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__:
        if is_plain:
            return None
        raise Unsaveable("an exception with a cause, whose class saves itself without")
    # What a library has registered for it (tblib, with Dask) is for other ends: with its traceback.
    _, arguments, state = (*value.__reduce_ex__(5), None)[:3]
    made = (kind, base, arguments)
    own = object.__getstate__(value)
    slots = own[1] if isinstance(own, tuple) else None
    whole = (state, slots, *chain)
    return instance_rebuild.made_by, made, whole, None, None, instance_rebuild.set_exception


def _maker(kind: Any) -> type | None:
    """The library's class that says to call the class, when the notebook's makes it otherwise."""
    base: Any = next(one for one in kind.__mro__ if "__reduce__" in vars(one))
    if base is object or not is_found(base):
        return None
    is_same = kind.__init__ is base.__init__ and kind.__new__ is base.__new__
    found: type = base
    return None if is_same else found


def _filler(kind: type) -> type | None:
    for base, names in _FILLERS:
        if issubclass(kind, base):
            same = (getattr(kind, name) is getattr(base, name) for name in names)
            return None if all(same) else base
    return None
