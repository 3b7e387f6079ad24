"""Cells in the background: begun at once, heard below their cell, awaited, cancelled, recorded."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.isolating import is_gone, ok
from tests.kernels import STOCK, Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

WAITS = "from pathlib import Path\nimport time\nwhile not Path({!r}).exists(): time.sleep(0.01)\n"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def begin(kernel: Kernel, code: str, options: str = "") -> str:
    """Begin a cell; the id of its request."""
    ran = kernel.run(f"%%isolated --bg {options}\n{code}")
    assert ran.status == "ok", ran.error or ran.stderr
    return ran.msg_id


def shown(kernel: Kernel, msg_id: str) -> str:
    """The card of a cell as it was drawn last."""
    cards = [
        m["content"]["data"]["text/plain"]
        for m in kernel.iopub
        if m["parent_header"].get("msg_id") == msg_id
        and m["msg_type"] in ("display_data", "update_display_data")
    ]
    return str(cards[-1])


def ended(kernel: Kernel, msg_id: str) -> str:
    """Wait until the card of a cell says how it ended."""
    words = ("ended well", "failed", "was cancelled")
    kernel.wait(lambda: any(word in shown(kernel, msg_id) for word in words))
    return shown(kernel, msg_id)


def record_of(kernel: Kernel, msg_id: str) -> dict[str, Any]:
    """Of what ran in the background."""
    records = kernel.logs.wait("cell", count=2, msg_id=msg_id)
    [record] = [each for each in records if each["parent_span_id"] is not None]
    return dict(record)


@promise("isolated.background")
def test_it_comes_back_at_once_and_its_output_arrives_below_its_cell(kernel: Kernel) -> None:
    code = "print('one', flush=True)\n" + WAITS.format("go") + "print('two')\n'three'"
    msg_id = begin(kernel, code)
    kernel.wait(lambda: "one" in kernel.stream(parent=msg_id))
    assert "runs in w" in shown(kernel, msg_id)
    assert ok(kernel, "1 + 1") == "2"  # others run meanwhile

    (kernel.cwd / "go").touch()
    assert "ended well in w" in ended(kernel, msg_id)
    said = [m for m in kernel.iopub if m["parent_header"].get("msg_id") == msg_id]
    assert kernel.stream(parent=msg_id) == "one\ntwo\n"
    [result] = [m for m in said if m["msg_type"] == "execute_result"]
    assert result["content"]["data"]["text/plain"] == "'three'"


@promise("isolated.background", "isolated.variables")
def test_awaited_it_brings_back_what_out_names_and_reads_what_was_there(kernel: Kernel) -> None:
    ok(kernel, "import numpy as np; x = [1]; a = np.arange(200_000)")
    begin(kernel, WAITS.format("on") + "y = sum(x), int(a.sum())", "--out y")
    ok(kernel, "h = _; x.append(10); a[:] = 0; from pathlib import Path; Path('on').touch()")
    assert ok(kernel, "(await h), y, h.state, 'y' in dir()") == (
        "({'y': (1, 19999900000)}, (1, 19999900000), 'ok', True)"
    )
    assert ok(kernel, "h.result()['y'] is y, h.done(), h.exception()") == "(True, True, None)"


@promise("isolated.background")
def test_an_error_is_shown_below_its_cell_and_raised_where_it_is_awaited(kernel: Kernel) -> None:
    msg_id = begin(kernel, "def f(): return 1 / 0\nf()")
    assert "failed in w" in ended(kernel, msg_id)
    [error] = [
        m["content"]
        for m in kernel.iopub
        if m["msg_type"] == "error" and m["parent_header"].get("msg_id") == msg_id
    ]
    assert error["ename"] == "ZeroDivisionError"

    ran = kernel.run("await _")
    assert ran.error is not None
    assert ran.error["ename"] == "ZeroDivisionError"
    assert "return" in "".join(ran.error["traceback"])


@promise("isolated.background", "isolated.survives")
def test_a_death_is_told_below_its_cell_and_raised_where_it_is_awaited(kernel: Kernel) -> None:
    msg_id = begin(kernel, "import os\nprint('so far', flush=True)\nos._exit(3)")
    assert "failed in w" in ended(kernel, msg_id)
    [error] = [
        m["content"]
        for m in kernel.iopub
        if m["msg_type"] == "error" and m["parent_header"].get("msg_id") == msg_id
    ]
    assert (error["ename"], "exited with code 3" in error["evalue"]) == ("WorkerDied", True)
    ran = kernel.run("_.result()")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert record_of(kernel, msg_id)["error"]["ename"] == "WorkerDied"


@promise("isolated.background")
def test_it_is_cancelled_by_its_handle_and_by_the_magic(kernel: Kernel) -> None:
    first = begin(kernel, "while True: pass")
    kernel.wait(lambda: "runs in w" in shown(kernel, first))
    ok(kernel, "h = _")
    assert ok(kernel, "h.cancel(), h.wait(20), h.cancelled()") == "(True, True, True)"
    assert "was cancelled in w" in ended(kernel, first)
    assert kernel.run("h.result()").reply["ename"] == "CancelledError"

    begin(kernel, "while True: pass")
    job_id = ok(kernel, "print(_.job_id)").strip()
    assert "was cancelled" in ok(kernel, f"%workers cancel {job_id}")
    begin(kernel, "import time; time.sleep(0.2)")
    assert "running" not in ok(kernel, "%workers wait")
    assert "no cell in the background" in kernel.run("%workers cancel j999").stderr


@promise("isolated.background", "isolated.limits")
def test_it_is_held_to_its_limits(kernel: Kernel) -> None:
    begin(kernel, "while True: pass", "--timeout 0.2")
    ran = kernel.run("_.result()")
    assert ran.error is not None
    assert ran.error["ename"] == "CellTimeout"


@promise("isolated.background", "isolated.blocked")
def test_it_ends_once_it_certainly_does_not_go_on(kernel: Kernel) -> None:
    msg_id = begin(kernel, "while True: pass")
    ran = kernel.run("_.result()")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerBlocked"
    assert "failed" in ended(kernel, msg_id)
    told = [each["detail"] for each in kernel.logs.records("worker", state="blocked")]
    sure = [each["confidence"] for each in told if each["job_id"] == msg_id]
    assert sure[-1:] == ["certain"]


@promise("isolated.background", "isolated.recorded")
def test_its_record_tells_what_it_did_and_an_event_that_it_has_ended(kernel: Kernel) -> None:
    msg_id = begin(kernel, "import string\nprint('said')\nmade = 5")
    ended(kernel, msg_id)
    record = record_of(kernel, msg_id)
    assert (record["stdout"], record["success"], record["worker"][:1]) == ("said\n", True, "w")
    assert record["added_vars"] == ["made", "string"]
    assert kernel.logs.records("late") == []


@promise("isolated.background")
def test_cells_for_one_worker_run_one_after_the_other(kernel: Kernel) -> None:
    begin(kernel, "kept = [1]\n" + WAITS.format("first"), "--worker line")
    second = begin(kernel, "kept.append(2)", "--worker line")
    assert "waits for a worker" in shown(kernel, second)
    assert "waiting" in ok(kernel, "%workers jobs")
    msg_id = kernel.send("%%isolated --worker line\nkept")
    kernel.wait(lambda: "the cell waits for the worker line" in kernel.stream("stderr"))
    (kernel.cwd / "first").touch()
    assert kernel.collect(msg_id).result == "[1, 2]"
    assert "ended well" in ended(kernel, second)


@promise("isolated.background", "isolated.interrupt")
def test_an_interrupt_ends_the_wait_and_not_the_cell_in_the_background(kernel: Kernel) -> None:
    first = begin(kernel, WAITS.format("end"), "--worker held")
    msg_id = kernel.send("%%isolated --worker held\n1")
    kernel.wait(lambda: "the cell waits for the worker held" in kernel.stream("stderr"))
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    (kernel.cwd / "end").touch()
    assert "ended well" in ended(kernel, first)


@promise("isolated.background")
def test_it_has_nobody_to_ask_and_leaves_the_session_to_others(kernel: Kernel) -> None:
    begin(kernel, "input('Who? ')")
    ran = kernel.run("_.result()", allow_stdin=True)
    assert ran.reply["ename"] == "StdinNotImplementedError"
    begin(kernel, "from flow_kernel import current_session\ncurrent_session().checkpoint('x')")
    ran = kernel.run("_.result()")
    assert ran.reply["ename"] == "UsageError"
    assert "run it without --bg" in ran.reply["evalue"]
    assert kernel.run("%%isolated --bg --in nothing_such\n1").status == "error"


@promise("isolated.background", "isolated.seen")
def test_there_are_no_more_workers_than_allowed_and_the_greatest_priority_is_next() -> None:
    with Kernel(arguments=("--WorkerPool.max_workers=2",)) as kernel:
        kernel.ready()
        ok(kernel, "from pathlib import Path; hs = []")
        for number in range(2):
            msg_id = begin(kernel, WAITS.format(f"go{number}"))
            ok(kernel, "hs.append(_)")
            kernel.wait(lambda begun=msg_id: "runs in w" in shown(kernel, begun))
        for priority in (0, 5):
            begin(kernel, f"print('ran', {priority})\nimport time; time.time()",
                  f"--priority {priority}")  # fmt: skip
            ok(kernel, "hs.append(_)")
        assert ok(kernel, "[h.state for h in hs]") == (
            "['running', 'running', 'waiting', 'waiting']"
        )
        done = subprocess.run(
            [sys.executable, "-m", "flow_kernel.apps.cli", "workers", "--health"],
            capture_output=True, text=True, check=True, env=kernel.env, cwd=kernel.cwd,
        )  # fmt: skip
        health = json.loads(done.stdout)
        assert (health["ok"], health["queue"]) == (True, 2)
        assert ok(kernel, "hs[2].cancel(), hs[2].wait(20), hs[2].state") == (
            "(True, True, 'cancelled')"
        )
        (kernel.cwd / "go0").touch()
        ok(kernel, "hs[3].result()")
        (kernel.cwd / "go1").touch()
        ok(kernel, "hs[1].result()")
        assert ok(kernel, "[h.state for h in hs]") == "['ok', 'ok', 'cancelled', 'ok']"


@promise("isolated.background", "isolated.orphans")
def test_the_end_of_the_session_ends_it_and_its_record_says_so() -> None:
    with Kernel() as kernel:
        kernel.ready()
        msg_id = begin(kernel, "import os\nprint(os.getpid(), flush=True)\nwhile True: pass")
        kernel.wait(lambda: "\n" in kernel.stream(parent=msg_id))
        pid = int(kernel.stream(parent=msg_id))
        kernel.shutdown()
        assert is_gone(pid)
        assert record_of(kernel, msg_id)["success"] is False


@promise("isolated.background", "extension.same")
def test_it_runs_in_stock_ipykernel_with_the_extension() -> None:
    with Kernel(STOCK) as stock:
        stock.ready()
        stock.run("%load_ext flow_kernel")
        msg_id = begin(stock, "print('said')\ny = 7", "--out y")
        assert "ended well" in ended(stock, msg_id)
        assert ok(stock, "_.result(), y") == "({'y': 7}, 7)"
        assert stock.stream(parent=msg_id) == "said\n"
