"""The checkpoints of the home that a verb works on, and the files of its project.

Called by `checkpoints`, `diff`, `rollback` and `restore`.
"""

import os
from functools import cache
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.opening import project_files, shelf_of
from flow_kernel.session.checkpoints.project_files import ProjectFiles
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.git.find import find
from flow_kernel.store.git.snapshots import GitSnapshots


def key_path() -> Path:
    """Where the user's key lies."""
    return Path(jupyter_data_dir(), "flow", "key")


def shelf_at(home: Home) -> Shelf:
    """The checkpoints of a home."""
    return shelf_of(home, key_path())


def files_at(home: Home, terminal: Terminal) -> ProjectFiles:
    """The files around the working directory."""

    @cache
    def git() -> GitSnapshots:
        found = find(terminal.cwd, env=terminal.env, user_home=Path.home())
        return GitSnapshots(found, home.root / "git", owner=f"cli-{os.getpid()}")

    return project_files(
        home,
        shelf_at(home),
        git=git,
        session=f"cli-{os.getpid()}",
        cwd=terminal.cwd,
        user_home=Path.home(),
        say=terminal.remark,
    )


def print_card(card: object, terminal: Terminal) -> None:
    """Print an answer of the magics; what a user named is harmless in it."""
    for line in repr(card).split("\n"):
        terminal.print(plain(line))
