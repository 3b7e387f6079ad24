"""How built-in values are taken apart that are windows on others: views, proxies, weak references.

Called by the pickler of `saving`; what puts them together again is in `value_rebuild`.

What they show is kept, so that it is shown through them afterwards too.
"""

import gc
import random
import types
import weakref
from itertools import chain
from typing import Any

from flow_kernel.records.every_class import all_classes
from flow_kernel.session.checkpoints import class_reducers, instance_rebuild
from flow_kernel.session.checkpoints import value_rebuild as rebuild
from flow_kernel.session.checkpoints.refusals import Unsaveable

Reduced = tuple[Any, ...]


def proxy(value: Any) -> Reduced:
    """A read-only window on a dict, or on the attributes of a class."""
    if (word := class_reducers.dataclass_word(value)) is not None:
        return word
    [inside] = gc.get_referents(value)
    if type(inside) is dict and "__module__" in inside and "__doc__" in inside:
        for owner in chain(gc.get_referrers(inside), all_classes()):
            if isinstance(owner, type) and gc.get_referents(vars(owner))[0] is inside:
                return vars, (owner,)
    return types.MappingProxyType, (inside,)


def keys(value: Any) -> Reduced:
    """The keys, values or items of a dict, which follow it."""
    [inside] = gc.get_referents(value)
    name = type(value).__name__.rpartition("_")[2]
    return rebuild.window, (inside, name)


def memory(value: memoryview) -> Reduced:
    """A window on all the memory of an object.

    Raises:
        Unsaveable: On a part of it, or with a form of its own.
    """
    owner = value.obj
    if owner is None:
        raise Unsaveable("a memoryview that shows nothing any more")
    whole = memoryview(owner)
    if not (value.contiguous and value.c_contiguous and value.nbytes == whole.nbytes):
        raise Unsaveable("a memoryview of a part of its object")
    return rebuild.memory, (owner, value.format, value.shape, value.readonly)


def weak_reference(value: Any) -> Reduced:
    """A weak reference to something that lives as long as its module, or to nothing any more.

    Raises:
        Unsaveable: To anything else: who keeps that alive is not known.
    """
    target = value()
    if value.__callback__ is not None or not _lives_on(target):
        raise Unsaveable("a weak reference cannot be copied")
    return rebuild.weak_reference, (target,)


def weak_container(value: Any) -> Reduced | None:
    """A weak container of such things; None for a class of its own.

    Raises:
        Unsaveable: It holds other things.
    """
    if type(value) not in (weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary):
        return None
    held = value.values() if type(value) is weakref.WeakValueDictionary else value
    if not all(_lives_on(one) for one in list(held)):
        raise Unsaveable("weak references cannot be copied")
    content = list(value) if isinstance(value, weakref.WeakSet) else list(value.items())
    return rebuild.weak_container, (type(value),), content, None, None, rebuild.fill


def _lives_on(target: object) -> bool:
    return target is None or isinstance(target, type | types.ModuleType | types.BuiltinFunctionType)


def dice(value: Any) -> Reduced | None:
    """A generator of random numbers; the one behind the functions of `random` is the session's.

    Returns:
        None for a class that saves its state otherwise.
    """
    if value is vars(random)["_inst"]:
        return rebuild.global_dice, ()
    kind = type(value)
    base: Any = random.Random  # noqa: S311 - the user's
    if kind.__reduce__ is not base.__reduce__ or kind.getstate is not base.getstate:
        return None
    state = (base.getstate(value), vars(value))
    return instance_rebuild.made_by, (kind, base, ()), state, None, None, rebuild.set_dice


def figure(value: Any) -> Reduced:
    """A figure of matplotlib by itself: pyplot hears nothing of it when it comes back."""
    made, arguments, state, *rest = value.__reduce_ex__(5)
    state = {name: one for name, one in state.items() if name != "_restore_to_pylab"}
    return (made, arguments, state, *rest)
