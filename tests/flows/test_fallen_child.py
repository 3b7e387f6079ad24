"""A process that a cell forks and that comes to the end of its cell ends there, as in a script."""

import pytest

from tests.kernels import Kernel
from tests.promises import promise

_FORK = "import os, sys\npid = os.fork()\n"
_CODE = "\nif pid: code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
_WAIT = _CODE + "if pid: print('code', code)"


@promise("children.end")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("if not pid: print('child')", 0),
        ("if not pid: print('child'); sys.exit()", 0),
        ("if not pid: print('child'); sys.exit(7)", 7),
        ("if not pid: print('child'); sys.exit(-1)", 255),
        ("if not pid: print('child'); sys.exit('why')", 1),
        ("if not pid: print('child'); 1 / 0", 1),
        ("if not pid: print('child'); raise KeyboardInterrupt", 1),
        ("if not pid: print('child', flush=True); os._exit(5)", 5),
    ],
)
def test_its_text_arrives_and_its_code_is_that_of_a_script(
    flow: Kernel, code: str, status: int
) -> None:
    ran = flow.run(f"{_FORK}{code}{_WAIT}")

    assert ran.status == "ok"
    assert ran.stdout == f"child\ncode {status}\n"


@promise("children.end")
def test_threads_that_it_began_are_waited_for(flow: Kernel) -> None:
    ran = flow.run(
        f"{_FORK}import threading, time\n"
        "def work():\n    time.sleep(0.3); print('done by the thread')\n"
        f"if not pid: threading.Thread(target=work).start(){_WAIT}"
    )

    assert ran.stdout == "done by the thread\ncode 0\n"


@promise("children.end")
def test_what_is_registered_for_the_end_of_the_session_is_left_to_it(own: Kernel) -> None:
    own.run(
        "import atexit, os\n"
        "atexit.register(lambda: open('ended', 'a').write(f'{os.getpid()}\\n'))\n"
        "main = os.getpid()"
    )
    own.run(f"{_FORK}{_WAIT}")
    assert not (own.cwd / "ended").exists()
    pid = own.run("main").result
    own.shutdown()

    assert (own.cwd / "ended").read_text() == f"{pid}\n"


@promise("children.end")
def test_the_session_goes_on_with_one_record_a_cell(own: Kernel) -> None:
    ran = own.run(f"x = 1\n{_FORK}{_CODE}")
    assert own.run("x, code").result == "(1, 0)"

    records = own.logs.records("cell", msg_id=ran.msg_id)
    assert len(records) == 1
    assert records[0]["status"] == "ok"


@promise("children.end")
def test_children_of_cells_that_await_end_as_well(own: Kernel) -> None:
    ran = own.run(
        f"import asyncio\n{_FORK}await asyncio.sleep(0)\nif not pid: print('child'){_WAIT}"
    )

    assert ran.stdout == "child\ncode 0\n"
    assert own.run("1 + 1").result == "2"


@promise("children.end")
def test_in_a_worker_it_ends_as_in_the_session(flow: Kernel) -> None:
    ran = flow.run(f"%%isolated\n{_FORK}if not pid: print('child'); sys.exit(3){_WAIT}")

    assert ran.status == "ok"
    assert ran.stdout == "child\ncode 3\n"
    assert flow.run("%%isolated\n1 + 1").result == "2"
