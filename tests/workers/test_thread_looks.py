"""What real threads of this process and of others are seen to do."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flow_kernel.workers import thread_looks
from flow_kernel.workers.thread_looks import Doing, ThreadLook

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")

_TRIES: int = 2000


@contextmanager
def program(code: str) -> Iterator[int]:
    """A process that runs `code`; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def seen(pid: int, is_wanted: Callable[[ThreadLook], bool]) -> ThreadLook | None:
    """The first look at its main thread that is wanted; the last one where none is."""
    look = None
    for _ in range(_TRIES):
        look = thread_looks.look(pid, pid)
        if look is not None and is_wanted(look):
            break
        threading.Event().wait(0.005)
    return look


@pytest.mark.parametrize(
    ("code", "doing"),
    [
        ("while True: pass", Doing.COMPUTING),
        ("import time; time.sleep(600)", Doing.SLEEPING),
        ("import os; os.read(0, 1)", Doing.IO),
        ("import select; select.select([0], [], [])", Doing.IO),
        ("import subprocess; subprocess.run(['sleep', '600'])", Doing.CHILD),
        ("import queue; queue.Queue().get()", Doing.LOCK),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", Doing.STOPPED),
    ],
)
def test_a_thread_is_seen_to_do_what_it_does(code: str, doing: Doing) -> None:
    with program(code) as pid:
        look = seen(pid, lambda look: look.doing is doing)
        assert look is not None
        assert look.doing is doing


@pytest.mark.parametrize(
    ("code", "is_for_ever", "is_timed"),
    [
        ("import threading; threading.Event().wait()", True, False),
        ("import threading; threading.Event().wait(600)", False, True),
        ("import multiprocessing as m; l = m.Lock(); l.acquire(); l.acquire()", False, False),
    ],
)
def test_a_wait_that_only_its_own_process_can_end_is_told_from_others(
    code: str, *, is_for_ever: bool, is_timed: bool
) -> None:
    with program(code) as pid:
        look = seen(
            pid,
            lambda look: (
                look.doing is Doing.LOCK
                and (look.is_for_ever, look.is_timed) == (is_for_ever, is_timed)
            ),
        )
        assert look is not None
        assert (look.doing, look.is_for_ever, look.is_timed) == (
            Doing.LOCK, is_for_ever, is_timed,
        )  # fmt: skip


def test_computing_time_rises_and_that_of_a_sleeper_does_not() -> None:
    with program("while True: pass") as pid:
        first = seen(pid, lambda look: look.wanted_s > 0.05)
        assert first is not None
        assert seen(pid, lambda look: look.wanted_s > first.wanted_s + 0.05) is not None
    assert thread_looks.computed_s(os.getpid()) is not None


def test_of_a_process_that_is_gone_nothing_is_said() -> None:
    with program("pass") as pid:
        pass
    assert thread_looks.look(pid, pid) is None
    assert thread_looks.threads(pid) == frozenset()
    assert thread_looks.computed_s(pid) is None
    assert not thread_looks.catches(pid, signal.SIGUSR2)


def test_a_handler_is_seen() -> None:
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        assert thread_looks.catches(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert os.getpid() in thread_looks.threads(os.getpid())
