"""The pickler of checkpoints: C's, with ways of its own for what pickle does not know.

Called by `saving`.
"""

import io
import pickle
import types
from typing import Any, Final

from flow_kernel.session.checkpoints import class_reducers, pandas_reducers, reducers
from flow_kernel.session.checkpoints.anchors import Anchors

MAIN: Final = "__main__"


class Unsaveable(Exception):
    """A value inside a variable cannot be saved; the message says why."""


class Pickler(pickle.Pickler):
    """C's pickler, with ways of its own for functions, modules, arrays and the unsaveable."""

    def __init__(
        self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], anchors: Anchors
    ) -> None:
        def keep(buffer: pickle.PickleBuffer) -> None:
            buffers.append(buffer)

        super().__init__(file, protocol=5, buffer_callback=keep)
        self.memo = anchors.for_pickler()
        self._namespace: Any = anchors.by_name["namespace"]

    def reducer_override(self, value: Any) -> Any:
        """How to take apart what pickle does not know, or not exactly."""
        kind = type(value)
        if kind is types.FunctionType:
            if value.__globals__ is self._namespace or reducers.is_nameless(value):
                return reducers.function(value, self._namespace)
            return NotImplemented
        if (why := reducers.UNSAVEABLE.get(kind)) is not None:
            raise Unsaveable(why)
        if isinstance(value, type) and value.__module__ == MAIN:
            if (why := class_reducers.reason_against(value)) is not None:
                raise Unsaveable(why)
            return class_reducers.notebook_class(value)
        found = self._reduced(kind, value)
        return NotImplemented if found is None else found

    def _reduced(self, kind: type, value: Any) -> reducers.Reduced | None:
        if kind is types.CellType:
            return reducers.cell(value)
        if kind is types.ModuleType:
            return reducers.module(value)
        if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
            return reducers.array(value)
        if kind.__module__.startswith("pandas."):
            return pandas_reducers.reduce(value)
        return class_reducers.part_of_class(value)
