"""Sessions that a cell holds, in real kernels: what another process is told of them."""

import json
import signal
import sys
import time
from typing import Any

import pytest

from tests.flows.test_workers import told
from tests.kernels import DEADLINE_S, Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def held(kernel: Kernel) -> dict[str, Any]:
    """What is told of the session once its cell holds it."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        for view in json.loads(told(kernel, "--health").stdout).get("sessions", ()):
            assert view["pid"] == kernel.pid
            return dict(view)
    raise AssertionError("nothing holds the session")


def ended(kernel: Kernel, msg_id: str) -> None:
    kernel.interrupt()
    kernel.collect(msg_id, answers=["Ada"])


@promise("stuck.seen")
@pytest.mark.parametrize(
    ("code", "innermost"),
    [
        ("def f(): return sum(range(10**12))\nf()", "f"),
        ("import re; re.match(r'(a+)+$', 'a' * 40 + 'b')", "match"),
    ],
)
def test_a_cell_that_holds_the_gil_is_seen_with_its_stack(
    own: Kernel, code: str, innermost: str
) -> None:
    own.send(code)
    view = held(own)
    assert view["stack"][0]["function"] == innermost
    assert view["stack"][-1] == {
        "file": "cell", "line": code.count("\n") + 1, "function": "<module>"
    }  # fmt: skip
    assert (view["state"], view["cell"]["code"]) == ("running", code.partition("\n")[0])
    assert view["rss_bytes"] > 10_000_000
    text = told(own).stdout
    assert f"(pid {own.pid}) runs cell [1] for" in text
    assert "    cell:" in text
    assert own.stream("stderr") == ""
    own.kill()


@promise("stuck.seen")
@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("import time; time.sleep(60)", "sleeping"),
        ("input('name? ')", "waiting_input"),
        ("import subprocess; subprocess.run(['sleep', '60'])", "waiting_child"),
        ("import threading; threading.Event().wait(60)", "waiting_lock"),
        ("import threading; l = threading.Lock(); l.acquire(); l.acquire()", "waiting_lock"),
        ("import os; os.read(os.pipe()[0], 1)", "waiting_io"),
        ("while True: pass", "running"),
    ],
)
def test_what_a_cell_waits_for_is_told(kernel: Kernel, code: str, state: str) -> None:
    msg_id = kernel.send(code, allow_stdin=True)
    view = held(kernel)
    ended(kernel, msg_id)
    assert view["state"] == state
    assert view["stack"][-1]["file"] == "cell"


@promise("stuck.seen")
def test_of_many_threads_the_main_one_is_told(kernel: Kernel) -> None:
    code = (
        "import threading\nend = threading.Event()\n"
        "for _ in range(120): threading.Thread(target=end.wait).start()\n"
        "try: threading.Event().wait(60)\nfinally: end.set()"
    )
    msg_id = kernel.send(code)
    view = held(kernel)
    ended(kernel, msg_id)
    assert view["stack"][-1] == {"file": "cell", "line": 4, "function": "<module>"}


@promise("stuck.seen")
def test_a_thread_that_blocks_signals_is_not_taken_for_another_one(kernel: Kernel) -> None:
    code = (
        "import signal, time\nall_signals = signal.valid_signals() - {signal.SIGINT}\n"
        "before = signal.pthread_sigmask(signal.SIG_BLOCK, all_signals)\n"
        "try: time.sleep(60)\nfinally: signal.pthread_sigmask(signal.SIG_SETMASK, before)"
    )
    msg_id = kernel.send(code)
    view = held(kernel)
    ended(kernel, msg_id)
    assert (view["state"], view["stack"]) == ("sleeping", [])


@promise("stuck.seen")
def test_a_neighbour_in_the_home_sees_it_in_its_status(kernel: Kernel) -> None:
    msg_id = kernel.send("def f(): return sum(range(10**12))\nf()")
    held(kernel)
    with Kernel(home=kernel.home) as other:
        other.ready()
        status = other.run("%flow status").result or ""
        own = other.run("session = %flow\nlen(str(session).split('session '))").result
    (row,) = [row for row in status.splitlines() if "running for" in row]
    assert row.endswith("def f(): return sum(range(10**12)), at cell:1 in f")
    assert own is not None
    kernel.kill()
    kernel.restart()
    assert msg_id not in kernel.replies


@promise("stuck.seen")
def test_a_session_that_was_stopped_is_told_and_not_woken(kernel: Kernel) -> None:
    msg_id = kernel.send("import os, signal; os.kill(os.getpid(), signal.SIGSTOP); 'woken'")
    view = held(kernel)
    kernel.process.send_signal(signal.SIGCONT)
    assert (view["state"], view["stack"]) == ("stopped", [])
    assert kernel.collect(msg_id).result == "'woken'"


@promise("stuck.seen")
def test_an_idle_session_is_no_held_one(kernel: Kernel) -> None:
    assert kernel.run("1 + 1").result == "2"
    document = json.loads(told(kernel, "--json").stdout)
    assert [(view["state"], view["cell"]) for view in document["sessions"]] == [("idle", None)]
    assert "sessions" not in json.loads(told(kernel, "--health").stdout)
