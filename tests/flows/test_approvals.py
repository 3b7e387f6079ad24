"""Questions in real kernels: parked, typed into the box, answered from elsewhere, used once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.environments import environment
from tests.front_ends import displays_without_widgets
from tests.kernels import DEADLINE_S, FLOW, STOCK, Kernel
from tests.promises import promise


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def flow(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One verb of the command line, as another person in another process types it."""
    return subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", *arguments, "--home", str(home)],
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )


def answer(home: Path, verb: str, approval_id: str) -> None:
    assert flow(home, verb, approval_id, "--as", "ann").returncode == 0


def approvals(home: Path) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(flow(home, "approvals", "--json").stdout)["items"]
    return items


def wait_for_question(kernel: Kernel, approval_id: str) -> None:
    kernel.wait(lambda: bool(kernel.logs.records("approval", approval_id=approval_id)))


@promise("approval.parks", "approval.once")
def test_a_client_without_stdin_parks_and_a_rerun_after_the_answer_goes_on(kernel: Kernel) -> None:
    cell = "ok = %approve Delete 3 files?\ndeleted = bool(ok)"

    parked = kernel.run(cell)
    answer(kernel.home, "approve", "A-0001")
    rerun = kernel.run(cell)
    third = kernel.run(cell)

    says = (
        "A-0001 Delete 3 files? - waits for an answer (advisory: code in the same process can get"
        " around it); answer it: jupyter flow approve A-0001 (or reject), then run this cell again"
    )
    assert parked.error == {
        "ename": "ApprovalPending",
        "evalue": says,
        "traceback": [f"ApprovalPending: {says}"],
    }
    assert (rerun.status, kernel.run("deleted, ok.row.decided_by").result) == (
        "ok",
        "(True, 'ann')",
    )
    assert third.error is not None
    assert third.error["evalue"].startswith("A-0002 Delete 3 files?")
    assert [(r["status"], r["is_used"]) for r in kernel.logs.records("approval")] == [
        ("open", False), ("approved", False), ("approved", True), ("open", False),
    ]  # fmt: skip


@promise("approval.bound")
def test_changed_code_asks_again_and_the_hash_is_that_of_the_record(kernel: Kernel) -> None:
    kernel.run("%approve --park Go")
    answer(kernel.home, "approve", "A-0001")

    changed = kernel.run("%approve --park Go\nx = 1")

    assert changed.error is not None
    assert changed.error["evalue"].startswith("A-0002")
    codes = [r["code_sha256"] for r in kernel.logs.records("cell")]
    assert [item["code_sha256"] for item in approvals(kernel.home)] == codes


@promise("approval.bound", "approval.parks")
def test_a_body_runs_only_once_it_was_approved_itself(kernel: Kernel) -> None:
    parked = kernel.run("%%approve Drop the table\ndropped = 'orders'\ndropped")
    answer(kernel.home, "approve", "A-0001")
    changed = kernel.run("%%approve Drop the table\ndropped = 'everything'\ndropped")
    before = kernel.run("'dropped' in globals()").result
    approved = kernel.run("%%approve Drop the table\ndropped = 'orders'\ndropped")

    assert [ran.error and ran.error["ename"] for ran in (parked, changed, approved)] == [
        "ApprovalPending", "ApprovalPending", None,
    ]  # fmt: skip
    assert (before, approved.result) == ("False", "'orders'")
    assert "approved by ann (cli)" in approved.stdout
    body = kernel.logs.one("cell", code="dropped = 'orders'\ndropped\n")
    assert body["code_sha256"] == approvals(kernel.home)[0]["code_sha256"]


@promise("approval.bound")
def test_a_rejected_body_does_not_run_and_fails_its_cell_in_one_line(kernel: Kernel) -> None:
    kernel.run("%%approve Drop it\nx = 1")
    answer(kernel.home, "reject", "A-0001")

    ran = kernel.run("%%approve Drop it\nx = 1")

    assert ran.error is not None
    assert ran.error["ename"] == "ApprovalRejected"
    (line,) = ran.error["traceback"]
    assert line.startswith("ApprovalRejected: A-0001 Drop it - rejected by ann (cli) at 20")
    assert line.endswith("; the cell did not run")
    assert kernel.run("'x' in globals()").result == "False"


@promise("approval.bound")
def test_a_body_that_raises_fails_its_cell_and_is_shown_once(kernel: Kernel) -> None:
    ran = kernel.run("%%approve Divide\n1 / 0", allow_stdin=True, answers=["y"])

    assert ran.reply["ename"] == "ZeroDivisionError"
    first, second = (message["content"]["traceback"] for message in ran.of("error"))
    assert "division by zero" in first[-1]
    assert second == ["the approved cell failed: ZeroDivisionError"]


