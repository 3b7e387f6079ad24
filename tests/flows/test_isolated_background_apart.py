"""Cells in the background beside others: whose output is whose, and what is left of them."""

import sys
from collections.abc import Iterator

import pytest

from tests.flows.test_events import NO_CHECKPOINTS, Agent
from tests.flows.test_isolated_background import WAITS, begin, ended
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.ready()
        ok(kernel, "import gc, weakref; bg = lambda code, line='': "
           "get_ipython().run_cell_magic('isolated', '--bg ' + line, code)\n"
           "bg('1').result(); None")  # fmt: skip
        yield kernel


def errors_of(kernel: Kernel, msg_id: str) -> int:
    said = [m for m in kernel.iopub if m["parent_header"].get("msg_id") == msg_id]
    return sum(m["msg_type"] == "error" for m in said)


@promise("isolated.background", "isolated.recorded")
def test_each_record_has_its_own_output_where_one_cell_begins_two(kernel: Kernel) -> None:
    ran = kernel.run(
        "a, b = bg('print(1)'), bg('print(2)\\nimport os; os._exit(3)')\nprint('here')\n"
        "a.wait(20), b.wait(20)\nraise KeyError('mine')"
    )
    records = kernel.logs.wait("cell", count=3, msg_id=ran.msg_id)
    told = {record["stdout"]: (record["error"] or {}).get("ename") for record in records}
    assert told == {"1\n": None, "2\n": "WorkerDied", "here\n": "KeyError"}


@promise("isolated.background")
def test_an_error_is_shown_once_while_another_worker_writes(kernel: Kernel) -> None:
    writes = "os.write(1, b'.'); time.sleep(0.0005)"
    begin(kernel, f"import os, time\nwhile not os.path.exists('quiet'): {writes}")
    ok(kernel, "h = _")
    shown = [errors_of(kernel, kernel.run("%%isolated\n1 / 0").msg_id) for _ in range(10)]
    (kernel.cwd / "quiet").touch()
    ok(kernel, "h.result()")
    assert shown == [1] * 10


@promise("isolated.background")
def test_each_error_of_one_worker_is_shown_below_its_cell(kernel: Kernel) -> None:
    begun = [begin(kernel, "1 / 0", "--worker failing") for _ in range(12)]
    for msg_id in begun:
        assert "failed in w" in ended(kernel, msg_id)
    assert [errors_of(kernel, msg_id) for msg_id in begun] == [1] * 12


@promise("isolated.background")
def test_one_that_is_cancelled_before_it_runs_never_runs(kernel: Kernel) -> None:
    begin(kernel, WAITS.format("free"), "--worker taken")
    ok(kernel, 'first = _; h = bg(\'open("ran9", "w").close()\', "--worker taken")')
    assert ok(kernel, "h.state, h.cancel(), h.wait(20), h.state") == (
        "('waiting', True, True, 'cancelled')"
    )
    (kernel.cwd / "free").touch()
    assert ok(kernel, "import os; first.wait(20), os.path.exists('ran9')") == "(True, False)"
    assert ok(kernel, "%%isolated --worker taken\n1") == "1"
    assert not (kernel.cwd / "ran9").exists()


@promise("isolated.background")
def test_its_card_is_shown_once_by_its_cell_and_again_where_it_is_asked_for(
    kernel: Kernel,
) -> None:
    def cards(code: str) -> int:
        said = kernel.run(code).messages
        return sum(m["msg_type"] == "display_data" for m in said)

    assert cards("%%isolated --bg\n1") == 1
    assert cards("h = bg('1'); h.result()") == 1
    assert cards("h") == 1
    assert cards("h") == 1
    ok(kernel, "h = bg('n = 1', '--out n'); h.wait(20)")
    assert "brings back n" in ok(kernel, "print(h)")
    ok(kernel, "h.result()")
    assert "brings back" not in ok(kernel, "print(h)")


