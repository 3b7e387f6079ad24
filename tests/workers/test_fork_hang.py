"""Real processes that wait for a lock for ever, and others that only look like it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from flow_kernel.workers import fork_hang, thread_looks
from flow_kernel.workers.fork_hang import HangWatch, look
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


@pytest.mark.parametrize(
    "code",
    [
        "import multiprocessing as mp; mp.get_context('fork').Event().wait()",
        "import signal, threading; rung = threading.Event()\n"
        "signal.signal(signal.SIGALRM, lambda *_: rung.set()); signal.alarm(60); rung.wait()",
    ],
    ids=["memory that others share", "an alarm"],
)
def test_whoever_waits_for_what_cannot_be_seen_is_not(
    started: list[subprocess.Popen[bytes]], code: str
) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    started.append(process)

    def waits_for_a_lock() -> bool:
        seen = thread_looks.look(process.pid, process.pid)
        return seen is not None and seen.doing is thread_looks.Doing.LOCK

    until(waits_for_a_lock)
    seen = look(process.pid)
    assert seen is not None
    assert not seen.is_waiting


def test_who_looks_at_the_threads_uses_the_processor_for_itself(
    started: list[subprocess.Popen[bytes]],
) -> None:
    code = (
        "import threading, os\n"
        "def busy():\n"
        "    os.write(1, b'%d\\n' % threading.get_native_id())\n"
        "    while True: pass\n"
        "threading.Thread(target=busy).start(); threading.Event().wait()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    started.append(process)
    assert process.stdout is not None
    busy = frozenset((int(process.stdout.readline()),))

    def waits() -> bool:
        seen = look(process.pid, without=busy)
        return seen is not None and seen.is_waiting

    until(waits)
    before, all_before = look(process.pid, without=busy), look(process.pid)
    assert all_before is not None

    def has_used_more() -> bool:
        seen = look(process.pid)
        return seen is not None and seen.ticks > all_before.ticks + 10

    until(has_used_more)
    assert look(process.pid, without=busy) == before


def _waits_once_told(started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """A process that waits for ever for a lock of its own, after `_tell`."""
    code = "import os, _thread; os.read(0, 1); lock = _thread.allocate_lock()"
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", f"{code}; lock.acquire(); lock.acquire()"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    started.append(process)
    return process


def _tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b".")
    process.stdin.flush()


def test_a_copy_that_used_nothing_between_two_looks_and_waits_then_is_told(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_hang, "_BEGINNING_S", 60.0)  # however long it takes to begin
    process = _waits_once_told(started)
    watch, began_s = HangWatch(process.pid), time.monotonic()
    until(lambda: watch.look() == "" and time.monotonic() - began_s > 0.5)
    _tell(process)

    until(lambda: watch.look() == "tell")
    assert watch.has_hung


def test_a_wait_that_is_seen_after_the_beginning_may_have_begun_after_it(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is a fake: who looks has no processor at the end of the beginning."""
    clock = [0.0]
    monkeypatch.setattr(fork_hang, "_monotonic", lambda: clock[-1])
    process = _waits_once_told(started)
    watch = HangWatch(process.pid)

    def look_at(now_s: float) -> str:
        clock.append(now_s)
        return watch.look()

    first = look_at(1.9)
    _tell(process)

    def waits() -> bool:
        seen = look(process.pid)
        return seen is not None and seen.is_waiting

    until(waits)
    later = [look_at(now_s) for now_s in (2.1, 3.2, 3.4)]

    assert (first, later, watch.has_hung) == ("", [""] * 3, False)