@promise("approval.anywhere")
@pytest.mark.parametrize(
    ("typed", "result"),
    [(["perhaps", "yes"], "True"), (["n"], "False"), (["", "skip"], "False")],
)
def test_what_is_typed_into_the_box_of_the_cell_is_the_answer(
    kernel: Kernel, typed: list[str], result: str
) -> None:
    ran = kernel.run("ok = %approve Go?\nbool(ok)", allow_stdin=True, answers=typed)

    assert (ran.status, ran.result) == ("ok", result)
    assert ran.stdout == (
        "A-0001 Go?\n  advisory: code in the same process can get around it\n"
        "  from elsewhere: jupyter flow approve A-0001 (or reject)\n"
    )


@promise("approval.anywhere")
def test_an_answer_from_elsewhere_ends_the_wait_and_the_box_left_open_answers_nothing(
    kernel: Kernel,
) -> None:
    first = kernel.send("bool(get_ipython().run_line_magic('approve', 'One'))", allow_stdin=True)
    kernel.wait(lambda: bool(kernel.inputs))
    stale = kernel.inputs.pop()
    answer(kernel.home, "approve", "A-0001")
    assert kernel.collect(first).result == "True"

    second = kernel.send("bool(get_ipython().run_line_magic('approve', 'Two'))", allow_stdin=True)
    kernel.wait(lambda: bool(kernel.inputs))
    for request, value in ((stale, "yes"), (kernel.inputs.pop(), "no")):
        kernel.session.send(
            kernel.sockets["stdin"],
            kernel.session.msg("input_reply", {"value": value}, parent=request),
        )

    assert kernel.collect(second).result == "False"
    assert [(i["status"], i["channel"]) for i in approvals(kernel.home)] == [
        ("approved", "cli"), ("rejected", "stdin"),
    ]  # fmt: skip
    late = flow(kernel.home, "approve", "A-0002", "--as", "bob")
    assert (late.returncode, "already rejected by" in late.stderr) == (1, True)


@promise("approval.anywhere")
def test_jupyterlab_closes_the_box_of_a_question_that_was_answered_elsewhere(
    kernel: Kernel,
) -> None:
    """The client here answers as a browser does that runs the line of script in the output."""
    code = "ok = %approve One\n[bool(ok), input('name? ')]"
    cell = kernel.send(code, allow_stdin=True, cell_id="c1")
    kernel.wait(lambda: bool(kernel.inputs))
    box = kernel.inputs.pop()
    answer(kernel.home, "approve", "A-0001")
    kernel.wait(lambda: any(m["msg_type"] == "update_display_data" for m in kernel.iopub))
    kernel.session.send(
        kernel.sockets["stdin"], kernel.session.msg("input_reply", {"value": ""}, parent=box)
    )

    ran = kernel.collect(cell, answers=["ann"])

    assert ran.result == "[True, 'ann']"
    shown, emptied = displays_without_widgets(kernel.iopub)
    assert "jp-Stdin-input" in shown["data"]["text/html"]
    assert (emptied["data"], emptied["transient"]) == ({}, shown["transient"])


@promise("approval.anywhere")
@pytest.mark.parametrize(("answered", "cell_id"), [("in the box", "c1"), ("elsewhere", None)])
def test_no_script_is_sent_for_a_box_that_was_used_or_to_another_client(
    kernel: Kernel, answered: str, cell_id: str | None
) -> None:
    cell = kernel.send("ok = %approve One", allow_stdin=True, cell_id=cell_id)
    if answered == "elsewhere":
        kernel.wait(lambda: bool(kernel.inputs))
        kernel.inputs.clear()
        answer(kernel.home, "approve", "A-0001")

    assert kernel.collect(cell, answers=["yes"]).reply["status"] == "ok"
    assert displays_without_widgets(kernel.iopub) == []


@promise("approval.anywhere")
def test_an_interrupt_ends_the_wait_and_cancels_the_question(kernel: Kernel) -> None:
    cell = kernel.send("%approve --wait Go")
    wait_for_question(kernel, "A-0001")
    kernel.wait_for_text("from elsewhere")

    kernel.interrupt()

    assert kernel.collect(cell).reply["ename"] == "KeyboardInterrupt"
    (item,) = approvals(kernel.home)
    assert (item["status"], item["channel"]) == ("cancelled", "interrupt")


