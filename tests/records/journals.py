"""What the tests of the journal share: homes, records read by hand, and writers that are processes.

Records are read with json and zlib here, as any other program would read them, not with our codec.
"""

import hashlib
import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal

# Example counts that run in a second or so; a loaded machine is no failure.
few = settings(max_examples=30, deadline=None)
many = settings(
    max_examples=200,
    deadline=None,
    # A machine with much else to do needs seconds for the first text.
    suppress_health_check=[HealthCheck.too_slow],
)

SESSION = "5e" * 16
OTHER = "07" * 16
NO_LINK = "0" * 16
# Longer than a journal trusts that a path still leads to its file.
A_MOMENT_S = 0.002


# For programs: what a cell may do to the modules that we use.
PATCH = """
import builtins, codecs, hashlib, json, os, pathlib, re, shutil, sys, threading, time, zlib
def ruin(*modules, put=setattr):
    for module, names in [(m, [n for n in vars(m) if not n.startswith("_")]) for m in modules]:
        for name in names:
            put(module, name, None)
"""


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file, empty ones left out."""
    return [line for line in path.read_bytes().split(b"\n") if line]


def read_by_hand(path: Path) -> list[dict[str, Any]]:
    """The records of a file, each checked against its checksum and its `prev`."""
    records, links = [], {}
    for line in lines_of(path):
        head, _, crc = line.rpartition(b',"crc":')
        assert crc == b'"%08x"}' % zlib.crc32(head), line[:200]
        record = json.loads(line)
        assert record["prev"] == links.get(record["session"], NO_LINK), line[:200]
        links[record["session"]] = hashlib.sha256(line).hexdigest()[:16]
        records.append(record)
    return records


def seqs_of(home: Home, session: str | None = None) -> list[int]:
    """The numbers in all logs of a home, sorted."""
    return sorted(
        record["seq"]
        for path in home.log_files()
        for record in read_by_hand(path)
        if session in (None, record["session"])
    )


@contextmanager
def little_stack(frames: int) -> Iterator[None]:
    """Leave room for so many more calls, as a cell does that sets a low recursion limit."""
    before = sys.getrecursionlimit()
    limit = 30
    while True:
        try:
            sys.setrecursionlimit(limit)
            break
        except RecursionError:  # lower than the stack that is in use
            limit += 1
    try:
        sys.setrecursionlimit(limit + frames)
        yield
    finally:
        sys.setrecursionlimit(before)


Make = Callable[..., Journal]


@contextmanager
def journals_on(home: Home) -> Iterator[Make]:
    """Makes journals on a home, and closes them."""
    made: list[Journal] = []

    def make(session: str = SESSION, **options: Any) -> Journal:
        made.append(Journal(home, session, **options))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


def note(journal: Journal, text: object = "x", *, task: str = "T-0000") -> int | None:
    """Write one small record."""
    return journal.append("late", "local", task, {"text": text})


def a_moment() -> None:
    """Let as much time pass as a cell takes at least."""
    threading.Event().wait(A_MOMENT_S)


def all_at_once(actions: list[Callable[[], None]]) -> None:
    """Run each action in a thread of its own, all starting at the same moment."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        try:
            barrier.wait(10)
            action()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def run_python(program: str, *arguments: object, under: tuple[str, ...] = ()) -> str:
    """Run a program in a fresh interpreter; its output, once it has ended well."""
    done = subprocess.run(
        [*under, sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
