"""Jobs that go straight to the main thread of their worker keep their place among the rest."""

import sys

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

ONE_COMM = (
    "%%isolated --worker line\nimport comm\nheard = []\n"
    "c = comm.create_comm(target_name='flow.line')\n"
    "c.on_msg(lambda m: heard.append(m['content']['data']))\nprint(c.comm_id)"
)
TOOLKIT = """\
%%isolated --worker gui
import time
from ipykernel.eventloops import get_shell_stream, register_integration
turns = 0
@register_integration("flow")
def loop(kernel):
    global turns
    stream, until_s = get_shell_stream(kernel), time.monotonic() + kernel._poll_interval
    while not stream.flush(limit=1) and time.monotonic() < until_s:
        turns += 1
        time.sleep(0.001)
@loop.exit
def leave(kernel):
    pass
%gui flow
"""
CUT_OFF = """\
%%isolated
import os
for fd in os.listdir("/proc/self/fd"):
    path = f"/proc/self/fd/{fd}"
    if os.path.islink(path) and "flow-last-words" in os.readlink(path):
        try:
            os.ftruncate(int(fd), 0)
        except OSError as error:
            print(type(error).__name__)
"""
HAS_LINE = "get_ipython().kernel.line is not None"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs go as all else")


@promise("isolated.relay")
def test_a_cell_stands_behind_what_a_client_has_said_to_a_comm_before_it(own: Kernel) -> None:
    comm_id = ok(own, ONE_COMM).strip()
    assert ok(own, f"%%isolated --worker line\n{HAS_LINE}") == "True"
    for n in range(100):
        own.request("comm_msg", {"comm_id": comm_id, "data": n})
        assert ok(own, "%%isolated --worker line\nheard[-1], len(heard)") == f"({n}, {n + 1})"


@promise("isolated.survives")
def test_a_cell_right_behind_one_that_failed_runs(own: Kernel) -> None:
    for n in range(100):  # ipykernel aborts what is queued behind an error, for a moment
        assert own.run("%%isolated\n1 / 0").status == "error"
        assert ok(own, f"%%isolated\n{n}") == str(n)


@promise("isolated.relay")
def test_a_cell_of_any_length_runs(own: Kernel) -> None:
    for length in (10, 60_000, 70_000, 1_000_000, 10):
        assert ok(own, f"%%isolated\nlen('{'x' * length}')") == str(length)


@promise("isolated.relay")
def test_a_worker_whose_loop_a_gui_keeps_runs_cells(own: Kernel) -> None:
    ok(own, TOOLKIT)
    for n in range(5):
        assert ok(own, f"%%isolated --worker gui\n{n}") == str(n)
    assert ok(own, "%%isolated --worker gui\nturns > 0") == "True"
    ok(own, "%%isolated --worker gui\n%gui")
    assert ok(own, "%%isolated --worker gui\n1 + 1") == "2"


@promise("isolated.variables")
def test_the_context_of_one_cell_is_that_of_the_next(own: Kernel) -> None:
    ok(own, "%%isolated\nimport decimal; decimal.getcontext().prec = 7")
    assert ok(own, "%%isolated\ndecimal.getcontext().prec") == "7"
    ok(own, f"%%isolated\nlong = '{'x' * 70_000}'")  # on the shell channel
    assert ok(own, "%%isolated\ndecimal.getcontext().prec") == "7"


@promise("isolated.survives")
def test_what_a_cell_displays_right_before_its_worker_is_killed_is_shown(own: Kernel) -> None:
    for n in range(5):
        ran = own.run(
            f"%%isolated --worker w{n}\nimport os, signal\nprint('p{n}', flush=True)\n"
            f"display({n})\nprint('q{n}')\nos.kill(os.getpid(), signal.SIGKILL)"
        )
        assert (ran.status, ran.stdout) == ("error", f"p{n}\nq{n}\n")
        assert [shown["text/plain"] for shown in ran.displays] == [str(n)]


@promise("isolated.survives")
def test_megabytes_that_a_cell_prints_right_before_its_worker_is_killed_are_shown(
    own: Kernel,
) -> None:
    for n in range(3):
        ran = own.run(
            f"%%isolated --worker m{n}\nimport os, signal\n"
            "for c in 'abc':\n    print(c * 2_000_000, flush=True)\n"
            "print('end')\nos.kill(os.getpid(), signal.SIGKILL)"
        )
        assert ran.status == "error"
        assert ran.stdout == "".join(c * 2_000_000 + "\n" for c in "abc") + "end\n"


@promise("isolated.survives")
def test_a_cell_that_cuts_off_the_memory_of_its_last_words_harms_nobody(own: Kernel) -> None:
    printed = ok(own, CUT_OFF)
    assert printed == "PermissionError\n" * printed.count("\n") != ""
    assert ok(own, "%%isolated\n1 + 1") == "2"
    assert ok(own, "1 + 1") == "2"


@promise("isolated.relay")
def test_large_and_small_output_stands_in_the_order_in_which_it_was_printed(own: Kernel) -> None:
    printed = ok(
        own,
        "%%isolated\nfor n in range(200):\n"
        "    print(n, 'x' * (n % 3 * 9_000), flush=True)\n"
        "    print('then', n)",
    )
    assert printed == "".join(f"{n} {'x' * (n % 3 * 9_000)}\nthen {n}\n" for n in range(200))