@promise("approval.parks")
def test_a_question_outlives_the_kernel_that_waited_for_its_answer(kernel: Kernel) -> None:
    kernel.send("bool(get_ipython().run_line_magic('approve', 'Go --wait'))")
    wait_for_question(kernel, "A-0001")
    kernel.restart().ready()
    answer(kernel.home, "approve", "A-0001")

    ran = kernel.run("bool(get_ipython().run_line_magic('approve', 'Go --wait'))")

    assert (ran.result, len(approvals(kernel.home))) == ("True", 1)


@promise("approval.parks")
def test_nbclient_stops_at_a_question_and_a_second_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    env = environment({"IPYTHONDIR": str(tmp_path / "ipython"), "FLOW_HOME": str(home)})
    for name in set(os.environ) - set(env):
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    sources = ["rows = 3", "%approve Delete {rows} rows?", "rows = 0\nrows"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ApprovalPending: A-0001"):
        nbclient.NotebookClient(notebook, kernel_name=FLOW, timeout=DEADLINE_S).execute()
    answer(home, "approve", "A-0001")
    nbclient.NotebookClient(notebook, kernel_name=FLOW, timeout=DEADLINE_S).execute()

    assert notebook.cells[2].outputs[0]["data"]["text/plain"] == "0"
    assert [(item["message"], item["is_used"]) for item in approvals(home)] == [
        ("Delete 3 rows?", True)
    ]


@promise("approval.asked")
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%approve Delete it?", "Delete it?"),
        ("ok = %approve Delete it?", "Delete it?"),
        ("if True:\n    %approve don't you?", "don't you?"),
        ("%approve 'rm -rf  --force' --timeout 10m", "rm -rf  --force"),
        ("%approve <b>Größe</b> \u202e", "<b>Größe</b> \u202e"),
        ("%%approve Really??\n1", "Really??"),
    ],
)
def test_the_words_of_a_question_are_those_that_were_typed(
    kernel: Kernel, cell: str, message: str
) -> None:
    ran = kernel.run(cell)

    assert ran.reply["ename"] == "ApprovalPending"
    assert [item["message"] for item in approvals(kernel.home)] == [message.strip()]


@promise("approval.asked")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%approve", "a question needs a message"),
        ("%approve Go --timout 5m", "there is no option --timout"),
        ("%approve Go --timeout", "--timeout takes a value"),
        ("%approve Go --timeout soon", '"soon" is no duration'),
        ("%approve Go --on-timeout perhaps", '"perhaps" is no outcome of a timeout'),
        ("%approve Go --park --wait", "--park and --wait exclude one another"),
    ],
)
def test_a_wrong_option_asks_nothing_and_stops_the_cell(
    flow_kernel_shared: Kernel, line: str, says: str
) -> None:
    ran = flow_kernel_shared.run(f"{line}\nreached = 1")

    assert (ran.reply["ename"], says in ran.reply["evalue"]) == ("UsageError", True)
    assert flow_kernel_shared.run("'reached' in globals()").result == "False"


@promise("approval.asked")
def test_help_completion_and_cards_come_with_the_magic(flow_kernel_shared: Kernel) -> None:
    kernel = flow_kernel_shared
    helped = kernel.run("%approve?")
    text = "%approve Go --on-timeout "
    completed = kernel.ask("complete_request", {"code": text, "cursor_pos": len(text)})
    card = kernel.run("%approve <b>Go</b>", allow_stdin=True, answers=["y"])

    (payload,) = helped.reply["payload"]
    assert "--on-timeout reject|skip|approve" in payload["data"]["text/plain"]
    assert {"reject", "skip", "approve"} <= set(completed["matches"])
    (shown,) = (m["content"]["data"] for m in card.of("execute_result"))
    assert shown["text/plain"].startswith("✓ ")
    assert "&lt;b&gt;Go&lt;/b&gt;" in shown["text/html"]


@promise("approval.parks")
def test_the_extension_in_a_stock_kernel_asks_in_the_same_way() -> None:
    with Kernel(STOCK) as kernel:
        kernel.run("%load_ext flow_kernel")
        parked = kernel.run("%approve Go?")
        answered = kernel.run("bool(get_ipython().run_line_magic('approve', 'Go'))",
                              allow_stdin=True, answers=["yes"])  # fmt: skip
        kernel.run("%unload_ext flow_kernel")
        gone = kernel.run("%approve Go")

    assert (parked.reply["ename"], answered.result) == ("ApprovalPending", "True")
    assert "`%approve` not found" in gone.stderr


@pytest.fixture(scope="module")
def flow_kernel_shared() -> Iterator[Kernel]:
    """One kernel for the cells that ask nothing, or only in their own box."""
    with Kernel() as kernel:
        yield kernel.ready()
