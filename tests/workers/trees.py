"""Trees of real processes to look at and to kill, and the bounded wait for what becomes of them.

Used by the tests of this folder. A program adopts and reaps all that its descendants leave behind,
and ends everything that carries its tags or is below it; so nothing stays, whatever a test finds.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import psutil

ROOT: Final = Path(__file__).parents[2]
DEADLINE_S: Final = 20.0

_WORDS: Final = """
import os, signal, subprocess, sys, threading, time
from flow_kernel.workers import sweep

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def rest():
    signal.alarm(60)  # whatever becomes of the test
    while True:
        signal.pause()

def fork(work=rest):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid

def twice(work=rest):
    "Fork, fork again, end the one between: nobody below is the parent of what is left."
    gate, key = os.pipe()
    os.waitpid(fork(lambda: fork(lambda: (os.read(gate, 1), work()))), 0)
    os.write(key, b".")
    os.close(gate)
    os.close(key)

def apart(work=rest):
    "What a daemon does first: a session of its own."
    os.setsid()
    work()

def bare(program="import signal; signal.alarm(60); signal.pause()"):
    "Become another program with an empty environment."
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", program], {})

def report(work=rest):
    "Tell the own number, then go on."
    tell(os.getpid())
    work()

sweep.become_subreaper()
"""


class Program:
    """A Python program that forks and tells numbers, line by line.

    Args:
        code: What it does; the words above are at hand.
        tag: What it carries; None for nothing.
    """

    def __init__(self, code: str, *, tag: str | None = None) -> None:
        env = {name: value for name, value in os.environ.items() if name != "FLOW_WORKER_TAG"}
        self._tags = {tag} if tag else set()
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{_WORDS}\n{code}"],
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
            env=env | ({"FLOW_WORKER_TAG": tag} if tag else {}),
        )
        self.pid = self.process.pid
        self._buffer = b""

    def also_ends(self, tag: str) -> None:
        """Another tag of what it starts."""
        self._tags.add(tag)

    def line(self) -> str:
        """The next line that anything in the tree writes."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self._buffer:
            assert select.select([fd], [], [], DEADLINE_S)[0], "the program is silent"
            piece = os.read(fd, 65536)
            assert piece, "the program has ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def number(self) -> int:
        """The next line, a number."""
        return int(self.line())

    def numbers(self, count: int) -> set[int]:
        """The next lines, numbers."""
        return {self.number() for _ in range(count)}

    def kill(self) -> int:
        """SIGKILL; what `wait` says of it."""
        self.process.kill()
        return self.process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # psutil, because what is tested here may be wrong. The root goes last: it adopts.
        until(lambda: not self._end_what_is_left())
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _end_what_is_left(self) -> list[int]:
        left = [pid for pid in self._left() if pid != self.pid and runs(pid)]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def _left(self) -> Iterator[int]:
        with suppress(psutil.Error):
            yield from [p.pid for p in psutil.Process(self.pid).children(recursive=True)]
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("FLOW_WORKER_TAG") in self._tags:
                    yield process.pid


def new_tag() -> str:
    """A tag that nobody has."""
    return uuid.uuid4().hex


def runs(pid: int) -> bool:
    """False for a zombie as well."""
    return status_of(pid) != psutil.STATUS_ZOMBIE


def status_of(pid: int) -> str:
    """What psutil calls it; who is gone was a zombie last."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


def all_gone(*pids: int) -> bool:
    """True when none of them runs."""
    return not any(map(runs, pids))


def strike(pid: int, number: int) -> None:
    """Send a signal that stops or ends, and see that it has.

    Until one of its threads gets a processor none of them heeds it, and all others go on.
    """
    os.kill(pid, number)
    until(lambda: status_of(pid) in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED))


def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    tick, deadline = threading.Event(), time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"
        tick.wait(0.005)
