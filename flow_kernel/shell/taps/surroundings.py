"""What checkpoints need to know of a shell.

Called by `shell.opening` for the kernel and for the extension.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.session.checkpoints.reach_around import Around, look_around, look_beside
from flow_kernel.session.checkpoints.surroundings import Surroundings


def surroundings(shell: Any) -> Surroundings:
    """The variables of a shell, and what they may refer to."""
    return Surroundings(
        namespace=shell.user_ns,
        hidden=shell.user_ns_hidden,
        anchors=lambda: _anchors(shell),
        key_path=Path(jupyter_data_dir(), "flow", "key"),
        cwd=Path.cwd(),
        user_home=Path.home(),
        look_around=Lookout(shell),
    )


class Lookout:
    """Says why code may run that no cell shows; knows what there was when it was told to begin."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._known: Around | None = None

    def begin(self, *, is_first: bool = True) -> None:
        """What is there now is the shell's and ours.

        Args:
            is_first: False when cells have run before, whose threads are the user's.
        """
        self._known = Around.now(self._shell, is_first=is_first)

    def __call__(self) -> tuple[str, ...]:
        """The reasons; empty when there are none."""
        if self._known is None:
            return _NOT_YET
        return look_around(self._shell, self._known)

    def within(self) -> tuple[str, ...]:
        """The reasons, asked within a cell: IPython has its own hook for results then."""
        found = self()
        if sys.displayhook is self._shell.displayhook:
            found = tuple(reason for reason in found if reason != _HOOK)
        return found

    def beside(self) -> tuple[str, ...]:
        """The reasons why some may run at any moment, within a cell as well."""
        return _NOT_YET if self._known is None else look_beside(self._known)


_HOOK: Final = "a hook of sys is not as it was"
_NOT_YET: Final = ("nobody has looked around",)


def _anchors(shell: Any) -> Mapping[str, object]:
    """Objects of the session that come with every kernel."""
    found = {
        "shell": shell,
        "kernel": getattr(shell, "kernel", None),
        "In": shell.user_ns.get("In"),
        "Out": shell.user_ns.get("Out"),
        "stdout": sys.stdout,
        "stderr": sys.stderr,
        "environ": os.environ,
    }
    distinct = {id(value): name for name, value in found.items() if value is not None}
    return {name: found[name] for name in distinct.values()}
