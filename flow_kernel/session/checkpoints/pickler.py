"""The pickler of checkpoints: C's, with ways of its own for what pickle does not know.

Called by `saving`.
"""

import io
import pickle
import types
from typing import Any

from flow_kernel.records.class_parts import MAIN
from flow_kernel.session.checkpoints import class_reducers, reducers
from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.by_name import alias, is_by_value, is_found
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.refusals import Unsaveable


class Pickler(pickle.Pickler):
    """C's pickler, with ways of its own for classes, functions, arrays and the unsaveable."""

    def __init__(
        self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], anchors: Anchors
    ) -> None:
        def keep(buffer: pickle.PickleBuffer) -> None:
            buffers.append(buffer)

        super().__init__(file, protocol=5, buffer_callback=keep)
        self.memo = anchors.for_pickler()
        self._namespace: Any = anchors.by_name["namespace"]
        self._serialisers = anchors.serialisers
        self._ways: dict[type, reducers.Reducer] = {}
        self._is_doubtful = False
        self._written = file, buffers, anchors

    def dump(self, values: Any) -> None:
        """Write values, and prove that they can be read where that is in doubt.

        A set or a dict in a cycle is filled before its members have their attributes, and a class
        of the notebook may need these to say where a member belongs.

        Raises:
            Unsaveable: They cannot be read.
        """
        super().dump(values)
        if self._is_doubtful:
            file, buffers, anchors = self._written
            try:
                load(file.getvalue(), [one.raw() for one in buffers], anchors, anchors.names())
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:120]
                raise Unsaveable(f"it could not be loaded again: {said}") from error

    def reducer_override(self, value: Any) -> Any:
        """How to take apart what pickle does not know, or not exactly."""
        kind = type(value)
        if kind is types.FunctionType:
            if value.__globals__ is self._namespace or not is_found(value):
                return reducers.function(value, self._namespace)
            return NotImplemented
        if isinstance(value, type):
            return _class(value)
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = self._serialisers[kind]
            self._is_doubtful |= type(kind.__hash__) is types.FunctionType and is_by_value(kind)
        found = way(value)
        return NotImplemented if found is None else found


def _class(kind: type) -> Any:
    """A class by its name, or by value where that finds nothing.

    Raises:
        Unsaveable: It can be kept neither way.
    """
    if is_found(kind):
        return NotImplemented
    if (name := alias(kind)) is not None:
        return getattr, (types, name)
    if kind.__module__ != MAIN and not is_by_value(kind):
        return NotImplemented  # pickle knows some of C's, and what it says of the others is right
    if (why := class_reducers.reason_against(kind)) is not None:
        raise Unsaveable(why)
    return class_reducers.by_value(kind)
