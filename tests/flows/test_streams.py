"""stdout and stderr of a kernel: everything that is written arrives, however it ends."""

import time
from collections.abc import Iterator

import pytest

from tests.kernels import DEADLINE_S, Kernel
from tests.pairs import Pair
from tests.promises import promise


@pytest.fixture
def cold() -> Iterator[Kernel]:
    """A kernel that ends as one of a user's does."""
    with Kernel(is_cold=True) as kernel:
        yield kernel.ready()


def _rest_of(kernel: Kernel) -> str:
    """What stdout says until the process has ended and all of it is here."""
    until_s = time.monotonic() + DEADLINE_S
    while kernel.process.poll() is None and time.monotonic() < until_s:
        kernel.pump(0.05)  # a client that does not read has messages dropped
    while kernel.pump(0.5):
        pass
    assert kernel.process.poll() is not None
    return kernel.stream()


@promise("send.whole")
def test_what_is_printed_just_before_the_end_arrives(cold: Kernel) -> None:
    cold.run(
        "import atexit, sys, threading\n"
        "atexit.register(print, 'at the very end')\n"
        "print('before the exit')"
    )
    cold.send("print('last cell'); get_ipython().ask_exit(); print('and last line')")

    text = _rest_of(cold)
    assert text == "before the exit\nlast cell\nand last line\nat the very end\n"


@promise("send.whole")
def test_a_shutdown_loses_no_text_and_no_thread_that_prints_breaks_it(cold: Kernel) -> None:
    cold.run(
        "import threading, time\n"
        "def talk(sleep=time.sleep):  # IPython clears its globals at the end, as in stock\n"
        "    while True:\n"
        "        for _ in range(10): print('x' * 100, flush=True)\n"
        "        sleep(0.02)  # a client that is far behind at the end is left behind\n"
        "for _ in range(2): threading.Thread(target=talk, daemon=True).start()"
    )
    cold.run("import atexit; atexit.register(print, 'good bye')")
    cold.request("shutdown_request", {"restart": False}, channel="control")

    assert "good bye\n" in _rest_of(cold)
    assert cold.process.returncode == 0
    assert "Error" not in cold.said()


@promise("send.whole")
@pytest.mark.parametrize(
    "code",
    [
        "n = sys.stdout.write('x' * 10_000_000); n",
        "sys.stdout.write('')",
        "class Text(str):\n    def __str__(self): return 'other'\n"
        "    def __len__(self): return 3\n"
        "sys.stdout.write(Text('a text of its own'))",
        "sys.stdout.writelines(['a', 'b'])",
        "try: sys.stdout.write(b'bytes')\nexcept TypeError as error: print(error)",
        "print('\\0 \\x1b[1m \\r\\n \\u2028 \\U0001f600')",
        "with open('f', 'w') as f: print('file', file=f)\nopen('f').read()",
        "sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.writable(), sys.stdout.closed",
    ],
)
def test_each_kind_of_write_does_what_it_does_in_stock(pair: Pair, code: str) -> None:
    pair.run("import sys")
    (stock,), (ours,) = pair.run(code)

    assert ours.effects() == stock.effects()


@promise("send.whole")
def test_bytes_of_a_descriptor_come_behind_the_text_before_them_as_in_stock(pair: Pair) -> None:
    code = "import os, sys\nprint('py'); sys.stdout.flush(); _ = os.write(1, b'fd\\n')"

    def seen(kernel: Kernel) -> list[str]:
        ran = kernel.run(code)
        # A thread reads them, in its own time: they may come behind the end of the cell.
        kernel.wait(lambda: "fd\n" in kernel.stream(parent=ran.msg_id))
        return [ran.status, kernel.stream(parent=ran.msg_id)]

    assert pair.both(seen) == (["ok", "py\nfd\n"],) * 2


@promise("send.whole")
def test_a_lone_surrogate_arrives_escaped_and_costs_no_other_text(flow: Kernel) -> None:
    ran = flow.run("print('before'); print('\\ud800'); print('after')")

    assert ran.stdout == "before\n\\ud800\nafter\n"


@promise("send.whole")
def test_a_closed_stream_refuses_text_as_in_stock(fresh_pair: Pair) -> None:
    (stock,), (ours,) = fresh_pair.run(
        "import sys\nout = type(sys.stdout)(sys.stdout.session, sys.stdout.pub_thread, 'stdout', "
        "watchfd=False)\n"
        "out.write('of no cell'); out.close(); out.close()\n"
        "try: out.write('x')\nexcept ValueError as error: print(error, out.closed)"
    )

    assert ours.stdout == stock.stdout == "I/O operation on closed file True\n"


@promise("send.whole")
def test_text_of_a_short_cell_is_seen_while_it_goes_on(flow: Kernel) -> None:
    msg_id = flow.send(
        "import os, time\nprint('now')\n"
        "while not os.path.exists('seen'): time.sleep(0.01)\nprint('later')"
    )
    flow.wait_for_text("now")
    assert msg_id not in flow.replies
    (flow.cwd / "seen").touch()

    assert flow.collect(msg_id).stdout == "now\nlater\n"


@promise("send.whole")
def test_prints_of_handlers_tracers_and_finalizers_arrive_and_hang_nothing(own: Kernel) -> None:
    ran = own.run(
        "import gc, signal, sys\n"
        "class Last:\n"
        "    def __init__(self): self.me = self\n"
        "    def __del__(self): print('<f>', flush=True)\n"
        "def trace(frame, event, arg):\n"
        "    if frame.f_code.co_name == 'send_frames' and event == 'call':\n"
        "        sys.settrace(None); print('<t>', flush=True); sys.settrace(trace)\n"
        "heard = 0\n"
        "def hear(*_):\n"
        "    global heard\n    heard += 1\n    print('<s>', flush=True)\n"
        "signal.signal(signal.SIGALRM, hear)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.01)\n"
        "sys.settrace(trace)\n"
        "for n in range(500):\n"
        "    print(n, flush=True); print(n, file=sys.stderr)\n"
        "    Last(); gc.collect(0)\n"
        "sys.settrace(None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "print('heard', heard)"
    )

    assert ran.status == "ok"
    # A print is two writes: what a handler says may stand between a number and its line's end.
    text = ran.stdout
    counts = {mark: text.count(mark) for mark in ("<f>", "<s>")}
    assert "<t>" in text
    for mark in ("<f>", "<s>", "<t>"):
        text = text.replace(mark, " ")
    *numbers, _, heard = text.split()
    assert counts == {"<f>": 500, "<s>": int(heard)}
    assert numbers == ran.stderr.split() == [str(n) for n in range(500)]
