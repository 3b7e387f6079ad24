"""A program that records until it is killed or done; run by the tests as a process of its own.

It reads one line a task from standard input, `HOME SESSION COUNT SIZES TASKS` (COUNT 0: for ever,
SIZES and TASKS with commas), forks a writer for each, and prints

    start PID       the writer runs
    NUMBER          that record is acknowledged
    end STATUS      the writer has ended; negative: by that signal

A fork of a process that has imported everything is a writer after a millisecond, not a hundred.
"""

import os
import sys
from pathlib import Path

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.settings import JournalSettings


def write(home: str, session: str, count: str, sizes: str, tasks: str) -> None:
    journal = Journal(Home(Path(home)), session, settings=JournalSettings(rotate_bytes=400_000))
    texts = ["x" * int(size) for size in sizes.split(",")]
    names = tasks.split(",")
    n = 0
    while not int(count) or n < int(count):
        task = names[n % len(names)]
        seq = journal.append("late", "local", task, {"n": n, "text": texts[n % len(texts)]})
        os.write(1, b"%d\n" % (seq or 0))
        n += 1
    journal.close()


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.write(1, b"start %d\n" % os.getpid())
            write(*line.split())
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"end %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
