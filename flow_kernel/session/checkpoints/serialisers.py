"""Which way of taking apart belongs to which type: ours, and those of other packages.

Called by the pickler of `saving`.

A package adds a way for its types by an entry point of the group `flow_kernel.serialisers`. Its
name is the full name of the type, its object a function:

    [project.entry-points."flow_kernel.serialisers"]
    "mesh.grid.Grid" = "mesh.checkpoints:reduce"

    def reduce(value: Grid) -> tuple | None:
        return Grid.of_cells, (value.cells,)

The function answers as `__reduce__` does, or None to leave the value to pickle. The way holds for
the type and for classes that come from it; the nearest base wins, and before ours. What fails costs
the variable, not the checkpoint.
"""

import types
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any, Final

from flow_kernel.records.plugins import offered
from flow_kernel.session.checkpoints import (
    array_reducers,
    class_reducers,
    instance_reducers,
    pandas_reducers,
    reducers,
    torch_reducers,
    value_reducers,
)
from flow_kernel.session.checkpoints.by_name import is_by_value, is_found
from flow_kernel.session.checkpoints.reducers import Reduced, Reducer
from flow_kernel.session.checkpoints.refusals import EXACT, FAMILIES, Unsaveable, refuse

GROUP: Final = "flow_kernel.serialisers"


class Serialisers(dict[type, Reducer]):
    """By type; a type that comes for the first time is looked up by the names of its bases.

    Args:
        plugged: Of other packages, by the full name of the type.
    """

    def __init__(self, plugged: Mapping[str, Reducer]) -> None:
        super().__init__({kind: refuse(why) for kind, why in EXACT.items()})
        self.update(_OURS)
        self._plugged = plugged

    @property
    def is_ours_alone(self) -> bool:
        """True when no other package has a say in it."""
        return not self._plugged

    def __missing__(self, kind: type) -> Reducer:
        found = self._find(kind)
        if is_found(kind):  # a class of the notebook may be another one by the next time
            self[kind] = found
        return found

    def _find(self, kind: type) -> Reducer:
        for base in kind.__mro__:
            name = f"{base.__module__}.{base.__qualname__}"
            if (plugged := self._plugged.get(name)) is not None:
                return plugged
            if (ours := _FAMILIES.get(name)) is not None:
                return _or_else(ours, instance_reducers.way(kind)) if is_by_value(kind) else ours
            if (why := FAMILIES.get(name)) is not None:
                refused: Reducer = refuse(why)
                return refused
        return instance_reducers.way(kind)


def _or_else(ours: Reducer, other: Reducer) -> Reducer:
    """A way for a class of the notebook that comes from a library's."""

    def reduce(value: Any) -> Reduced | None:
        found = ours(value)
        return other(value) if found is None else found

    return reduce


@cache
def installed() -> Serialisers:
    """All there are in this process; the first call looks at what is installed."""
    return Serialisers({one.name: plugged(one) for one in offered(GROUP)})


def plugged(point: EntryPoint) -> Reducer:
    """A way of another package, which is imported when a value of its type comes."""
    load = cache(point.load)

    def reduce(value: Any) -> Reduced | None:
        try:
            found: Reduced | None = load()(value)
        except Unsaveable:
            raise
        except Exception as error:  # the package's code may raise anything
            said = f"{type(error).__name__}: {error}"[:120]
            raise Unsaveable(f"the serialiser {point.value} failed: {said}") from error
        if found is not None and not isinstance(found, tuple):
            raise Unsaveable(f"the serialiser {point.value} gave no tuple")
        return found

    return reduce


_DICTS: Final[tuple[dict[object, object], ...]] = ({}, OrderedDict())
_OURS: Final[dict[type, Reducer]] = {
    **class_reducers.PARTS,
    types.CellType: reducers.cell,
    types.CodeType: reducers.code,
    types.ModuleType: reducers.module,
    types.MethodType: reducers.method,
    types.BuiltinFunctionType: reducers.built_in,
    types.MethodWrapperType: reducers.built_in,
    types.MappingProxyType: value_reducers.proxy,
    memoryview: value_reducers.memory,
    object: reducers.unnamed,
    **{
        type(window): value_reducers.keys
        for one in _DICTS
        for window in (one.keys(), one.values(), one.items())
    },
}

_FAMILIES: Final[dict[str, Reducer]] = {
    "_io.BytesIO": lambda _: None,
    "_io.StringIO": lambda _: None,
    "_random.Random": value_reducers.dice,
    "builtins.BaseException": instance_reducers.exception,
    "weakref.ReferenceType": value_reducers.weak_reference,
    "_weakrefset.WeakSet": value_reducers.weak_container,
    "weakref.WeakKeyDictionary": value_reducers.weak_container,
    "weakref.WeakValueDictionary": value_reducers.weak_container,
    "matplotlib.figure.Figure": value_reducers.figure,
    "numpy.ndarray": array_reducers.array,
    "numpy.dtype": array_reducers.dtype,
    "numpy.void": array_reducers.scalar,
    "numpy.random.mtrand.RandomState": array_reducers.numpy_state,
    "pandas._libs.internals.BlockValuesRefs": pandas_reducers.reduce,
    "pandas._libs.internals.Block": pandas_reducers.reduce,
    "pandas.core.internals.managers.SingleBlockManager": pandas_reducers.reduce,
    "pandas.core.indexes.base.Index": pandas_reducers.reduce,
    "pandas.Index": pandas_reducers.reduce,
    "pandas.core.generic.NDFrame": pandas_reducers.frame,
    "pandas.core.arrays.base.ExtensionArray": pandas_reducers.array,
    "pandas.api.extensions.ExtensionArray": pandas_reducers.array,
    "torch.Tensor": torch_reducers.tensor,
    "torch.storage.UntypedStorage": torch_reducers.storage,
    "torch._C.Generator": torch_reducers.generator,
}
