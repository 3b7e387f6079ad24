"""How many threads of this process a fork would leave behind.

Used by the zygote of workers and by the host of steps, which fork only where there is one.

A library whose own handlers bring a thread through a fork is as fit for one as any other. The
import of pyarrow, and so that of pandas where pyarrow is installed, starts one of jemalloc, which
stops it before a fork and does without it in the child.

Source: jemalloc's background_thread.c (prefork, postfork_child); proc_pid_comm(5).
"""

import os

_STAYS_FIT = frozenset((b"jemalloc_bg_thd\n",))


def threads() -> int:
    """Of this process, without those that a fork does no harm; 1 where the system does not say."""
    try:
        found = os.listdir("/proc/self/task")  # noqa: PTH208 - names only, and it is much faster
    except OSError:
        return 1
    return 1 if len(found) == 1 else sum(map(_counts, found))


def _counts(tid: str) -> bool:
    try:
        with open(f"/proc/self/task/{tid}/comm", "rb", 0) as file:  # noqa: PTH123 - lean
            return file.read() not in _STAYS_FIT
    except OSError:  # it has ended
        return False
