"""What a record holds of a cell's output: streams, result, displays, errors; in the right cell."""

import pytest

from tests import gates
from tests.kernels import Kernel
from tests.logs import Record
from tests.promises import promise
from tests.replies import Ran


def _record(flow: Kernel, ran: Ran) -> Record:
    return flow.logs.one("cell", seq=ran.seq)


def _all_output(flow: Kernel, ran: Ran, stream: str) -> str:
    """Text of a stream that was recorded for a cell, during it or late."""
    record = _record(flow, ran)
    late = flow.logs.records("late", msg_id=ran.msg_id, stream=stream)
    return str(record[stream]) + "".join(r["text"] for r in late)


@promise("record.output")
def test_streams_and_result_are_recorded_as_they_were_shown(flow: Kernel) -> None:
    ran = flow.run("import sys\nprint('out'); print('err', file=sys.stderr)\n'res' + 'ult'")

    record = _record(flow, ran)
    assert (record["stdout"], record["stderr"], record["result"]) == ("out\n", "err\n", "'result'")
    assert (record["status"], record["success"], record["error"]) == ("ok", True, None)


@promise("record.output")
def test_a_cell_without_output_has_empty_fields(flow: Kernel) -> None:
    record = _record(flow, flow.run("x = 1"))

    assert (record["stdout"], record["stderr"], record["result"]) == ("", "", None)
    assert (record["outputs"], record["truncated"], record["redacted"]) == ([], {}, 0)


@promise("record.output")
def test_displays_are_listed_with_type_and_size(flow: Kernel) -> None:
    ran = flow.run("from IPython.display import HTML, display\ndisplay(HTML('<b>ä</b>'))")

    outputs = _record(flow, ran)["outputs"]
    assert {"mime": "text/html", "bytes": 9} in outputs
    assert [o for o in outputs if o["mime"] == "text/plain" and o["bytes"] > 0]


@promise("record.output")
def test_a_figure_is_listed_with_its_size(flow: Kernel) -> None:
    flow.run("%matplotlib inline\nimport matplotlib.pyplot as plt")

    ran = flow.run("_ = plt.plot([1, 2])")

    sizes = [o["bytes"] for o in _record(flow, ran)["outputs"] if o["mime"] == "image/png"]
    assert len(sizes) == 1
    assert sizes[0] > 1000


@promise("record.output")
def test_an_error_is_recorded_with_its_line_in_the_cell(flow: Kernel) -> None:
    ran = flow.run("def f(n):\n    return 1 / n\n\nprint('before')\nf(0)\nprint('after')")

    record = _record(flow, ran)
    error = record["error"]
    assert (record["status"], record["success"], record["stdout"]) == ("error", False, "before\n")
    assert (error["ename"], error["evalue"], error["line"]) == (
        "ZeroDivisionError",
        "division by zero",
        2,
    )
    assert "".join(error["traceback"]) == "".join("\n".join(ran.reply["traceback"]).split("\n"))


@promise("record.output")
@pytest.mark.parametrize(
    ("code", "ename", "line"),
    [
        ("x = 1\ny = = 2", "SyntaxError", 2),
        ("if True:\nx = 1", "IndentationError", 2),
        ("x = 1\n\nraise SystemExit(3)", "SystemExit", 3),
        ("%%nosuchmagic\nbody", "UsageError", 1),
        ("import asyncio\nawait asyncio.sleep(0)\n1/0", "ZeroDivisionError", 3),
        ("raise ValueError", "ValueError", 1),
        ("assert False, 'why'", "AssertionError", 1),
        ("import json\njson.loads('{')", "JSONDecodeError", 2),
    ],
    ids=["syntax", "indentation", "exit", "magic", "async", "class", "assertion", "library"],
)
def test_each_kind_of_failure_has_its_name_and_line(
    flow: Kernel, code: str, ename: str, line: int
) -> None:
    ran = flow.run(code)

    record = _record(flow, ran)
    error = record["error"]
    assert record["success"] is False
    assert record["status"] == "error"
    assert (error["ename"], error["line"]) == (ename, line)


@promise("record.output")
def test_an_interrupted_cell_is_recorded_as_interrupted(flow: Kernel) -> None:
    ran = flow.interrupted(
        "import time\nprint('before')\nopen('begun', 'w').close(); time.sleep(30)"
    )

    record = _record(flow, ran)
    assert (record["status"], record["success"], record["stdout"]) == (
        "interrupted",
        False,
        "before\n",
    )
    assert (record["error"]["ename"], record["error"]["line"]) == ("KeyboardInterrupt", 3)


@promise("record.output")
def test_an_interrupted_async_cell_is_recorded_as_interrupted(flow: Kernel) -> None:
    ran = flow.interrupted(
        "import asyncio\nopen('begun', 'w').close()\nwhile True: await asyncio.sleep(0.01)"
    )

    record = _record(flow, ran)
    assert (record["status"], record["success"]) == ("interrupted", False)


@promise("record.output")
def test_cells_aborted_after_an_error_are_recorded_as_aborted(flow: Kernel) -> None:
    sent = [
        flow.send(gates.closed(flow) + "1/0"),
        flow.send("print('never')", cell_id="c9"),
    ]
    gates.open_behind_all(flow)
    runs = [flow.collect(msg_id) for msg_id in sent]

    record = flow.logs.one("cell", msg_id=runs[1].msg_id)
    assert (record["status"], record["success"], record["cell_id"]) == ("aborted", False, "c9")
    assert (record["code"], record["stdout"]) == ("print('never')", "")


