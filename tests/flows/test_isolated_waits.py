"""Workers that wait for slow clients: whatever their code does meanwhile, nobody waits for ever."""

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.flows.test_isolated_flood import LONG, MB, Reader, comes_to_rest, peaks, worker_of
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

THREADS = """%%isolated
import threading
def go():
    for _ in range(200): print('x' * 999, flush=True)
threads = [threading.Thread(target=go) for _ in range(12)]
for each in threads: each.start()
for each in threads: each.join()
"""
FINALIZER = """%%isolated
import gc
class Prints:
    def __del__(self): print('d' * 200_000)
gc.collect(); gc.freeze()
for turn in range(24):
    gc.disable()
    for _ in range(100):
        each = Prints(); each.itself = each
    del each
    gc.set_threshold(gc.get_count()[0] + 1 + turn % 8, 1000, 1000); gc.enable()
    print('.'); gc.disable(); gc.collect()
"""
SIGNAL = """%%isolated
import random, signal, time
def handle(*_):
    for _ in range(50): print('h' * 400_000)
signal.signal(signal.SIGALRM, handle)
for _ in range(10):
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.003))
    until = time.time() + 0.01
    while time.time() < until: print('.', end='')
"""
BUFFERS = """%%isolated
import comm
c = comm.create_comm(target_name='flow.test', data={})
for _ in range(60): c.send({'a': 1}, buffers=[b'x' * 5_000_000])
"""
STRANGE_MARK = """%%isolated
kernel = get_ipython().kernel
for spent in (-1, 1 << 70, 'x', None):
    kernel.session.send(kernel.iopub_socket, 'flow_mark', {'spent': spent})
"""


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


@promise("isolated.relay")
def test_no_line_of_many_threads_is_dropped_for_a_slow_client(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with closing(Reader(kernel)) as reader:
        msg_id = kernel.send(THREADS)
        comes_to_rest(kernel, pid)
        kernel.iopub.clear()
        assert reader.read(msg_id) == 12 * 200 * 1000


@promise("isolated.relay")
def test_no_line_of_several_workers_is_dropped_for_a_slow_client(kernel: Kernel) -> None:
    code = (
        "import threading, os, time\ndef go():\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    for _ in range(600): print('x' * 999, flush=True)\n"
        "    print('the end', flush=True)\n"
        "threading.Thread(target=go).start(); print(f'pid:{os.getpid()}:')"
    )
    with closing(Reader(kernel)) as reader:
        ran = [kernel.run(f"%%isolated --worker n{number}\n{code}") for number in range(5)]
        (kernel.cwd / "go").touch()  # a cell that comes later would have to wait with the others
        for each in ran:
            comes_to_rest(kernel, int(each.stdout.partition("pid:")[2].partition(":")[0]))
        found = reader.texts([each.msg_id for each in ran], until="the end")
    assert [text.count("x" * 999) for text in found] == [600] * 5


@promise("isolated.relay")
@pytest.mark.parametrize("code", [FINALIZER, SIGNAL], ids=["finalizer", "signal"])
def test_what_prints_within_a_print_waits_for_nobody(kernel: Kernel, code: str) -> None:
    assert kernel.run(code).status == "ok"


@promise("isolated.relay")
def test_buffers_of_comms_count(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    with closing(Reader(kernel)) as reader, peaks(kernel.pid, pid) as grown:
        msg_id = kernel.send(BUFFERS)
        comes_to_rest(kernel, pid)
        assert msg_id not in kernel.replies
        reader.read(msg_id)
        assert kernel.collect(msg_id).status == "ok"
    assert max(grown) < 120 * MB, grown


@promise("isolated.relay", "isolated.interrupt")
def test_an_interrupt_reaches_a_cell_that_awaits_while_it_waits(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    flood = f"import asyncio\nwhile True:\n    {LONG}; await asyncio.sleep(0)"
    with closing(Reader(kernel)):
        msg_id = kernel.send(f"%%isolated\n{flood}")
        comes_to_rest(kernel, pid)
        kernel.interrupt()
        kernel.wait(lambda: msg_id in kernel.replies)
        assert kernel.replies[msg_id]["content"]["ename"] != "WorkerDied"
    kernel.collect(msg_id)
    assert worker_of(kernel) == pid


@promise("isolated.relay")
def test_a_strange_word_of_a_worker_costs_nothing_else(kernel: Kernel) -> None:
    ok(kernel, STRANGE_MARK)
    assert len(ok(kernel, f"%%isolated\nfor _ in range(40): {LONG}")) == 40 * MB


@promise("isolated.relay", "isolated.interrupt")
def test_a_handler_that_was_set_while_it_waits_stays(kernel: Kernel) -> None:
    pid = worker_of(kernel)
    polite_first = (
        "import signal\ndef first(*_): signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"signal.signal(signal.SIGINT, first)\nwhile True: {LONG}"
    )
    with closing(Reader(kernel)):
        msg_id = kernel.send(f"%%isolated\n{polite_first}")
        comes_to_rest(kernel, pid)
        kernel.interrupt()  # which is said once more by itself where the first one changes nothing
        kernel.wait(lambda: msg_id in kernel.replies)
        assert kernel.replies[msg_id]["content"]["ename"] == "KeyboardInterrupt"
    kernel.collect(msg_id)
    assert worker_of(kernel) == pid
