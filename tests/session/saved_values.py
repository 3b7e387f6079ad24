"""What the tests of checkpoints do: run a cell, save what is there, load it, compare."""

import sys
import types
from collections.abc import Mapping
from typing import Any

from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.loading import by_name, load
from flow_kernel.session.checkpoints.saving import Saved, save
from tests.session.shapes import Shapes


def saved_and_loaded(namespace: dict[str, Any]) -> tuple[dict[str, Any], Saved]:
    """The variables of a namespace in a new one."""
    names = {name: value for name, value in namespace.items() if not name.startswith("__")}
    anchors = anchors_of(namespace, {})
    saved = save(names, anchors)
    fresh: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    return loaded(saved, anchors, fresh), saved


def loaded(saved: Saved, anchors: Anchors, fresh: dict[str, Any]) -> dict[str, Any]:
    here = anchors_of(fresh, {})
    for group in saved.groups:
        buffers = [bytes(buffer) for buffer in group.buffers]
        values = load(group.stream, buffers, here, anchors.names())
        fresh.update(by_name(group.names, values))
    return fresh


def run(source: str) -> dict[str, Any]:
    """The namespace after a cell, as a kernel has it: that of the module `__main__`."""
    module = types.ModuleType("__main__")
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(source, vars(module))
    finally:
        sys.modules["__main__"] = ours
    return vars(module)


def assert_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    shapes = Shapes()
    names = [name for name in before if not name.startswith("__")]
    assert sorted(names) == sorted(name for name in after if not name.startswith("__"))
    for name in names:
        shapes.compare(before[name], after[name], name)


def works_as_before(source: str, look: str) -> dict[str, Any]:
    """Save all of a cell, and load it: what is looked at is as it was. What was loaded."""
    before = run(source)
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    assert repr(eval(look, after)) == repr(eval(look, before))
    return after
