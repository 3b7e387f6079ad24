"""A program that updates the context of T-0001, run by the tests as a process of its own.

    HOME KEY COUNT SHARED

prints `ready`, waits for a line, and sets KEY to 0, 1, 2, … COUNT times (0: for ever), and the key
`shared` with it where SHARED is 1. Each number is printed once its update is acknowledged.
"""

import os
import sys
from pathlib import Path

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of


def main() -> None:
    home, key, count, shared = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1"
    flow = flow_of(Home(Path(home)), author=key)
    flow.task("T-0001")
    os.write(1, b"ready\n")
    sys.stdin.readline()
    n = 0
    while not count or n < count:
        flow.update_task_context("T-0001", {key: n, "shared": f"{key} {n}"} if shared else {key: n})
        os.write(1, b"%d\n" % n)
        n += 1
    flow.store.close()


if __name__ == "__main__":
    main()
