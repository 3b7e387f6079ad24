"""Marks a process that was forked and executes nothing, and all that it forks.

Called by `shell.forked.apart` in a copy of the session.

The system shows the environment that a process was *executed* with. `sweep.wear` overwrites a mark
that is there already; a session has none. So entries at the beginning of that memory are moved out
of it, by setting them to what they are, and the mark takes their place.

Source: proc_pid_environ(5); setenv(3) puts the new text elsewhere.
"""

import os
from typing import Final

from flow_kernel.workers import sweep

# Fields 50 and 51 of stat, counted from the state.
_ENV_START: Final = 47
_READ_BYTES: Final = 1 << 16


def wear(tag: str) -> bool:
    """Make `tag` the mark of this process and of what it starts from now on; about 60 us.

    Returns:
        False where its memory has no room; programs that it executes carry the tag all the same.
    """
    mark = f"{sweep.TAG_NAME}={tag}".encode() + b"\0"
    try:
        environment = _content("/proc/self/environ")
        stat = _content("/proc/self/stat")
        start = int(stat[stat.rfind(b")") + 2 :].split()[_ENV_START])
        room = 0
        for entry in environment.split(b"\0"):
            if room >= len(mark):
                break
            name, equals, _ = entry.partition(b"=")
            if equals and (value := os.environb.get(name)) is not None:
                os.putenv(name, value)
            room += len(entry) + 1
        if start <= 0 or room < len(mark) or room > len(environment):
            return False
        memory = os.open("/proc/self/mem", os.O_RDWR)
        try:
            # What is left of the last entry that was moved stays empty.
            os.pwrite(memory, mark.ljust(room, b"\0"), start)
        finally:
            os.close(memory)
    except (OSError, ValueError, IndexError):
        return False
    finally:
        os.environ[sweep.TAG_NAME] = tag
    return True


def _content(path: str) -> bytes:
    """By the system's calls: a `Path` makes a copy touch four times as many pages."""
    fd = os.open(path, os.O_RDONLY)
    pieces: list[bytes] = []
    try:
        while piece := os.read(fd, _READ_BYTES):
            pieces.append(piece)
    finally:
        os.close(fd)
    return b"".join(pieces)