@promise("record.output", "record.late")
@pytest.mark.parametrize(
    ("code", "stream"),
    [
        ("import os; _n = os.write(1, b'below\\n')", "stdout"),
        ("import os; _n = os.write(2, b'below\\n')", "stderr"),
        ("import subprocess; _p = subprocess.run(['echo', 'below'])", "stdout"),
        ("import os; _s = os.system('echo below')", "stdout"),
        ("!echo below", "stdout"),
        (
            (
                "import os\n"
                "if os.fork() == 0:\n"
                "    os.write(1, b'below\\n'); os._exit(0)\n"
                "_w = os.wait()"
            ),
            "stdout",
        ),
        (
            (
                "import threading\n"
                "t = threading.Thread(target=print, args=('below',)); t.start(); t.join()"
            ),
            "stdout",
        ),
        ("import sys; _n = sys.__stdout__.write('below\\n'); sys.__stdout__.flush()", "stdout"),
    ],
    ids=[
        "write_1",
        "write_2",
        "subprocess",
        "system",
        "shell",
        "fork",
        "thread",
        "original_stdout",
    ],
)
def test_output_below_python_is_recorded_in_its_cell(flow: Kernel, code: str, stream: str) -> None:
    ran = flow.run(code)
    flow.wait(lambda: "below" in flow.stream(stream, parent=ran.msg_id))
    after = flow.run("print('another cell')")

    assert _all_output(flow, ran, stream).replace("\r\n", "\n") == "below\n"
    assert _all_output(flow, after, "stdout") == "another cell\n"


@promise("record.late")
def test_a_thread_that_prints_after_its_cell_leaves_a_late_record(flow: Kernel) -> None:
    ran = flow.run("import threading\nt = threading.Timer(0.15, print, ['late words']); t.start()")

    # A print is two writes: it may come in two messages, and be two records.
    flow.wait(lambda: _all_output(flow, ran, "stdout") == "late words\n")

    record, late = _record(flow, ran), flow.logs.records("late", msg_id=ran.msg_id)
    assert record["stdout"] == ""
    assert "".join(r["text"] for r in late) == "late words\n"
    assert {(r["stream"], r["span_id"]) for r in late} == {("stdout", record["span_id"])}


@promise("record.late")
def test_a_child_that_writes_after_the_cell_leaves_a_late_record(flow: Kernel) -> None:
    ran = flow.run(
        "import subprocess; p = subprocess.Popen(['sh', '-c', 'sleep 0.15; echo from a child'])"
    )

    flow.logs.wait("late", msg_id=ran.msg_id)

    assert _all_output(flow, ran, "stdout") == "from a child\n"


@promise("record.output")
def test_replaced_stdout_is_not_taken_for_output(flow: Kernel) -> None:
    ran = flow.run(
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    print('inside')\n"
        "print('outside')"
    )

    assert _record(flow, ran)["stdout"] == "outside\n"


@promise("record.output")
def test_prints_of_a_subshell_belong_to_its_own_cell(flow: Kernel) -> None:
    subshell = flow.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    flow.run("import threading; go = threading.Event()")
    main = flow.send("print('main', go.wait(10))")
    other = flow.collect(flow.send("made = 5; print('sub'); go.set()", subshell=subshell))
    first = flow.collect(main)
    flow.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control")

    assert flow.logs.one("cell", msg_id=other.msg_id)["stdout"] == "sub\n"
    assert flow.logs.one("cell", msg_id=first.msg_id)["stdout"] == "main True\n"
    assert "made" in flow.logs.one("cell", msg_id=other.msg_id)["added_vars"]


@promise("record.bounded")
def test_a_hundred_megabytes_of_output_keep_head_tail_and_size(flow: Kernel) -> None:
    ran = flow.run("print('head' + 'x' * 99_999_990 + 'tail')")

    record = _record(flow, ran)
    kept = record["stdout"]
    assert record["truncated"] == {"stdout": 99_999_999}
    assert kept.startswith("headxxx")
    assert kept.endswith("xxxtail\n")
    assert 100_000 < len(kept) < 140_000
    assert "omitted" in kept


@promise("record.bounded")
def test_many_small_writes_are_bounded_too(flow: Kernel) -> None:
    ran = flow.run("for i in range(100_000): print('line', i)")

    record = _record(flow, ran)
    assert record["stdout"].startswith("line 0\nline 1\n")
    assert record["stdout"].endswith("line 99998\nline 99999\n")
    assert record["truncated"] == {"stdout": sum(len(f"line {i}\n") for i in range(100_000))}


@promise("record.bounded")
def test_a_large_result_a_large_error_and_a_large_cell_are_bounded(flow: Kernel) -> None:
    result = _record(
        flow, flow.run("class Long:\n    def __repr__(self): return 'r' * 1_000_000\nLong()")
    )
    error = _record(flow, flow.run("raise ValueError('e' * 1_000_000)"))
    code = _record(flow, flow.run("#" + "c" * 3_000_000))

    assert result["truncated"] == {"result": 1_000_000}
    assert len(result["result"]) < 70_000
    assert error["truncated"]["evalue"] == 1_000_000
    assert len(error["error"]["evalue"]) < 70_000
    assert code["truncated"] == {"code": 3_000_001}
    assert len(code["code"]) < 1_100_000
