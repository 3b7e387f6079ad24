"""The state of the process, its threads and children are those of stock ipykernel.

Differences that are meant: one more daemon thread (it syncs the log), faulthandler is on (its
report tells the next kernel of a fatal signal), and up to four frames below the cell. What debugpy
does to a process that loads it (two builtins, a variable, the hook of `breakpoint`) is done when
the debugger is loaded, which ours is at the first request for it.
"""

import json
from typing import Final

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair, effects
from tests.programs import programs
from tests.promises import promise
from tests.replies import quiet

STATES: Final = programs("state")
CHILDREN: Final = programs("children")


LATE: Final[dict[str, tuple[str, str]]] = {
    "a_write_to_the_descriptor": (
        "import os; print('first', flush=True); _n = os.write(1, b'bare bytes\\n')",
        "bare bytes\n",
    ),
    "a_write_to_stderr": ("import os; _n = os.write(2, b'bare error\\n')", "bare error\n"),
    "a_subprocess": (
        "import subprocess; _p = subprocess.run(['echo', 'from below'])",
        "from below\n",
    ),
    "os_system": ("import os; _s = os.system('echo systemd')", "systemd\n"),
    "a_forked_child": (
        (
            "import os\n"
            "if os.fork() == 0:\n"
            "    os.write(1, b'child bytes\\n'); os._exit(0)\n"
            "_w = os.wait()"
        ),
        "child bytes\n",
    ),
}


@promise("transparent.process")
@pytest.mark.parametrize("name", STATES)
def test_the_state_of_the_process_is_that_of_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()
    debug_info = {"type": "request", "command": "debugInfo", "seq": 1}
    pair.both(lambda k: k.ask("debug_request", debug_info, channel="control"))

    stock, flow = pair.run(*STATES[name])

    assert effects(flow) == effects(stock)


@promise("transparent.process")
def test_a_cell_can_recurse_as_deep_as_in_stock_ipykernel(pair: Pair) -> None:
    pair.forget()
    dive = (
        "def deep(n):\n"
        "    try:\n"
        "        return deep(n + 1)\n"
        "    except RecursionError:\n"
        "        return n\n"
        "print(deep(0))"
    )

    stock, flow = (int(runs[0].stdout) for runs in pair.run(dive))

    assert stock - flow <= 4


@promise("transparent.process")
@pytest.mark.parametrize("name", CHILDREN)
def test_children_threads_and_signals_work_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*CHILDREN[name])

    assert effects(flow) == effects(stock)


@promise("transparent.process")
@pytest.mark.parametrize("name", LATE)
def test_bytes_on_a_descriptor_reach_the_user_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()
    code, text = LATE[name]

    def seen(kernel: Kernel) -> str:
        ran = kernel.run(code)
        kernel.wait(lambda: text in kernel.stream("stdout") + kernel.stream("stderr"))
        return ran.status + kernel.stream("stdout") + "|" + kernel.stream("stderr")

    stock, flow = pair.both(seen)

    assert quiet(flow) == quiet(stock)


@promise("transparent.process")
def test_at_most_one_more_thread_runs_and_it_is_a_daemon(fresh_pair: Pair) -> None:
    listing = (
        "import threading, json\n"
        "print(json.dumps(sorted([t.name, t.daemon] for t in threading.enumerate())))"
    )

    stock, flow = (json.loads(runs[0].stdout) for runs in fresh_pair.run(listing))

    more = [thread for thread in flow if thread not in stock]
    assert [thread for thread in stock if thread not in flow] == []
    assert [daemon for _, daemon in more] in ([], [True])


@promise("transparent.process")
def test_a_forked_child_that_falls_through_leaves_the_session_alone(fresh_pair: Pair) -> None:
    fall = "import os\nparent = os.getpid()\nchild = os.fork()\nprint('both')"

    def seen(kernel: Kernel) -> list[object]:
        kernel.run(fall)
        end = (
            "import signal\n"
            "if os.getpid() == parent:\n"
            "    os.kill(child, signal.SIGKILL); print(os.waitpid(child, 0)[0] == child)"
        )
        return [kernel.run(end).stdout, kernel.run("1 + 1").result]

    stock, flow = fresh_pair.both(seen)

    assert flow == stock == ["True\n", "2"]


@promise("transparent.process")
def test_functions_registered_at_exit_run_at_an_orderly_end(fresh_pair: Pair) -> None:
    def seen(kernel: Kernel) -> str:
        kernel.run("import atexit; atexit.register(lambda: open('said', 'w').write('bye'))")
        kernel.shutdown()
        return (kernel.cwd / "said").read_text(encoding="utf-8")

    assert fresh_pair.both(seen) == ("bye", "bye")


@promise("transparent.process")
def test_cells_open_no_descriptors(pair: Pair) -> None:
    pair.forget()
    # The history thread opens files of its database and their folder at times of its own, and the
    # log has a second descriptor for as long as the disk takes to sync it.
    count = """
import os, time
def target(fd):
    try: return os.readlink(f'/proc/self/fd/{fd}')
    except OSError: return 'profile_default'
while True:
    names = [target(fd) for fd in os.listdir('/proc/self/fd')]
    if sum(name.endswith('.jsonl') for name in names) < 2: break
    time.sleep(0.01)
print(sum('profile_default' not in name for name in names))
"""

    def growth(kernel: Kernel) -> int:
        kernel.run("print('warm')")
        first = int(kernel.run(count).stdout)
        for _ in range(20):
            kernel.run("x = 1")
        return int(kernel.run(count).stdout) - first

    assert pair.both(growth) == (0, 0)
