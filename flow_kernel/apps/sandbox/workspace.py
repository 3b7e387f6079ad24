"""Where a task runs: a directory below the root of the server, or below its home of records.

Called by `engine`, and by `task` before it begins. A name is looked up below the root; links are
followed first, so that none leads out. That keeps accidents out, and no code: what runs there may
go anywhere its user may.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow_kernel.apps.sandbox.wire import Refused
from flow_kernel.errors import UsageError
from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.workers.limits import Requirements


def workspace_of(name: str, bases: Sequence[Path]) -> Path:
    """The directory that a client means.

    Args:
        name: As it was sent; empty for the first base.
        bases: Where it may be; a relative name is looked up below the first.

    Raises:
        Refused: There is none, or it lies elsewhere.
    """
    shown = one_line(name, 80)
    if "\0" in name:
        raise Refused(f'workspace "{shown}" is no path')
    try:
        found = os.path.realpath(bases[0] / name)
        allowed = [os.path.realpath(base) for base in bases]
        is_inside = any(os.path.commonpath([found, base]) == base for base in allowed)
        is_there = is_inside and Path(found).is_dir()
    except (OSError, ValueError):
        is_inside = is_there = False
    if not is_inside:
        raise Refused(
            f'workspace "{shown}" is not below the root of the server',
            hint="name a directory relative to the root, as the file browser shows it",
        )
    if not is_there:
        raise Refused(
            f'there is no directory "{shown}"', hint="make it with a command, or leave it out"
        )
    return Path(found)


def mind(directory: Path) -> None:
    """Look again at what `workspace_of` has found: a task may have waited for an hour since.

    Raises:
        UsageError: It is gone, or leads elsewhere.
    """
    if os.path.realpath(directory) != str(directory) or not directory.is_dir():
        raise UsageError(
            f'the workspace "{one_line(str(directory), 80)}" is gone by now; nothing was run',
            hint="make it with a command, or leave it out",
        )


def needs_at(directory: Path, needs: Requirements) -> Requirements:
    """What the pool is to promise to a task that runs in a directory.

    It promises the disk of the server's own directory; of another one it is seen here that the room
    is there now.

    Raises:
        Refused: It is not.
    """
    if not needs.disk_bytes:
        return needs
    try:
        if directory.stat().st_dev == Path.cwd().stat().st_dev:
            return needs
        free_bytes = shutil.disk_usage(directory).free
    except OSError:
        return needs
    if free_bytes < needs.disk_bytes:
        raise Refused(
            f"the task requires {human_bytes(needs.disk_bytes)} on the disk of its workspace, where"
            f" {human_bytes(free_bytes)} are free; nothing was run",
            reason="refused",
            hint="make room there, or require less",
        )
    return replace(needs, disk_bytes=0)
