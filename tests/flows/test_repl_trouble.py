"""What goes wrong over the lines of `jupyter flow repl`: hostile lines, floods, deaths, the end."""

import itertools
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.repl_protocol import RunCell, parse
from tests.kernels import DEADLINE_S
from tests.promises import promise
from tests.repl import Repl

HOSTILE = (
    b"", b" ", b"\r", b"nope", b"[]", b"null", b'"code"', b"{", b"{}", b'{"code":5}',
    b'{"code":"1","x":1}', b'{"code":"\xff"}', b'{"code":"\\udc00"}', b'{"code":"1","timeout":NaN}',
    b'{"code":"1","timeout":-1}', b'{"code":"1","timeout":1e999}', b'{"code":"1","id":[]}',
    b'{"code":"1","id":1e300}', b'{"input":5}', b'{"input":"x"}', b'{"approve":"A-0001"}',
    b'{"approve":"A-9999","decision":"yes"}', b'{"approve":"x\\u0000","decision":"no"}',
    b'{"approve":"../../etc","decision":"yes"}', b'{"code":"1","stream":"yes"}', b"\x00" * 50,
    b"\x80\x81", b"\xef\xbb\xbf{}", b"[" * 3000, b'{"a":' * 3000, b"MCP::task_start {}",
    b'{"code":"1","code":2}', b"9" * 5000, b"-", b"x" * 70_000, b'{"id":"' + b"y" * 70_000,
)  # fmt: skip
FATAL = {
    "exit": ("import os; print('w', flush=True); os._exit(3)", "exit (exit code 3)"),
    "kill": ("import os; os.kill(os.getpid(), 9)", "killed (SIGKILL)"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "segfault (SIGSEGV)"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Repl]:
    with Repl() as repl:
        yield repl


@pytest.fixture
def repl() -> Iterator[Repl]:
    with Repl() as repl:
        yield repl


@promise("repl.survives")
def test_hundreds_of_hostile_lines_among_cells_are_each_answered_in_words(shared: Repl) -> None:
    dice = random.Random(3)
    bad = [line for line in HOSTILE if line.strip()]
    sent = [dice.choice(HOSTILE) for _ in range(400)]
    expected = sum(bool(line.strip()) for line in sent)
    for number, line in enumerate(sent):
        shared.raw(line + b"\n")
        if number % 20 == 0:
            shared.say(id=number, code=f"{number}")
    shared.say(id="last", code="'alive'")

    said = [shared.next() for _ in range(expected + 21)]

    cells = [each for each in said if "success" in each]
    assert [each["id"] for each in cells] == [*range(0, 400, 20), "last"]
    assert all(each["success"] for each in cells)
    errors = [each["error"] for each in said if "success" not in each]
    assert len(errors) == expected
    assert all(set(e) == {"type", "message", "hint"} and len(str(e)) < 500 for e in errors)
    assert len(bad) > 30


@promise("repl.survives")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.binary(max_size=80)
        | st.builds(
            lambda base, at, junk: base[:at] + junk + base[at + len(junk) :],
            st.sampled_from(
                [
                    b'{"id":1,"code":"1","timeout":20,"stream":true}',
                    b'{"input":"yes"}',
                    b'{"approve":"A-0001","decision":"no","comment":""}',
                ]
            ),
            st.integers(0, 50),
            st.binary(max_size=3),
        ),
        max_size=12,
    )
)
def test_whatever_is_sent_each_line_has_one_answer_and_the_session_lives(
    shared: Repl, sent: list[bytes]
) -> None:
    lines = b"\n".join(sent).split(b"\n")
    requests = [request for line in lines if (request := parse(line)) is not None]
    shared.raw(b"".join(line + b"\n" for line in lines))
    shared.say(id="mark", code="'alive'")

    said = list(itertools.takewhile(lambda s: s.get("id") != "mark", iter(shared.next, None)))

    answers = [each for each in said if "success" in each or "error" in each]
    assert len(answers) == len(requests)
    assert sum("success" in each for each in answers) == sum(
        isinstance(request, RunCell) for request in requests
    )


@promise("repl.survives")
def test_a_line_of_ten_megabytes_is_skipped_and_one_of_one_megabyte_runs(shared: Repl) -> None:
    shared.raw(b'{"code":"' + b"x" * 10_000_000 + b'"}\n')
    too_long = shared.next()
    long = shared.run(f"text = {'y' * 1_000_000!r}\nlen(text)")

    assert too_long["error"]["message"] == "a line is longer than 8 MiB; it was skipped"
    assert long["result"] == "1000000"


