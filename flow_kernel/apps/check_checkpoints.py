"""The checkpoints' part of `jupyter flow check`.

Called by `check`.
"""

from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.home import Home
from flow_kernel.records.plain import human_bytes
from flow_kernel.session.checkpoints.checking import Checked, check_checkpoints, repair_checkpoints
from flow_kernel.session.checkpoints.opening import shelf_of
from flow_kernel.session.checkpoints.shelf import Shelf


def check(home: Home) -> Checked | None:
    """What is wrong with the checkpoints of a home; None where there never were any."""
    shelf = _shelf(home)
    return None if shelf is None else check_checkpoints(shelf)


def repair(home: Home, terminal: Terminal) -> None:
    """Set aside what is damaged, and say where it lies now.

    Raises:
        StoreError: Somebody is writing, or the disk refuses; nothing was lost.
    """
    shelf = _shelf(home)
    for path in repair_checkpoints(shelf) if shelf is not None else ():
        terminal.remark(plain(f"moved what is damaged to {path}"))


def say(checked: Checked, terminal: Terminal) -> None:
    """The figures, for people."""
    line = f"{_many(checked.checkpoints, 'checkpoint')} in {_many(checked.segments, 'segment')}"
    if checked.torn:
        line += f", {_many(checked.torn, 'torn end')} (no damage)"
    if checked.unneeded_bytes:
        line += f", {human_bytes(checked.unneeded_bytes)} that none of them needs"
    terminal.print(line)


def _shelf(home: Home) -> Shelf | None:
    shelf = shelf_of(home, Path(jupyter_data_dir(), "flow", "key"))
    return shelf if shelf.manifests_dir.exists() or shelf.segments_dir.exists() else None


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
