"""What the workers of every pool run: functions that they import.

Called by `pool_tool`. numpy is imported where it is wanted: no start of a pool waits for it.
"""

import ctypes
import os
from pathlib import Path
from typing import Any, Final, NoReturn

_KEPT: Final[list[Any]] = []
"""The array of this worker: what a process keeps for its next call can only lie in a module."""


def one_plus_one() -> int:
    """The least that can be asked for."""
    return 1 + 1


def first_of(array: Any) -> float:
    """One number of an array that came along."""
    return float(array[0])


def keep(count: int) -> None:
    """Make the array that `changed` gives back."""
    import numpy as np

    _KEPT[:] = [np.ones(count)]


def changed() -> Any:
    """All of the array, another one than the last time."""
    _KEPT[0][0] += 1
    return _KEPT[0]


def crash() -> None:
    """Read where nothing is: SIGSEGV."""
    ctypes.string_at(0)


def run_away(path: str) -> NoReturn:
    """Tell who this is, and never end."""
    draft = Path(f"{path}.draft")
    draft.write_text(str(os.getpid()), encoding="utf-8")
    draft.replace(path)
    while True:
        pass