@promise("isolated.background")
def test_nothing_of_what_was_sent_or_came_back_is_kept(kernel: Kernel) -> None:
    ok(kernel, "class Thing: pass\nsent = bytes(5_000_000)")
    ok(kernel, "died = bg('import os; os._exit(len(sent) % 7)'); died.wait(20)")
    ok(kernel, "given_up = bg('while sent: pass'); given_up.cancel(); given_up.wait(20)")
    ok(kernel, "h = bg('made = Thing()', '--out made'); kept = h.result()['made'] is made")
    assert ok(kernel, "kept, h.result()['made'] is made") == "(True, True)"
    ok(kernel, "alive = weakref.ref(made); del made, h; gc.collect(); None")
    assert ok(kernel, "alive() is None") == "True"
    left = "[o for o in gc.get_objects() if type(o).__name__ == 'Packed']"
    assert ok(kernel, left) == "[]"


@promise("isolated.background", "isolated.variables")
def test_what_a_callback_changes_is_sent_to_the_next_cell(kernel: Kernel) -> None:
    ok(kernel, "changed = [0]")
    ok(kernel, "%%isolated\nchanged")
    begin(kernel, WAITS.format("call"))
    job_id = ok(kernel, "h = _; h.add_done_callback(lambda h: changed.append(1)); h.job_id")
    assert ok(kernel, "%%isolated\nchanged") == "[0]"
    (kernel.cwd / "call").touch()
    ok(kernel, f"%workers wait {job_id[1:-1]}")
    kernel.wait(lambda: ok(kernel, "%%isolated\nchanged") == "[0, 1]")


@promise("isolated.background", "isolated.recorded")
def test_its_record_is_brought_to_the_disk_though_no_cell_follows(kernel: Kernel) -> None:
    begin(kernel, WAITS.format("late"))
    ok(
        kernel,
        """
h = _
import threading
from pathlib import Path
from flow_kernel import current_session
keeper = current_session().recorder._housekeeper
def watch():
    while keeper._is_dirty or keeper._is_busy: h.wait(0.01)
    Path('late').touch()
    h.wait(20)
    Path('seen').write_text(str(keeper._is_dirty))
threading.Thread(target=watch).start()""",
    )
    kernel.wait(lambda: (kernel.cwd / "seen").exists() and (kernel.cwd / "seen").read_text() != "")
    assert (kernel.cwd / "seen").read_text() == "True"


@promise("isolated.background")
def test_where_there_is_no_thread_for_it_nothing_is_left_waiting(kernel: Kernel) -> None:
    ok(kernel, "import threading; before = threading.stack_size(1 << 46)")
    ran = kernel.run("bg('1')")
    ok(kernel, "threading.stack_size(before); None")
    assert ran.error is not None
    assert ran.error["ename"] == "IsolationUnavailable"
    assert "was not begun" in ran.error["evalue"]
    assert "waiting" not in ok(kernel, "%workers wait")
    records = kernel.logs.wait("cell", count=2, msg_id=ran.msg_id)
    assert [record["success"] for record in records] == [False, False]


@promise("isolated.background", "events.told")
def test_the_event_of_its_end_names_the_task_that_began_it() -> None:
    with Kernel(env={"FLOW_EVENTS": "1"}, arguments=NO_CHECKPOINTS) as kernel:
        agent = Agent(kernel.ready())
        ok(kernel, "%task start First")
        msg_id = begin(kernel, WAITS.format("go"))
        failing = begin(kernel, WAITS.format("go") + "1 / 0")
        ok(kernel, "%task finish")
        ok(kernel, "%task start Second")
        (kernel.cwd / "go").touch()
        ended(kernel, msg_id)
        ended(kernel, failing)
        ok(kernel, "%workers wait")  # the card of one is drawn before its event is told
        kernel.run("print()")  # events leave before the next cell ends
        told = [e for e in agent.reader.feed(kernel.stream()) if "job_id" in e.fields]
    assert {(e.name, e.fields["task_id"], e.fields.get("reason")) for e in told} == {
        ("task_complete", "T-0001", None),
        ("task_error", "T-0001", "ZeroDivisionError"),
    }