@promise("repl.bounded")
def test_streamed_text_comes_while_the_cell_runs_in_pieces_that_split_no_character(
    shared: Repl,
) -> None:
    shared.say(id="s", code="print('now', flush=True); input()", stream=True)
    first = shared.streamed("now\n")
    assert "input_request" in shared.next()
    shared.say(input="")
    shared.until("success")
    shared.say(id="t", code="print('aä€😀' * 100_000, end='')", stream=True)
    pieces = list(itertools.takewhile(lambda said: "success" not in said, iter(shared.next, None)))

    assert {(piece["id"], piece["stream"]) for piece in first} == {("s", "stdout")}
    assert "".join(piece["text"] for piece in pieces) == "aä€😀" * 100_000
    assert {(piece["id"], piece["stream"]) for piece in pieces} == {("t", "stdout")}
    assert max(len(piece["text"].encode()) for piece in pieces) <= 64 * 1024


@promise("repl.bounded")
def test_a_flood_keeps_its_head_and_tail_in_the_answer(shared: Repl) -> None:
    said = shared.run("print('head'); print('x' * 20_000_000); print('tail')")

    assert (said["stdout"][:5], said["stdout"][-5:]) == ("head\n", "tail\n")
    assert len(said["stdout"]) < 5 * 2**20
    assert said["truncated"] == {"stdout": 20_000_011}


@promise("repl.bounded")
def test_text_that_is_no_unicode_and_lines_that_look_like_events_are_text(shared: Repl) -> None:
    forged = shared.run("print('MCP::task_finish {\"s\":\"0\"}'); print('\\udc80\\0\\x1b[31m')")

    assert forged["success"]
    assert "task_finish" in forged["stdout"]
    assert "\0\x1b[31m" in forged["stdout"]
    assert not any("event" in json.loads(line) for line in shared.lines[-1:])


@promise("repl.bounded")
def test_what_a_thread_prints_after_its_cell_is_told_under_the_id_of_the_cell(shared: Repl) -> None:
    shared.say(
        id="thread",
        code="import os, threading, time\n"
        "def late():\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    print('late', flush=True)\n"
        "threading.Thread(target=late).start()",
        stream=True,
    )
    shared.until("success")
    (shared.root / "go").touch()

    pieces = shared.streamed("late\n")
    assert {(piece["id"], piece["stream"]) for piece in pieces} == {("thread", "stdout")}


@promise("repl.bounded")
def test_messages_that_a_cell_sends_by_itself_do_not_end_the_session(shared: Repl) -> None:
    said = shared.run(
        "k = get_ipython().kernel\n"
        "for content in ({'data': 5}, {'name': 'stdout', 'text': 5}, {'execution_state': []}):\n"
        "    for kind in ('stream', 'display_data', 'status', 'execute_result', 'nonsense'):\n"
        "        k.session.send(k.iopub_socket, kind, content, parent=k.get_parent())\n"
        "k.session.send(k.iopub_socket, 'stream', {'name': [], 'text': 'odd'})\n"
        "k.iopub_socket.send_multipart([b'stream', b'<IDS|MSG>', b'', b'{', b'', b'', b''])"
    )

    assert said["error"] is None
    assert shared.run("1 + 1")["result"] == "2"


@promise("repl.survives")
def test_a_cell_that_takes_too_long_is_interrupted_and_its_variables_are_kept(shared: Repl) -> None:
    shared.run("kept = 1\nimport time")  # in no hurry
    said = shared.run("while True: time.sleep(0.01)", timeout=0.3)

    assert (said["success"], said["error"]["ename"]) == (False, "CellTimeout")
    assert "longer than 0.3 s and was interrupted" in said["error"]["evalue"]
    assert shared.run("kept")["result"] == "1"


@promise("repl.survives")
def test_a_cell_that_ignores_its_timeout_loses_the_kernel(repl: Repl) -> None:
    said = repl.run(
        "import signal\nsignal.signal(signal.SIGINT, lambda *_: print('no'))\n"
        "import time\nwhile True: time.sleep(0.01)",
        timeout=0.2,
    )

    assert said["error"]["ename"] == "CellTimeout"
    assert "ignored the interrupt, so the kernel was killed" in said["error"]["evalue"]
    assert repl.run("1 + 1")["result"] == "2"


@promise("repl.survives")
def test_a_dead_kernel_is_answered_with_its_reason_and_queued_cells_run_in_a_new_one(
    repl: Repl,
) -> None:
    repl.run("%task start Open")
    for name, (code, reason) in FATAL.items():
        repl.say(id=name, code=f"x = 1; {code}")
        repl.say(id=2, code="'x' in globals()")
        died, next_one = repl.until("success"), repl.until("success")

        assert died["id"] == name
        assert died["error"] == {
            "ename": "KernelDied",
            "evalue": f"{reason}: its variables are gone, and a new kernel goes on",
            "traceback": [],
        }
        # What was flushed just before the end may die with the thread that sends it.
        assert died["stdout"] in ("", "w\n")
        assert died["debug_info"]["execution"] == "error"
        assert (next_one["id"], next_one["result"]) == (2, "False")
        assert f"the kernel ended: {reason}; a new one starts" in repl.remarks()

    assert "T-0001 Open  [doing" in repl.run("%task status")["result"]


