"""The panel of a task: live while a cell runs, quiet else, and what its buttons do."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
from nbformat import v4

from flow_kernel.shell.panel.live import LOOK_S
from tests.front_ends import VIEW, FrontEnd, Widget
from tests.kernels import STOCK, Kernel
from tests.promises import promise

_SPIN: Final = (
    "import pathlib\npathlib.Path('spins').touch()\n"
    "while not pathlib.Path('stop').exists(): sum(range(1000))\n"
    "pathlib.Path('stop').unlink()"
)
_THREADS: Final = "import threading; [t.name for t in threading.enumerate() if 'panel' in t.name]"


@pytest.fixture(scope="module")
def front(flow: Kernel) -> FrontEnd:
    return FrontEnd(flow, is_lab=False)


@pytest.fixture
def panel(front: FrontEnd) -> Widget:
    cell = front.begin("%flow panel")
    widget = front.widget(cell)
    assert front.ended(cell).status == "ok"
    return widget


class Spinning:
    """A cell that computes in pure Python for the time of the block."""

    def __init__(self, front: FrontEnd) -> None:
        self._front = front
        self._mark = front.kernel.cwd / "spins"

    def __enter__(self) -> str:
        self._mark.unlink(missing_ok=True)
        self._cell = self._front.begin(_SPIN)
        self._front.kernel.wait(self._mark.exists)
        return self._cell

    def __exit__(self, *_: object) -> None:
        (self._front.kernel.cwd / "stop").touch()
        assert self._front.ended(self._cell).status == "ok"


@promise("panel.live")
def test_the_panel_shows_what_the_task_has_done(front: FrontEnd) -> None:
    front.run("%task start Load data --steps read,clean")
    front.run("%task step read")
    front.run("size = 3")
    front.run("1 / 0")
    front.run("%checkpoint read it")
    cell = front.begin("%flow panel")
    widget = front.widget(cell)
    ran = front.ended(cell)

    rows = [
        (row["kind"], row["mark"], row["title"], row["more"])
        for row in widget.flow["rows"]
        if row["kind"] in ("step", "cell", "checkpoint")
    ]
    assert ("step", "▸", "read", []) in rows
    assert ("step", "·", "clean", []) in rows
    assert ("checkpoint", "◆", "read it", []) in rows
    (failed,) = [more for kind, mark, _, more in rows if (kind, mark) == ("cell", "✗")]
    assert failed == ["ZeroDivisionError: division by zero"]
    (size,) = [row for row in widget.flow["rows"] if row["title"].endswith("size = 3")]
    assert size["detail"].endswith("+size")
    assert widget.flow["head"]["title"].endswith(" Load data")
    assert widget.flow["head"]["step"] == "read"
    still = next(m["content"]["data"] for m in ran.messages if m["msg_type"] == "display_data")
    assert "checkpoint read it" in still["text/plain"]
    assert VIEW not in still
    assert ran.result is None


@promise("panel.live")
def test_it_is_told_while_a_cell_computes_and_four_times_a_second_at_most(
    front: FrontEnd, panel: Widget
) -> None:
    with Spinning(front):
        head = panel.wait_for("changes")
        front.kernel.wait(lambda: any(said.get("head", {}).get("running") is not None
                                      for said in panel.heard()))  # fmt: skip
    panel.wait_for_row(lambda row: row["title"].endswith("import pathlib") and row["mark"] == "✓")
    for _ in range(12):  # many changes in a short time
        front.run("1")
    panel.wait_for_row(lambda row: row["title"].endswith("] 1"))

    told = [
        message["header"]["date"].timestamp()
        for message in front.kernel.iopub
        if message["msg_type"] == "comm_msg"
        and message["content"]["comm_id"] == panel.comm_id
        and message["content"]["data"]["content"]["op"] == "changes"
    ]
    assert head["op"] == "changes"
    assert min(after - before for before, after in pairwise(told)) > LOOK_S * 0.8


@promise("panel.live")
def test_where_nothing_changes_nothing_is_sent(own: Kernel) -> None:
    front = FrontEnd(own, is_lab=False)
    front.widget(cell := front.begin("%flow panel"))
    front.ended(cell)
    # After four looks without news the still form is brought up to date, once.
    front.kernel.wait(lambda: front.kernel.iopub[-1]["msg_type"] == "update_display_data")

    before = len(front.kernel.iopub)
    front.kernel.wait(lambda: False, timeout=6 * LOOK_S, fail=False)

    assert len(front.kernel.iopub) == before


@promise("panel.live")
def test_the_thread_ends_with_the_comm_and_a_new_panel_takes_its_place(front: FrontEnd) -> None:
    first = front.widget(cell := front.begin("%flow panel"))
    front.ended(cell)
    second = front.widget(cell := front.begin("%flow panel"))
    front.ended(cell)

    closed = [m["content"]["comm_id"] for m in front.kernel.iopub if m["msg_type"] == "comm_close"]
    threads = front.run(_THREADS).result
    front.comm("comm_close", second.comm_id, {})
    listed = front.kernel.ask("comm_info_request", {"target_name": "jupyter.widget"})["comms"]

    assert first.comm_id in closed
    assert threads == "['flow-panel']"
    assert second.comm_id not in listed
    assert front.run("[t.join(5) for t in threading.enumerate() if 'panel' in t.name]").status
    assert front.run(_THREADS).result == "[]"


@promise("panel.press", "panel.live")
def test_a_parked_question_is_answered_while_another_cell_computes(
    front: FrontEnd, panel: Widget
) -> None:
    parked = "ok = %approve Publish it? --park\nok.row.comment"
    assert front.run(parked).status == "error"
    row = panel.wait_for_row(lambda row: row.get("act") == "answer")
    question = row["question"]["id"]

    with Spinning(front):
        panel.says({"op": "answer", "id": question, "decision": "approve", "comment": "go on"})
        panel.wait_for_row(lambda row: row["title"].startswith(question) and row["mark"] == "✓")

    assert front.run(parked).result == "'go on'"


@promise("panel.orders")
def test_going_back_is_told_first_then_done_and_recorded(front: FrontEnd, panel: Widget) -> None:
    front.run("kept = 1")
    front.run("%checkpoint before it")
    row = panel.wait_for_row(lambda row: row["title"] == "before it")
    front.run("kept = 2\nmore = 3")

    panel.says({"op": "rollback", "id": row["id"], "sure": False, "view": "v"})
    told = panel.wait_for("sure")
    unchanged = front.run("kept, more").result
    panel.says({"op": "rollback", "id": row["id"], "sure": True, "view": "v"})
    done = panel.wait_for("done")
    after = front.run("kept, 'more' in globals()").result
    back = panel.wait_for_row(lambda row: row["kind"] == "rollback")

    assert told["lines"] == ["would go back to before it", "  restored: ~kept", "  removed: -more"]
    assert (told["view"], told["of"], unchanged) == ("v", "rollback", "(2, 3)")
    assert done["lines"][0] == "went back to before it"
    assert after == "(1, False)"
    assert back["title"] == "to before it"
    record = front.kernel.logs.records("rollback")[-1]
    stale = {"flow": {"expect_rev": record["seq"] - 1}}
    assert front.kernel.run("kept", metadata=stale).reply["ename"] == "StaleRevision"
    assert (record["restored"], record["removed"]) == (["kept"], ["more"])


@promise("panel.orders")
def test_going_back_is_refused_while_a_cell_runs_or_awaits(front: FrontEnd, panel: Widget) -> None:
    front.run("%checkpoint here")
    row = panel.wait_for_row(lambda row: row["title"] == "here")
    order = {"op": "rollback", "id": row["id"], "sure": True}

    with Spinning(front):
        panel.says(order)
        busy = panel.wait_for("refused")
    awaits = front.begin("import asyncio\ngo = asyncio.Event()\nprint('waits')\nawait go.wait()")
    front.kernel.wait_for_text("waits")
    panel.says(order)
    awaiting = panel.wait_for("refused", 2)
    front.kernel.interrupt()
    front.ended(awaits)
    front.run("del go")

    sentence = "a cell runs, and nothing was changed"
    assert (busy["lines"][0], awaiting["lines"][0]) == (sentence, sentence)
    assert panel.heard("done") == []


@promise("panel.orders")
def test_a_worker_is_stopped_while_its_cell_runs(front: FrontEnd, panel: Widget) -> None:
    mark = front.kernel.cwd / "isolated"
    cell = front.begin("%%isolated\nimport pathlib, time\n"
                       f"pathlib.Path({str(mark)!r}).touch()\ntime.sleep(60)")  # fmt: skip
    front.kernel.wait(mark.exists)
    front.kernel.wait(lambda: any("default busy" in line for line in panel.workers()))
    (line,) = [line for line in panel.workers() if "default busy" in line]
    worker = line.split()[0]

    panel.says({"op": "stop", "id": worker, "sure": False})
    told = panel.wait_for("sure")
    panel.says({"op": "stop", "id": worker, "sure": True})
    done = panel.wait_for("done")
    ran = front.ended(cell)
    died = panel.wait_for_row(lambda row: row["kind"] == "worker" and row["title"] == worker)

    assert "% CPU" in line
    assert "MB" in line
    assert told["lines"][0] == f"stop worker {worker} default?"
    assert done["lines"] == [f"worker {worker} default has ended"]
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert died["tone"] == "bad"


@promise("panel.hostile")
def test_what_cannot_be_pressed_is_refused_and_a_flood_is_cut(
    front: FrontEnd, panel: Widget
) -> None:
    for said in (
        {"op": "rollback"}, {"op": "rollback", "id": 3}, {"op": "stop", "id": "w99", "sure": True},
        {"op": "rollback", "id": "../../x", "sure": True}, {"op": "nothing", "id": "x"},
        {"op": "stop", "id": "x" * 200}, {"op": None},
    ):  # fmt: skip
        count = len(panel.heard("refused"))
        panel.says(said)
        panel.wait_for("refused", count + 1)
    for said in (None, 3, [], "rollback"):
        panel.says(said)
    for _ in range(200):
        panel.says({"op": "rollback", "id": "nothing"})

    panel.says({"op": "hello"})
    now = panel.wait_for("all")
    assert now["head"]["title"] == panel.flow["head"]["title"]
    assert front.run("1 + 1").result == "2"


@promise("panel.live")
def test_another_task_begins_with_an_empty_timeline(own: Kernel) -> None:
    front = FrontEnd(own, is_lab=False)
    front.run("%task start One --steps a,b")
    panel = front.widget(cell := front.begin("%flow panel"))
    front.ended(cell)

    front.run("%task start Other")
    front.run("other = 1")

    panel.wait_for("all")
    panel.wait_for_row(lambda row: row["title"].endswith("other = 1"))

    assert {row["kind"] for row in panel.rows().values()} == {"cell"}


@promise("panel.falls_back")
def test_a_console_gets_the_panel_as_text(front: FrontEnd) -> None:
    front.run("%task start Typed")
    ran = front.kernel.run("%flow panel")

    data = ran.of("execute_result")[0]["content"]["data"]
    assert data["text/plain"].splitlines()[0].endswith(" Typed · doing")
    assert data["text/html"].count("<li>") == len(data["text/plain"].splitlines()) - 1
    assert {m["msg_type"] for m in ran.messages} == {"execute_result"}


@promise("panel.falls_back")
def test_a_notebook_that_nbconvert_draws_has_the_panel_as_it_stood(front: FrontEnd) -> None:
    exporters = pytest.importorskip("nbconvert").HTMLExporter
    front.run("%task start Converted")
    front.run("drawn = 1")
    cell = front.begin("%flow panel")
    front.widget(cell)
    shown = {
        m["content"]["transient"]["display_id"]: m["content"]
        for m in front.ended(cell).messages
        if m["msg_type"].endswith("display_data")
    }
    outputs = [v4.new_output("display_data", data=each["data"]) for each in shown.values()]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("%flow panel", outputs=outputs)])

    page, _ = exporters().from_notebook_node(notebook)

    still, widget = page.partition("<main>")[2].split("jp-OutputArea-child")[-2:]
    assert "Converted · doing" in still
    assert "drawn = 1" in still
    assert "<pre></pre>" in widget  # the other output, which is nothing without a kernel
    assert "<script" not in still + widget


@pytest.fixture
def stock() -> Iterator[Kernel]:
    with Kernel(STOCK) as kernel:
        yield kernel.ready()


@promise("panel.falls_back", "panel.live")
def test_after_the_extension_neither_comm_nor_thread_is_left(stock: Kernel) -> None:
    front = FrontEnd(stock, is_lab=True)
    front.run("%load_ext flow_kernel")
    asks = front.begin("ok = %approve Sure?")
    question = front.widget(asks)
    question.answers("approve")
    front.ended(asks)
    panel = front.widget(cell := front.begin("%flow panel"))
    front.ended(cell)

    front.run("%unload_ext flow_kernel")

    closed: list[Any] = [m["content"]["comm_id"] for m in stock.iopub
                         if m["msg_type"] == "comm_close"]  # fmt: skip
    assert {question.comm_id, panel.comm_id} <= {*closed}
    assert front.run(_THREADS).result == "[]"
    assert stock.ask("comm_info_request", {})["comms"] == {}
