"""Checkpoints of plain bytes, made as a session makes them but for the pickling; for tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, identified, parsed
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.collect import held
from flow_kernel.store.snapshots.content import store_content
from flow_kernel.store.snapshots.manifests import put, seal
from flow_kernel.store.snapshots.writer import ChunkWriter

KEY = b"k" * 32


def contents(shelf: Shelf, checkpoint: Checkpoint, *, only: str | None = None) -> dict[str, bytes]:
    """What `taken` was given, read as a way back reads it; all of it, or one variable."""
    found = {}
    for group in checkpoint.groups:
        [name] = group.names
        if only not in (None, name):
            continue
        assert bytes(shelf.content(group.stream)) == b"stream of " + name.encode()
        [buffer] = group.buffers
        found[name] = bytes(shelf.content(buffer, is_code=False))
    return found


def shelf_at(root: Path, *, key: bytes = KEY) -> Shelf:
    """The shelf of a home that need not exist."""
    return Shelf(Home(root), key=lambda: key)


def taken(
    shelf: Shelf, values: Mapping[str, bytes], *, owner: str = "s", **facts: Any
) -> Checkpoint:
    """A checkpoint of variables whose pickles and buffers are these bytes."""
    with held(shelf.segments_dir, is_alone=False):
        return _taken(shelf, values, owner, facts)


def _taken(
    shelf: Shelf, values: Mapping[str, bytes], owner: str, facts: Mapping[str, Any]
) -> Checkpoint:
    shelf.chunks.refresh()
    writer = ChunkWriter(shelf.segments_dir, shelf.chunks, owner=owner)
    try:
        groups = [
            {
                "names": [name],
                "stream": store_content(writer, b"stream of " + name.encode()),
                "buffers": [store_content(writer, value, is_code=False)],
            }
            for name, value in values.items()
        ]
        writer.sync()
    finally:
        writer.close()
    manifest = identified(
        {
            "name": "some",
            "parent_id": None,
            "created_at": "2025-01-01T00:00:00.000Z",
            "reason": "asked",
            "session": "5" * 32,
            "seq": 1,
            "plan_id": "local",
            "task_id": "T-0000",
            "step": None,
            "python": "3.11.7",
            "libraries": {},
            "variables": {name: {"type": "bytes"} for name in values},
            "groups": groups,
            "not_saved": [],
            "bytes_new": writer.bytes_new,
            "anchors": [],
            "git": None,
            "files_reason": "not looked at",
            **facts,
        }
    )
    put(shelf.manifests_dir, str(manifest["checkpoint_id"]), seal(manifest, KEY))
    return parsed(manifest, is_trusted=True)