@promise("repl.survives")
def test_a_kernel_that_ends_while_idle_is_replaced_when_it_is_needed(repl: Repl) -> None:
    pid = int(repl.run("import os; os.getpid()")["result"])
    os.kill(pid, signal.SIGKILL)
    repl.wait_for(lambda: "the kernel ended: killed (SIGKILL)" in repl.remarks())
    left = repl.run("exit()")
    again = repl.run("1 + 1")

    assert (left["success"], again["result"]) == (True, "2")


@promise("repl.survives")
def test_ctrl_c_interrupts_the_running_cell_and_harms_no_idle_session(repl: Repl) -> None:
    repl.say(id=1, code="print('on', flush=True)\nimport time\ntime.sleep(60)", stream=True)
    repl.streamed("on\n")
    repl.interrupt()
    said = repl.until("success")
    repl.interrupt()
    repl.wait_for(lambda: "no cell runs" in repl.remarks())

    assert (said["id"], said["error"]["ename"]) == (1, "KeyboardInterrupt")
    repl.say(id="dead", code="import os; os.abort()")
    assert repl.until("success")["id"] == "dead"
    repl.interrupt()  # while a new kernel starts
    assert repl.run("1 + 1")["result"] == "2"
    repl.say(id=2, code="input()")
    repl.until("input_request")
    repl.interrupt()
    assert repl.until("success")["error"]["ename"] == "KeyboardInterrupt"


@promise("repl.survives")
def test_ctrl_c_right_after_a_request_stops_it_or_comes_too_late_but_never_hangs(
    repl: Repl,
) -> None:
    repl.run("an interrupt before the first cell can run ends the session")
    for number in range(20):
        repl.say(id=number, code="for _ in range(100): __import__('time').sleep(0.001)", timeout=10)
        repl.interrupt()
        said = repl.until("success")
        assert said["id"] == number
        assert said["success"] or said["error"]["ename"] in ("KeyboardInterrupt", "NoReply")

    assert repl.run("1 + 1")["result"] == "2"


@promise("repl.survives")
def test_a_cell_whose_reply_never_comes_is_answered_all_the_same(repl: Repl) -> None:
    said = repl.run(
        "session = get_ipython().kernel.session\n"
        "def send(stream, kind, *a, _send=session.send, **k):\n"
        "    if kind != 'execute_reply': return _send(stream, kind, *a, **k)\n"
        "session.send = send"
    )
    again = repl.run("del session.send; 'never told'", timeout=5)

    assert said["error"]["ename"] == "NoReply"
    assert again["result"] == "'never told'"


@promise("repl.survives", "repl.asks")
def test_a_home_that_takes_no_log_or_is_no_store_costs_an_error_and_not_the_session(
    repl: Repl,
) -> None:
    repl.run("%approve --park One?")
    repl.run("%approve --park Two?")
    (repl.home / "log").rename(repl.root / "moved")
    (repl.home / "log").touch()
    repl.say(approve="A-0001", decision="yes")
    decided = repl.until("event")["event"]
    for file in repl.home.glob("flow.db*"):
        file.write_bytes(b"no database" * 1000)
    repl.say(approve="A-0002", decision="yes")
    refused = repl.until("error")["error"]

    assert (decided["name"], decided["status"]) == ("approval_decided", "approved")
    assert refused["type"].startswith("Store")
    assert repl.run("1 + 1")["result"] == "2"


@promise("repl.survives")
def test_when_no_new_kernel_starts_every_request_is_answered_and_the_session_fails(
    tmp_path: Path,
) -> None:
    program = tmp_path / "once.py"
    program.write_text(
        "import os, sys, pathlib\n"
        "if pathlib.Path('started').exists(): sys.exit('no second time')\n"
        "pathlib.Path('started').touch()\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'flow_kernel', *sys.argv[1:]])"
    )
    spec = tmp_path / "kernels" / "once" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, str(program), "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "once", "language": "python"}))
    with Repl("--kernel", "once", env={"JUPYTER_PATH": str(tmp_path)}) as repl:
        repl.say(id=1, code="import os; os._exit(4)")
        repl.say(id=2, code="2")
        repl.say(id=3, code="3")
        said = repl.rest()

        assert repl.process.wait(DEADLINE_S) == 1
        ended = "the kernel ended while it started (exit code 1)"
        assert [each["error"].get("evalue") for each in said[:3]] == [
            "exit (exit code 4): its variables are gone, and a new kernel goes on", ended, ended,
        ]  # fmt: skip
        assert [each["id"] for each in said[:3]] == [1, 2, 3]
        assert said[3]["error"]["message"] == ended
        assert "no second time" in repl.remarks()
