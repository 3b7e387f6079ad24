"""Saves what is small and known without a fork: its bytes are taken at once, written later.

Called by `service`. A fork holds the cell up for milliseconds, whatever there is to save; a copy of
a few megabytes does not. Only values whose types are all known are pickled here, in the session
itself: nothing of their classes can hang it or end it.
"""

import copyreg
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from flow_kernel.records.summaries import summarise
from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.capture import Document, Look, stored_groups
from flow_kernel.session.checkpoints.hidden_state import is_hidden
from flow_kernel.session.checkpoints.reach_facts import is_of_notebook
from flow_kernel.session.checkpoints.reach_walk import Status, Walk, is_loose, walk
from flow_kernel.session.checkpoints.saving import Saved, save
from flow_kernel.session.checkpoints.sizes import is_small
from flow_kernel.store.snapshots.writer import Writer

_MOST_BYTES: Final = 4 << 20
_MOST_OBJECTS: Final = 5_000
"""Of one value: a millisecond or so to go through and to pickle."""


def frozen(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Callable[[], Writer],
    look: Look,
) -> Callable[[], Document] | None:
    """What saves values as they are now, whenever it is called.

    Args:
        values: By name. Each is of known types, as far as cells can tell.
        anchors: What is referred to and not saved.
        writer: Makes a writer of chunks.
        look: What is known of types.

    Returns:
        None where they are too large, or not of known types.
    """
    variables = {name: value for name, value in values.items() if not is_hidden(name)}
    if not anchors.serialisers.is_ours_alone or _runs_other_code(look.namespace):
        return None
    if not is_small(variables.values(), most_bytes=_MOST_BYTES):
        return None
    walks: dict[str, Walk] = {}
    for name, value in variables.items():
        walks[name] = walk(value, look.types, look.namespace, budget=_MOST_OBJECTS)
        if walks[name].status is not Status.TAME:
            return None
    saved = save(values, anchors)
    size = sum(len(one.stream) + sum(b.nbytes for b in one.buffers) for one in saved.groups)
    if size > _MOST_BYTES or saved.not_saved:
        return None
    document: Document = {
        "summaries": {name: dict(summarise(value)) for name, value in variables.items()},
        "not_saved": [],
        "statuses": dict.fromkeys(variables, Status.TAME.value),
        "loose": sorted(name for name, one in walks.items() if is_loose(one.seen.values())),
    }
    return partial(_written, _copied(saved), document, writer)


def _runs_other_code(namespace: dict[str, Any]) -> bool:
    """True when the notebook has told pickle how to take types apart."""
    return any(is_of_notebook(one, namespace) for one in copyreg.dispatch_table.values())


def _copied(saved: Saved) -> Saved:
    """The same with memory of its own."""
    groups = [
        replace(group, buffers=[memoryview(bytes(one)) for one in group.buffers])
        for group in saved.groups
    ]
    return replace(saved, groups=groups)


def _written(saved: Saved, document: Document, writer: Callable[[], Writer]) -> dict[str, Any]:
    """Bring it to the disk.

    Raises:
        StoreError: The disk refuses.
    """
    made = writer()
    groups = stored_groups(saved, made, lambda _: None)
    return {**document, "groups": groups, "bytes_new": made.bytes_new}
