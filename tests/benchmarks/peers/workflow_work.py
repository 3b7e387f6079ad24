"""The step that every engine runs, in plain functions.

Imported by the files `workflow_*.py` beside this one and by the processes that they start.
"""

import os
import random
import string
import time
from pathlib import Path
from typing import Final

BLOB_BYTES: Final = 1_000_000


def inc(n: int, nap_s: float = 0.0, trace: str = "") -> int:
    """The next number; with a trace, one line when it begins and one when it has ended.

    Args:
        n: Also tells which step of a chain this is.
        nap_s: That it sleeps.
        trace: A file.
    """
    if trace:
        _say(trace, f"began {n} {os.getpid()}\n")
        time.sleep(nap_s)
        _say(trace, f"ended {n} {os.getpid()}\n")
    return n + 1


def blob() -> str:
    """Text of 1 MB that does not compress well; the same in each process."""
    return "".join(random.Random(1).choices(string.ascii_letters, k=BLOB_BYTES))


def bytes_below(folder: Path) -> int:
    """Of all files."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _say(trace: str, line: str) -> None:
    fd = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode("ascii"))
    os.close(fd)
