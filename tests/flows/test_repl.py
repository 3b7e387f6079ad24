"""A program and a kernel over the lines of `jupyter flow repl`: cells, questions, a whole task."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.environments import environment
from tests.logs import TaskLogs
from tests.promises import promise
from tests.repl import Repl
from tests.source import ROOT

CLI = (sys.executable, "-m", "flow_kernel.apps.cli")


@pytest.fixture(scope="module")
def shared() -> Iterator[Repl]:
    """A session for tests that leave the kernel as it is."""
    with Repl() as repl:
        yield repl


@pytest.fixture
def repl() -> Iterator[Repl]:
    with Repl() as repl:
        yield repl


def flow(repl: Repl, *arguments: str) -> Any:
    """One verb of the command line, as another person types it; its document."""
    done = subprocess.run(
        [*CLI, *arguments, "--json", "--home", str(repl.home)],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@promise("repl.task")
def test_a_program_drives_a_whole_task_over_the_lines_alone(repl: Repl) -> None:
    events: list[dict[str, Any]] = []

    def run(code: str) -> dict[str, Any]:
        """Run a cell and answer whatever it asks for, as an agent does."""
        repl.say(id=code, code=code)
        while "success" not in (said := repl.next()):
            if "event" in said:
                events.append(said["event"])
                if said["event"]["name"] == "need_approval":
                    repl.say(approve=said["event"]["id"], decision="yes", comment="tested")
            elif said.get("input_request", {}).get("prompt") == "Which month? ":
                repl.say(input="May")
        assert said["id"] == code
        return said

    run("%task start Clean the data --steps load,check,save")
    run("%task step load")
    assert run("month = input('Which month? ')")["success"]
    run("rows = [3, None, 1]")
    assert run("%task set rows=3 month={month}")["success"]
    failed = run("%%step check\nassert None not in rows, 'a row is empty'")
    died = run("import os; os.kill(os.getpid(), 9)")
    fixed = run("%%step check\nrows = [3, 1]")
    approved = run("if get_ipython().run_line_magic('approve', 'Save 2 rows?'):\n    saved = rows")
    run("%%step save\nopen('rows.txt', 'w').write(str(saved))")
    finished = run("%task finish")
    code = repl.end()

    assert (failed["error"]["ename"], died["error"]["ename"]) == ("AssertionError", "KernelDied")
    assert [said["success"] for said in (fixed, approved, finished)] == [True, True, True]
    assert (repl.root / "rows.txt").read_text() == "[3, 1]"
    assert (code, "MCP::" in "".join(map(repr, repl.lines))) == (0, False)
    names = [event["name"] for event in events]
    assert names[0] == "task_start"
    assert {"step_start", "step_end", "need_approval", "approval_decided", "death"} <= set(names)
    assert (names[-1], names.count("approval_decided")) == ("task_finish", 1)
    (task,) = flow(repl, "tasks")["items"]
    assert (task["name"], task["status"]) == ("Clean the data", "done")
    assert flow(repl, "context", "T-0001") == {"rows": 3, "month": "May"}
    (approval,) = flow(repl, "approvals")["items"]
    assert [approval[k] for k in ("status", "channel", "comment")] == ["approved", "repl", "tested"]
    report = repl.root / "report.json"
    subprocess.run(
        [*CLI, "report", "--task", "T-0001", "--json", report, "--home", repl.home],
        env=environment({}),
        check=True,
        capture_output=True,
    )
    assert "Save 2 rows?" in report.read_text()


@promise("repl.answers")
def test_an_answer_holds_what_the_cell_did_and_the_number_of_its_record(shared: Repl) -> None:
    said = shared.run(
        "import wave, sys\nprint('out'); print('err', file=sys.stderr); display(2); x = 3; x"
    )

    facts = said.pop("debug_info")
    assert said == {
        "id": "import wave, sys\npri",
        "success": True,
        "stdout": "out\n2\n",
        "stderr": "err\n",
        "result": "3",
        "error": None,
    }
    assert "wave" in facts["added_imports"]
    assert (facts["execution"], {"sys", "wave", "x"} <= set(facts["added_vars"])) == ("local", True)
    record = TaskLogs(shared.home).one("cell", seq=facts["seq"])
    assert (record["stdout"], record["result"]) == ("out\n", "3")
    assert record["elapsed_ms"] == facts["elapsed_ms"]


@promise("repl.answers")
def test_an_error_is_told_without_colours_and_the_next_request_runs(shared: Repl) -> None:
    shared.say(id=1, code="1 / 0")
    shared.say(id=2, code="'fine'")
    failed, fine = shared.until("success"), shared.until("success")

    assert (failed["id"], failed["success"], fine["result"]) == (1, False, "'fine'")
    assert (failed["error"]["ename"], failed["error"]["evalue"]) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert failed["error"]["traceback"][-1] == "ZeroDivisionError: division by zero"
    assert "\x1b" not in str(failed)


@promise("repl.answers")
def test_pipelined_requests_are_answered_in_order_with_their_own_ids(shared: Repl) -> None:
    ids = [None, "a", 0, 0.5, True, "a", 2**53]
    for number, request_id in enumerate(ids):
        shared.say(id=request_id, code=f"print({number})")
    shared.say(code="print('no id')")

    said = [shared.until("success") for _ in range(len(ids) + 1)]

    assert [(s["id"], s["stdout"]) for s in said] == [
        *((request_id, f"{number}\n") for number, request_id in enumerate(ids)),
        (None, "no id\n"),
    ]


@promise("repl.answers")
def test_cells_that_hold_nothing_or_only_a_magic_have_their_answer(shared: Repl) -> None:
    empty, comment = shared.run(""), shared.run("# nothing")
    status, helped = shared.run("%flow status"), shared.run("len?")

    assert [said["success"] for said in (empty, comment, status, helped)] == [True] * 4
    assert str(shared.home) in str(status)
    assert "Docstring" in helped["stdout"]


@promise("repl.answers")
def test_an_isolated_cell_runs_in_a_worker_and_may_crash_there(repl: Repl) -> None:
    repl.run("given = 20")
    inside = repl.run("made = given + 1; made", isolated=True)
    died = repl.run("import os; os.kill(os.getpid(), 11)", isolated=True)
    here = repl.run("'made' in globals(), given")

    assert (inside["result"], inside["debug_info"]["execution"]) == ("21", "worker")
    assert (died["error"]["ename"], died["debug_info"]["execution"]) == ("WorkerDied", "worker")
    assert (here["result"], here["debug_info"]["execution"]) == ("(False, 20)", "local")


@promise("repl.answers")
def test_an_isolated_cell_does_not_run_on_a_kernel_that_isolates_none() -> None:
    with Repl("--kernel", "python3") as stock:
        said = stock.run("isolated = 1", isolated=True)

        assert (said["error"]["ename"], said["debug_info"]["execution"]) == (
            "IsolationUnavailable",
            "error",
        )
        assert stock.run("'isolated' in globals()")["result"] == "False"


@promise("repl.answers")
def test_a_checkpoint_is_told_when_it_is_durable(repl: Repl) -> None:
    made = repl.run("x = 1\n%checkpoint mark")
    while not repl.checkpoints:
        assert repl.next_line()["event"]["name"] == "checkpoint"

    assert made["success"]


@promise("repl.asks")
def test_input_and_passwords_are_asked_for_and_given(shared: Repl) -> None:
    shared.say(id=1, code="import getpass\ninput('who? ') + getpass.getpass('word? ')")

    first = shared.next()
    shared.say(input="ann ü\u2028")
    second = shared.next()
    shared.say(input="")
    said = shared.next()

    assert (first, second) == (
        {"input_request": {"prompt": "who? "}},
        {"input_request": {"prompt": "word? ", "password": True}},
    )
    assert said["result"] == repr("ann ü\u2028")


@promise("repl.asks")
def test_input_that_nobody_asked_for_is_an_error_and_does_not_reach_a_later_cell(
    shared: Repl,
) -> None:
    shared.say(input="early")
    refused = shared.next()
    shared.say(id=1, code="input()")
    assert shared.next() == {"input_request": {"prompt": ""}}
    shared.say(input="\x04")

    assert refused["error"]["message"] == "no cell waits for input"
    assert shared.next()["error"]["ename"] == "EOFError"


@promise("repl.asks")
def test_a_question_is_answered_while_its_cell_is_blocked_and_once(repl: Repl) -> None:
    repl.say(id=1, code="bool(get_ipython().run_line_magic('approve', 'Go?'))")
    repl.until("input_request")
    repl.say(approve="a-0001", decision="no", comment="not yet")
    decided, said = repl.next(), repl.next()
    repl.say(approve="A-0001", decision="yes")
    repl.say(approve="A-0009", decision="yes")
    repl.say(approve="nonsense", decision="yes")
    late, unknown, wrong = (repl.next()["error"] for _ in range(3))

    assert decided["event"].items() >= {
        "name": "approval_decided", "id": "A-0001", "status": "rejected", "channel": "repl",
    }.items()  # fmt: skip
    assert (said["id"], said["result"]) == (1, "False")
    assert late["type"] == "AlreadyDecided"
    assert re.search(r"A-0001 was already rejected by .+ at 20.+ \(repl\)", late["message"])
    assert (unknown["type"], wrong["type"]) == ("NotFound", "UsageError")


@promise("repl.asks")
def test_a_parked_question_is_answered_in_any_state_and_its_rerun_goes_on(repl: Repl) -> None:
    cell = "ok = get_ipython().run_line_magic('approve', 'Go? --park')\nbool(ok)"
    parked = repl.run(cell)
    repl.say(id="busy", code="input('wait ')")
    repl.until("input_request")
    repl.say(approve="A-0001", decision="yes")
    assert repl.next()["event"]["name"] == "approval_decided"
    repl.say(input="x")
    assert repl.next()["id"] == "busy"
    rerun, third = repl.run(cell), repl.run(cell)

    assert parked["error"]["ename"] == "ApprovalPending"
    assert (rerun["result"], third["error"]["ename"]) == ("True", "ApprovalPending")


@promise("repl.asks")
def test_an_answer_from_the_command_line_releases_the_cell_and_stale_input_is_told(
    repl: Repl,
) -> None:
    repl.say(
        id=1,
        code="import os, time\nget_ipython().run_line_magic('approve', 'Go?')\n"
        "while not os.path.exists('on'): time.sleep(0.01)\n'released'",
    )
    repl.until("input_request")
    flow(repl, "approve", "A-0001", "--as", "ann")
    repl.say(input="no")
    refused = repl.until("error")["error"]
    (repl.root / "on").touch()
    said = repl.until("success")

    assert refused["type"] == "AlreadyDecided"
    assert "approved by ann" in refused["message"]
    assert said["result"] == "'released'"


@promise("repl.asks")
def test_the_box_of_a_question_takes_yes_too(shared: Repl) -> None:
    shared.say(id=1, code="bool(get_ipython().run_line_magic('approve', 'In the box?'))")
    assert "yes, no" in shared.until("input_request")["input_request"]["prompt"]
    shared.say(input="yes")

    assert shared.until("success")["result"] == "True"


@promise("repl.task")
def test_a_named_task_is_started_once_and_gone_on_with_by_name_or_id() -> None:
    with Repl("--task", "Clean up") as first:
        first.run("x = 1")
        assert first.end() == 0
        for chosen in ("Clean up", "T-0001"):
            with Repl("--task", chosen, home=first.home) as later:
                later.run("y = 2")
                assert later.end() == 0
        (task,) = flow(first, "tasks")["items"]
        codes = [r["code"] for r in TaskLogs(first.home).records("cell", task_id="T-0001")]

    assert (task["task_id"], task["name"], task["status"]) == ("T-0001", "Clean up", "doing")
    assert codes == ["x = 1", "y = 2", "y = 2"]


@promise("repl.answers")
def test_the_session_in_the_readme_is_a_real_one(repl: Repl) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```jsonl\n(.*?)^```$", text, re.M | re.S)
    for line in example.splitlines():
        expected = json.loads(line[1:])
        if line.startswith("→"):
            repl.say(**expected)
            continue
        said = repl.next()
        while "event" in said and "event" not in expected:
            said = repl.next()
        assert _shape(said) == _shape(expected)


def _shape(said: dict[str, Any]) -> Any:
    """What is the same each time: not times, names of people and the length of texts."""
    known = json.loads(json.dumps(said))
    known.get("debug_info", {}).update(elapsed_ms=0, added_imports=[])
    known.get("event", {}).update(by="")
    if known.get("error") and "traceback" in known["error"]:
        known["error"]["traceback"] = bool(known["error"]["traceback"])
        known["error"]["evalue"] = known["error"]["evalue"].partition(" - waits")[0]
    known["seq"] = known.get("debug_info", {}).pop("seq", None) is None
    return known
