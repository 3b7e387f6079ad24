"""Checkpoints made of a few words, without a session and without a disk.

Called by the tests of what people see of checkpoints.
"""

from typing import Any

from flow_kernel.session.checkpoints.checkpoint import Checkpoint, identified, parsed

SESSION = "a" * 32


def made(
    name: str,
    parent: Checkpoint | None = None,
    *,
    number: int = 0,
    values: dict[str, str] | None = None,
    not_saved: tuple[str, ...] = (),
    tree: str | None = "0" * 40,
    **fields: Any,
) -> Checkpoint:
    """A checkpoint.

    Args:
        name: Its name.
        parent: The one before it.
        number: Of the second in which it was taken.
        values: What each variable holds, in words; equal words are equal content.
        not_saved: Names of generators.
        tree: Of its files; None for none.
        fields: Others of the manifest.
    """
    held = values or {}
    manifest = {
        "name": name,
        "parent_id": None if parent is None else parent.checkpoint_id,
        "created_at": f"2026-11-21T10:{number // 60:02d}:{number % 60:02d}.000Z",
        "reason": "asked",
        "session": SESSION,
        "seq": number,
        "plan_id": "local",
        "task_id": "T-0000",
        "step": None,
        "python": "3.11.7",
        "libraries": {},
        "variables": {one: {"type": "int", "summary": said} for one, said in held.items()},
        "groups": [
            {
                "names": [one],
                "stream": {"chunks": [said.encode().hex()], "nbytes": len(said)},
                "buffers": [],
            }
            for one, said in held.items()
        ],
        "not_saved": [
            {"name": one, "type": "generator", "reason": "it has begun", "seq": 1, "ident": 7}
            for one in not_saved
        ],
        "anchors": [],
        "git": tree and {"commit": tree, "tree": tree, "ref": "refs/x", "tag": None,
                         "left_out": []},
        "files_reason": "" if tree else "there is no git",
        "bytes_new": 1000 * number,
    }  # fmt: skip
    is_trusted = bool(fields.pop("is_trusted", True))
    return parsed(identified(manifest | fields), is_trusted=is_trusted)


def line_of(count: int) -> list[Checkpoint]:
    """A line of checkpoints, one after the other."""
    found: list[Checkpoint] = []
    for number in range(count):
        parent = found[-1] if found else None
        found.append(made(f"c{number}", parent, number=number, values={"n": str(number)}))
    return found
