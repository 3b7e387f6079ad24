"""Isolated cells that say more than anybody reads: they wait, nothing grows, nothing is lost."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import groupby

import psutil
import pytest
import zmq

from flow_kernel.workers.messages import read
from tests.isolating import is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

MB = 1_000_000
LONG = "print('x' * 999_999)"
FLOODS = {
    "long prints": (f"for _ in range(300): {LONG}", 300 * MB),
    "one line flushed at a time": ("for i in range(6_000): print('line', flush=True)", 5 * 6_000),
    "native code": (
        "import subprocess\n_ = subprocess.run(['sh', '-c', 'yes 123456789 | head -c 50000000'])",
        50 * MB,
    ),
    "displays": (
        "from IPython.display import display\n"
        "for _ in range(300): display({'text/plain': 'x' * 1_000_000}, raw=True)",
        300 * MB,
    ),
}

PIECES = [('aé\n€😀"'[each % 6], (1 << each % 15) * (each % 97)) for each in range(90)]
"""Up to a megabyte and a half each, ten in all; with what JSON has to escape."""


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


class Reader:
    """A second client that reads when it is told to, and holds next to nothing till then."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._socket = kernel._context.socket(zmq.SUB)
        self._socket.rcvhwm = 1
        self._socket.subscribe(b"")
        self._socket.connect(kernel.manager._make_url("iopub"))
        while not self._socket.poll(50):
            kernel.ask("kernel_info_request", {})

    def close(self) -> None:
        self._socket.close(0)

    def read(self, msg_id: str) -> int:
        """Read to the end of a request; returns how much was said."""
        length = 0
        while self._socket.poll(20_000):
            self._kernel.pump(0)  # the first client reads as well
            message = read(self._socket.recv_multipart())
            if message is None or message.parent_id != msg_id:
                continue
            content = message.content
            if message.kind == "status" and content["execution_state"] == "idle":
                return length
            length += len(content.get("text", "")) + len(
                content.get("data", {}).get("text/plain", "")
            )
        raise TimeoutError(f"nothing more came after {length}")

    def texts(self, msg_ids: list[str], until: str) -> list[str]:
        """Read until each of some requests has said `until`; returns what each has said."""
        found = dict.fromkeys(msg_ids, "")
        while not all(until in text for text in found.values()):
            if not self._socket.poll(20_000):
                raise TimeoutError(f"nothing more came after {found}")
            self._kernel.pump(0)
            message = read(self._socket.recv_multipart())
            if message is not None and message.parent_id in found:
                found[str(message.parent_id)] += str(message.content.get("text", ""))
        return [*found.values()]


@contextmanager
def peaks(*pids: int) -> Iterator[list[int]]:
    """How much each process grows within, in bytes; told at the end."""
    processes = [psutil.Process(pid) for pid in pids]
    before = [process.memory_info().rss for process in processes]
    grown = [0] * len(pids)
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            for at, process in enumerate(processes):
                grown[at] = max(grown[at], process.memory_info().rss - before[at])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield grown
    finally:
        is_over.set()
        thread.join()


def worker_of(kernel: Kernel) -> int:
    return int(ok(kernel, "%%isolated\nimport os, subprocess; print(os.getpid())"))


def comes_to_rest(kernel: Kernel, pid: int) -> None:
    """Wait until a worker only naps: it has used next to no processor for half a second."""
    used = [-1.0]

    def rests() -> bool:
        before, used[0] = used[0], sum(psutil.Process(pid).cpu_times()[:2])
        return not kernel.wait(lambda: False, timeout=0.5, fail=False) and used[0] - before < 0.05

    kernel.wait(rests)


@promise("isolated.relay")
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_waits_for_the_slowest_client_and_loses_nothing(kernel: Kernel, kind: str) -> None:
    code, length = FLOODS[kind]
    pid = worker_of(kernel)
    with closing(Reader(kernel)) as reader, peaks(kernel.pid, pid) as grown:
        msg_id = kernel.send(f"%%isolated\n{code}")
        comes_to_rest(kernel, pid)
        kernel.iopub.clear()
        assert reader.read(msg_id) == length
        assert kernel.collect(msg_id).status == "ok"
    assert max(grown) < 120 * MB, grown


@promise("isolated.relay")
def test_a_flood_that_is_read_at_once_keeps_its_end_in_its_cell(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with peaks(kernel.pid, pid) as grown:
        for _ in range(5):
            ran = kernel.run(f"%%isolated\nfor _ in range(40): {LONG}")
            assert len(ran.stdout) == 40 * MB
    assert max(grown) < 120 * MB, grown


@promise("isolated.relay")
def test_pieces_of_every_size_arrive_whole_at_a_client_that_reads_late(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with closing(Reader(kernel)) as reader:
        msg_id = kernel.send(
            f"%%isolated\nimport sys\nfor each, times in {PIECES}: sys.stdout.write(each * times)\n"
            "print('end')"
        )
        comes_to_rest(kernel, pid)
        (text,) = reader.texts([msg_id], "end\n")
        assert kernel.collect(msg_id).status == "ok"
    assert text == "".join(each * times for each, times in PIECES) + "end\n"


@promise("isolated.relay", "isolated.survives")
def test_what_a_killed_worker_has_said_is_whole_and_in_order(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nimport os, sys\n"
        "for each in 'abcdef': sys.stdout.write(each * 999_999 + '\\n')\n"
        "os.kill(os.getpid(), 9)"
    )
    assert ran.status == "error"
    assert (ran.reply["ename"], ran.stdout[-5:]) == ("WorkerDied", "ffff\n")
    lines = ran.stdout.splitlines()
    letters = [line[0] for line in lines]
    assert letters == sorted(set(letters))
    assert all(line == line[0] * len(line) for line in lines)
    assert [len(line) for line in lines if len(line) != 999_999][1:] == []
    assert len(kernel.run(f"%%isolated\n{LONG}").stdout) == MB


@promise("isolated.relay")
def test_text_comes_before_what_was_shown_after_it(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nfrom IPython.display import display\n"
        "for i in range(200):\n    print('x' * 50_000, i); display(i)"
    )
    kinds = [kind for kind, _ in groupby(m["msg_type"] for m in ran.messages)]
    assert kinds == ["stream", "display_data"] * 200


@promise("isolated.relay", "isolated.interrupt")
def test_an_interrupt_ends_a_cell_that_waits_for_a_client(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with closing(Reader(kernel)) as reader:
        msg_id = kernel.send(f"%%isolated\nwhile True: {LONG}")
        comes_to_rest(kernel, pid)
        kernel.interrupt()
        kernel.wait(lambda: msg_id in kernel.replies)
        assert kernel.replies[msg_id]["content"]["ename"] == "KeyboardInterrupt"
        assert reader.read(msg_id) > 0
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert worker_of(kernel) == pid


@promise("isolated.relay", "isolated.survives")
def test_a_worker_that_is_killed_while_it_waits_is_told_of(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with closing(Reader(kernel)):
        msg_id = kernel.send(f"%%isolated\nwhile True: {LONG}")
        comes_to_rest(kernel, pid)
        os.kill(pid, signal.SIGKILL)
        kernel.wait(lambda: msg_id in kernel.replies)
        assert kernel.replies[msg_id]["content"]["ename"] == "WorkerDied"
    assert kernel.collect(msg_id).status == "error"
    assert is_gone(pid)
    assert ok(kernel, "%%isolated\n1 + 1") == "2"
