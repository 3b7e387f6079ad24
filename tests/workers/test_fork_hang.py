"""Real processes that wait for a lock for ever, and others that only look like it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from flow_kernel.workers import thread_looks
from flow_kernel.workers.fork_hang import look
from tests.workers.trees import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_READY = "import os, subprocess, threading, time; os.write(1, b'.')\n"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _settles(started: list[subprocess.Popen[bytes]], code: str, *, waits: bool) -> bool:
    """True once two looks in a row say `waits`, and that the process has used nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", _READY + code], stdout=subprocess.PIPE, start_new_session=True
    )
    started.append(process)
    assert process.stdout is not None
    process.stdout.read(1)
    before, deadline_s = look(process.pid), time.monotonic() + 20
    in_a_row = 0
    while time.monotonic() < deadline_s:
        now = look(process.pid)
        is_so = now is not None and now.is_waiting is waits and (not waits or now == before)
        in_a_row, before = in_a_row + 1 if is_so else 0, now
        if in_a_row == 20:
            return True
    return False


@pytest.mark.parametrize(
    "code",
    [
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "threading.Thread(target=threading.Event().wait).start(); threading.Event().wait()",
    ],
)
def test_threads_that_all_wait_for_ever_are_told(
    started: list[subprocess.Popen[bytes]], code: str
) -> None:
    assert _settles(started, code, waits=True)


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "time.sleep(60)",
        "threading.Event().wait(60)",
        "threading.Thread(target=time.sleep, args=(60,)).start(); threading.Event().wait()",
        "subprocess.Popen(['sleep', '60']); threading.Event().wait()",
    ],
)
def test_whoever_may_go_on_is_not(started: list[subprocess.Popen[bytes]], code: str) -> None:
    assert _settles(started, code, waits=False)


def test_whoever_waits_in_memory_that_others_share_is_not(
    started: list[subprocess.Popen[bytes]],
) -> None:
    code = "import multiprocessing as mp; mp.get_context('fork').Event().wait()"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    started.append(process)

    def waits_for_a_lock() -> bool:
        seen = thread_looks.look(process.pid, process.pid)
        return seen is not None and seen.doing is thread_looks.Doing.LOCK

    until(waits_for_a_lock)
    seen = look(process.pid)
    assert seen is not None
    assert not seen.is_waiting
