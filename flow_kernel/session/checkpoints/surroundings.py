"""What checkpoints need to know of a shell (pure).

Made by `shell.taps.surroundings` when a kernel starts, so it imports nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol


class LookAround(Protocol):
    """Says why code may run that no cell shows."""

    def begin(self, *, is_first: bool = True) -> None:
        """What is there now is the shell's and ours, but for threads of cells before."""

    def __call__(self) -> tuple[str, ...]:
        """The reasons; empty when there are none."""

    def within(self) -> tuple[str, ...]:
        """The reasons, asked within a cell."""

    def beside(self) -> tuple[str, ...]:
        """The reasons why some may run at any moment, within a cell as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a shell knows that checkpoints need.

    Attributes:
        namespace: The variables of the user and of IPython.
        hidden: Those of IPython.
        anchors: Objects by name that variables may refer to and that are never saved.
        key_path: Where the user's key lies.
        cwd: Where the files of the project are looked for.
        user_home: Never captured as a whole.
        look_around: Says why code may run that no cell shows; empty when none can.
    """

    namespace: dict[str, Any]
    hidden: Mapping[str, object]
    anchors: Callable[[], Mapping[str, object]]
    key_path: Path
    cwd: Path
    user_home: Path
    look_around: LookAround


VERBS: Final = ("list", "tree", "show", "diff", "verify", "prune")
WHAT: Final = ("all", "state", "files")
FLAGS: Final = {
    "--state": "state",
    "--files": "files",
    "--all": "all",
    "--dry-run": "dry run",
    "--trust": "trust",
}
DEFAULT_KEEP: Final = 50
