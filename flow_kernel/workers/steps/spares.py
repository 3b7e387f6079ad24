"""Processes that are forked before they are wanted, each for one step.

Used by `host_process`. A fork takes most of its time afterwards: each page that the new process
writes to is copied then, and to look at an object is to write to it. A spare has rehearsed what
steps do, and has most of its pages by the time it is wanted.
"""

import io
import os
import socket
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from flow_kernel.workers import wire

_REHEARSED: Final = compile(
    """
import argparse, json, os, sys
from pathlib import Path

def main():
    parser = argparse.ArgumentParser(description="a step")
    parser.add_argument("--variables-file", required=True)
    options = parser.parse_args(["--variables-file", os.devnull])
    with open(options.variables_file, encoding="utf-8") as file:
        file.read()
    variables = json.loads('{"n": 1, "f": 1.5, "s": "a", "l": [1, null, true], "d": {}}')
    values = sorted(f"{name}={value!r}" for name, value in variables.items())
    print(json.dumps({"values": values, "path": str(Path("a") / "b")}), file=said)
    return os.path.join("a", "b")

if __name__ == "__main__":
    try:
        main()
        raise ValueError("no error")
    except ValueError as error:
        str(error)
""",
    "<rehearsal>",
    "exec",
)


def rehearse() -> None:
    """Do what most steps do, without an effect."""
    exec(_REHEARSED, {"__name__": "__main__", "said": io.StringIO()})  # noqa: S102 - our own code


class Spares:
    """Those of one host.

    Args:
        most: How many are to wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[int, socket.socket] = OrderedDict()
        self._leaving: set[int] = set()

    def __contains__(self, pid: int) -> bool:
        return pid in self._waiting or pid in self._leaving

    @property
    def are_wanted(self) -> bool:
        """True while fewer wait than are to."""
        return len(self._waiting) < self._most

    @property
    def are_used_up(self) -> bool:
        """True where none waits, and some are to."""
        return self._most > 0 and not self._waiting

    def fork(self) -> socket.socket | None:
        """Add one.

        Returns:
            In the new process where it will hear its order, else None.
        """
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            return None
        with ours, theirs:
            try:
                pid = os.fork()
            except OSError:
                return None
            if pid == 0:
                return socket.socket(fileno=theirs.detach())
            self._waiting[pid] = socket.socket(fileno=ours.detach())
            return None

    def give(self, order: dict[str, Any], fds: Sequence[int]) -> int | None:
        """Have one run a step.

        Returns:
            Its pid; None where none waits.
        """
        while self._waiting:
            pid, sock = self._waiting.popitem(last=False)
            with sock:
                try:
                    wire.send(sock, order, fds)
                except OSError:
                    continue  # somebody has killed it
                return pid
        return None

    def forget(self, pid: int) -> None:
        """It has ended."""
        self._leaving.discard(pid)
        sock = self._waiting.pop(pid, None)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Let them go; they end when nobody can speak to them."""
        self._leaving.update(self._waiting)
        for sock in self._waiting.values():
            sock.close()
        self._waiting.clear()
