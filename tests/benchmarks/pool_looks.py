"""What is looked at from outside where a pool is put to the test: its worker, and what it says.

Called by `peers/pool_tool.py` and, in the session, by `pool_session`. Standard library only.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.005
_LOOKS: Final = 4
_MOST: Final = 1000


def said_by(error: BaseException) -> str:
    """The name of an error and its message, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MOST]


def pid_in(path: Path, *, within_s: float) -> int:
    """What a worker has written of itself.

    Raises:
        TimeoutError: It has not.
    """
    until_s = time.monotonic() + within_s
    while not path.exists():
        if time.monotonic() > until_s:
            raise TimeoutError(f"nothing has written {path.name}")
        time.sleep(_LOOK_S)
    return int(path.read_text(encoding="utf-8"))


def is_busy(pid: int) -> bool:
    """Whether a process computes; one that only waits for a free core does as well."""
    return any(_is_running(pid) or time.sleep(_LOOK_S) for _ in range(_LOOKS))


def is_quiet_within(pid: int, within_s: float) -> bool:
    """Whether a process has stopped computing by then, or is gone."""
    until_s = time.monotonic() + within_s
    while is_busy(pid):
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_S)
    return True


def _is_running(pid: int) -> bool:
    """Whether any of its threads is: some pools call in another one than the first."""
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            line = task.read_text(encoding="ascii", errors="replace")
            if line.rpartition(")")[2].split()[0] == "R":
                return True
    return False
