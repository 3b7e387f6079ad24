"""A cell that a thread of the user's runs leaves a start and an end, and others as they were."""

from typing import Any

import pytest

from tests.kernels import Kernel
from tests.promises import promise

_SETUP = """
import threading
from IPython.display import display
shell = get_ipython()
thread = None  # whoever runs as it is bound sees a name that changes, and none that is new
go, began, done = threading.Event(), threading.Event(), threading.Event()
def run(code):
    shell.run_cell(code, store_history=True)
    done.set()
def start(code):
    thread = threading.Thread(target=run, args=(code,)); thread.start(); return thread
"""


def _pair(kernel: Kernel, code: str) -> dict[str, Any]:
    """The record of the only cell of that code, which has begun once."""
    started, cell = (kernel.logs.one(kind, code=code) for kind in ("cell_started", "cell"))
    assert started["span_id"] == cell["span_id"]
    return cell


@promise("record.identity", "record.output")
@pytest.mark.parametrize(
    "begin", ["start(inner).join()", "import asyncio; await asyncio.to_thread(run, inner)"]
)
def test_a_cell_that_a_thread_runs_has_a_record_below_the_cell_that_waits_for_it(
    flow: Kernel, begin: str
) -> None:
    inner = f"print('inside'); in_thread_{len(begin)} = 1; display('{len(begin)}'); 1 / 0"
    flow.run(_SETUP)
    ran = flow.run(f"inner = {inner!r}\n{begin}\ndisplay('outside'); outside = 2; outside")

    below, above = _pair(flow, inner), flow.logs.one("cell", msg_id=ran.msg_id, parent_span_id=None)
    assert (below["parent_span_id"], below["msg_id"]) == (above["span_id"], ran.msg_id)
    assert (below["status"], below["error"]["ename"]) == ("error", "ZeroDivisionError")
    assert below["error"]["traceback"]
    assert [one["mime"] for one in below["outputs"]] == ["text/plain"]
    assert (above["status"], above["error"], above["result"]) == ("ok", None, "2")
    assert "inside\n" in above["stdout"]
    assert len(above["outputs"]) == 3
    assert ran.flow["seq"] == above["seq"]
    assert f"in_thread_{len(begin)}" in above["added_vars"]


@promise("record.identity", "record.output")
def test_an_error_of_a_cell_is_its_own_while_a_thread_runs_another(flow: Kernel) -> None:
    inner = "began.set(); go.wait(20); beside = 1"
    flow.run(_SETUP)
    ran = flow.run(f"thread = start({inner!r}); began.wait(20)\nraise ValueError('outer')")
    flow.run("go.set(); thread.join(20)")

    below, above = _pair(flow, inner), flow.logs.one("cell", msg_id=ran.msg_id, parent_span_id=None)
    assert (below["status"], below["error"], below["added_vars"]) == ("ok", None, ["beside"])
    assert below["parent_span_id"] == above["span_id"]
    assert (above["error"]["ename"], above["error"]["evalue"]) == ("ValueError", "outer")
    assert above["error"]["traceback"]


@promise("record.identity")
def test_a_cell_that_a_thread_begins_after_its_cell_stands_by_itself(flow: Kernel) -> None:
    flow.run(_SETUP)
    quiet = {"flow": {"record": False}}
    flow.run(
        "def later():\n    go.wait(20); run('alone = 1')\n"
        "thread = threading.Thread(target=later); thread.start()",
    )
    flow.run("go.set(); thread.join(20)", metadata=quiet)
    flow.run("done.clear(); threading.Timer(0, run, ('timed = 1',)).start()", silent=True)
    flow.run("done.wait(20)", metadata=quiet)

    for code in ("alone = 1", "timed = 1"):
        cell = _pair(flow, code)
        assert (cell["parent_span_id"], cell["msg_id"], cell["success"]) == (None, None, True)


@promise("record.identity", "record.always")
def test_many_threads_that_run_cells_at_once_leave_a_pair_each(flow: Kernel) -> None:
    flow.run(_SETUP)
    codes = [f"many_{n} = {n}" for n in range(30)]
    ran = flow.run(f"threads = [start(code) for code in {codes}]\n[t.join() for t in threads]; 1")

    above = flow.logs.one("cell", msg_id=ran.msg_id, parent_span_id=None)
    for code in codes:
        assert _pair(flow, code)["parent_span_id"] == above["span_id"]
    assert above["success"]
    assert {f"many_{n}" for n in range(30)} <= set(above["added_vars"])
    assert flow.run("1").flow["seq"]
