"""`%workflow` in real kernels: seen while it goes on, stopped, gone on with, told to agents."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pexpect
import psutil
import pytest

from tests.environments import environment
from tests.isolating import ok
from tests.kernels import DEADLINE_S, STOCK, Kernel
from tests.promises import promise
from tests.replies import Ran

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

WAITS: Final = (
    "import pathlib, sys, time\n"
    "print('it waits', file=sys.stderr, flush=True)\n"
    "while not pathlib.Path('{}').exists(): time.sleep(0.01)\n"
    "print('{{\"rows\": [1, 2]}}')"
)
SAYS: Final = "import sys\nprint('said', file=sys.stderr)\nprint('{\"n\": 3}')"


@pytest.fixture
def own() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def step(name: str, code: str, *needs: str, **more: object) -> dict[str, object]:
    return {"id": name, "code": code, "needs": [*needs], **more}


def write(kernel: Kernel, name: str, *steps: dict[str, object], **more: object) -> str:
    path = kernel.cwd / f"{name}.json"
    path.write_text(json.dumps({"name": name, "steps": steps, **more}), encoding="utf-8")
    return path.name


def updates(ran: Ran) -> list[dict[str, Any]]:
    kinds = ("display_data", "update_display_data")
    return [m["content"] for m in ran.messages if m["msg_type"] in kinds]


def last_html(ran: Ran) -> str:
    return str(updates(ran)[-1]["data"]["text/html"])


def shows(kernel: Kernel, msg_id: str, text: str) -> bool:
    """True once a picture of that cell holds `text`."""
    found = kernel._of.get(msg_id, [])
    return any(text in m["content"].get("data", {}).get("text/html", "") for m in found)


@promise("workflow.seen")
def test_one_display_is_drawn_again_and_the_value_is_the_run(own: Kernel) -> None:
    file = write(own, "live", step("load", WAITS.format("go")), step("save", SAYS, "load"))
    msg_id = own.send(f"run = %workflow run {file}")
    own.wait(lambda: shows(own, msg_id, "it waits"))
    (own.cwd / "go").touch()
    ran = own.collect(msg_id)

    assert ran.status == "ok"
    assert len({each["transient"]["display_id"] for each in updates(ran)}) == 1
    assert ran.messages[0]["msg_type"] == "display_data"
    first, last = (updates(ran)[place]["data"]["text/html"] for place in (0, -1))
    assert "success" not in first
    assert last.count('<g class="ok') == 2
    assert last.count("<details") == 2
    assert "said" in last
    assert "n = 3" in last
    assert ok(own, "repr(run)") == "'R-0001 live: success, 2 of 2 steps ok'"
    values = "(run.success, run.output_data, str(run.step('save').state))"
    assert ok(own, values) == "(True, {'load': {'rows': [1, 2]}, 'save': {'n': 3}}, 'ok')"


@promise("workflow.seen")
def test_a_bare_line_shows_its_picture_once_and_another_cell_again(own: Kernel) -> None:
    file = write(own, "w", step("a", SAYS))
    ran = own.run(f"%workflow run {file}")
    again = own.run("_")
    shown = own.run("%workflow show")

    assert ran.result is None
    assert len([each for each in ran.messages if each["msg_type"] == "display_data"]) == 1
    for other in (again, shown):
        (message,) = other.of("execute_result")
        assert "<svg" in message["content"]["data"]["text/html"]
        assert other.result is not None
        assert "✓ a  ok" in other.result


@promise("workflow.seen")
def test_a_run_belongs_to_the_open_task_and_stands_in_its_report(own: Kernel) -> None:
    file = write(own, "w", step("a", SAYS), step("b", "1 / 0", "a"))
    ok(own, "%task start Load")
    own.run(f"%workflow run {file}")

    assert "✗ R-0001 w  (failed · 1 of 2 steps ok" in ok(own, "%task show")
    ok(own, "%flow report --html r.html --md r.md --json r.json")
    page, text = ((own.cwd / f"r.{end}").read_text("utf-8") for end in ("html", "md"))
    (item,) = json.loads((own.cwd / "r.json").read_text("utf-8"))["items"]
    assert page.count("<svg") == 1
    assert "ZeroDivisionError: division by zero" in page
    assert "- R-0001 w — failed" in text
    assert "  - a — ok" in text
    (run,) = item["runs"]
    assert (run["run_id"], run["status"]) == ("R-0001", "failed")
    assert [(each["name"], each["state"]) for each in run["steps"]] == [("a", "ok"), ("b", "error")]
    assert "R-0001" in ok(own, "%task finish")


@promise("workflow.seen")
def test_an_isolated_cell_has_its_session_run_it(own: Kernel) -> None:
    file = write(own, "w", step("a", SAYS))
    ran = own.run(f"%%isolated\nx = 1\n%workflow run {file}")

    assert ran.status == "ok", ran.error
    assert "success" in last_html(ran)
    assert ran.result == "R-0001 w: success, 1 of 1 steps ok"
    (message,) = ran.of("execute_result")
    assert "text/html" not in message["content"]["data"]
    failed = own.run(f"%%isolated\n%workflow run {write(own, 'bad', step('b', '1 / 0'))}")
    assert failed.error is not None
    assert failed.error["ename"] == "StepFailed"


@promise("workflow.seen")
def test_an_agent_is_told_of_steps_and_questions() -> None:
    with Kernel(env={"FLOW_EVENTS": "1"}) as kernel:
        kernel.ready()
        flaky = (
            "import json, sys\n"
            "v = json.load(open(sys.argv[-1]))\n"
            "if v['_flow']['attempt'] < 2: sys.exit('not yet')"
        )
        ask = {"id": "ask", "step_type": "APPROVAL", "code": "Go?", "needs": ["a"]}
        file = write(kernel, "w", step("a", flaky, retries=1), ask)
        ran = kernel.run(f"%workflow run {file}")

    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    told = [(name.removeprefix("MCP::"), json.loads(said)) for name, said in lines]
    facts = [(name, *map(said.get, ("step", "run_id", "error"))) for name, said in told]
    assert facts == [
        ("step_start", "a", "R-0001", None),
        ("step_end", "a", "R-0001", "it ended with exit code 1: not yet"),
        ("step_start", "a", "R-0001", None),
        ("step_end", "a", "R-0001", None),
        ("need_approval", None, None, None),
    ]
    assert told[-1][1]["id"] == "A-0001"


@promise("workflow.ends")
def test_a_failed_step_ends_its_cell_in_one_line_and_is_run_again(own: Kernel) -> None:
    code = "import pathlib\nassert pathlib.Path('there').exists(), 'no rows'"
    file = write(own, "w", step("a", SAYS), step("b", code, "a"), step("c", SAYS, "b"))
    ran = own.run(f"run = %workflow run {file}")
    after = own.run("1", stop_on_error=True)

    assert ran.error is not None
    assert ran.error["ename"] == "StepFailed"
    assert ran.error["traceback"] == [
        "StepFailed: b of R-0001 failed (AssertionError: no rows); "
        "to run what is left: %workflow resume R-0001 --failed"
    ]
    assert "Traceback" in last_html(ran)
    assert after.status == "ok"
    (own.cwd / "there").touch()
    ok(own, "run = %workflow resume R-0001 --failed")
    states = "[(s.id, str(s.state), s.attempt) for s in run.steps]"
    assert ok(own, states) == "[('a', 'ok', 1), ('b', 'ok', 1), ('c', 'ok', 1)]"


@promise("workflow.ends")
def test_a_question_ends_its_cell_and_the_run_goes_on_with_the_answer(own: Kernel) -> None:
    ask = {"id": "ask", "step_type": "APPROVAL", "code": "Publish?", "needs": ["a"]}
    file = write(own, "w", step("a", SAYS), ask, step("b", SAYS, "ask"))
    ran = own.run(f"%workflow run {file}")

    assert ran.error is not None
    assert ran.error["ename"] == "ApprovalPending"
    assert len(ran.error["traceback"]) == 1
    assert "waiting · A-0001" in last_html(ran)
    ok(own, "import subprocess, sys")
    args = "[sys.executable, '-m', 'flow_kernel.apps.cli', 'approve', 'A-0001']"
    assert ok(own, f"subprocess.run({args}, capture_output=True).returncode") == "0"
    ok(own, "run = %workflow resume")
    assert ok(own, "str(run)") == "'R-0001 w: success, 3 of 3 steps ok'"


@promise("workflow.ends")
def test_an_interrupt_stops_the_run_and_leaves_no_process(own: Kernel) -> None:
    code = WAITS.format("never")
    file = write(own, "w", step("a", SAYS), step("b", code, "a"), step("c", SAYS, "b"))
    own.run("1")
    msg_id = own.send(f"%workflow run {file}")
    own.wait(lambda: shows(own, msg_id, "it waits"))
    os.kill(own.pid, signal.SIGINT)
    ran = own.collect(msg_id)

    assert ran.error is not None
    assert ran.error["traceback"] == [
        "KeyboardInterrupt: R-0001 was stopped; "
        "to run what is left: %workflow resume R-0001 --failed"
    ]
    assert "■ cancelled" in last_html(ran)
    assert psutil.Process(own.pid).children(recursive=True) == []
    assert "cancelled" in ok(own, "%workflow list")


@promise("workflow.ends")
def test_what_cannot_be_run_is_one_sentence_and_runs_nothing(own: Kernel) -> None:
    write(own, "bad", step("a", SAYS, "fetsh"), step("fetch", "x = ("))
    said = {
        "run nowhere.toml": "there is no file",
        "run nowhere": 'no stored workflow "nowhere"',
        "run": "required: workflow",
        "fly": 'there is no verb "fly"',
        "resume": "no run can go on",
        "show": "nothing was run yet",
        "show R-0009": "there is no run R-0009",
        "show nine": '"nine" is no run id',
        "run bad.json": 'did you mean "fetch"?',
    }
    for words, told in said.items():
        ran = own.run(f"%workflow {words}")
        assert told in ran.stderr, words
        assert ran.stderr.startswith("UsageError: %workflow: ")
    assert ok(own, "%workflow list") == "nothing was run yet; try: %workflow run FILE"


@promise("workflow.seen")
def test_what_can_follow_is_completed(own: Kernel) -> None:
    write(own, "w", step("a", SAYS))
    ok(own, "%workflow run w.json")
    lines = {
        "%workflow ": {"run", "list", "show", "resume"},
        "%workflow run ": {"w.json"},
        "%workflow run w.json --on ": {"fork", "subprocess", "kernel", "inline", "dask"},
        "%workflow run w.json --": {"--var", "--from", "--only", "--no-cache", "--wait"},
        "%workflow resume ": {"R-0001", "--failed"},
    }
    for line, wanted in lines.items():
        content = {"code": line, "cursor_pos": len(line)}
        assert wanted <= {*own.ask("complete_request", content)["matches"]}, line
    said = own.ask("inspect_request", {"code": "%workflow", "cursor_pos": 5, "detail_level": 0})
    assert "--failed runs again what has failed" in said["data"]["text/plain"]


@promise("workflow.seen")
def test_the_extension_runs_workflows_alike() -> None:
    with Kernel(STOCK) as kernel:
        kernel.ready()
        file = write(kernel, "w", step("a", SAYS))
        ok(kernel, "%load_ext flow_kernel")
        ran = kernel.run(f"run = %workflow run {file}")

        assert ran.status == "ok", ran.error
        assert "success" in last_html(ran)
        assert ok(kernel, "run.success") == "True"
        ok(kernel, "%unload_ext flow_kernel")
        assert kernel.run("%workflow list").status == "error"


@promise("workflow.seen")
def test_a_terminal_gets_a_line_a_step(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(
        json.dumps({"name": "w", "steps": [step("a", SAYS), step("b", "1 / 0", "a")]})
    )
    env = environment({"FLOW_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ip")})
    shell = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--colors=NoColor", "--simple-prompt"],
        cwd=str(tmp_path),
        env=env,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )
    try:
        shell.expect(r"In \[1\]")
        shell.sendline("%load_ext flow_kernel")
        shell.expect(r"In \[2\]")
        shell.sendline("%workflow run w.json")
        shell.expect(r"✓ a  ok")
        shell.expect(r"✗ b  error .* ZeroDivisionError: division by zero")
        shell.expect(r"StepFailed: b of R-0001 failed")
        shell.expect(r"In \[3\]")
        shell.sendline("%workflow show")
        shell.expect(r"R-0001 w  failed · 1 of 2 steps ok")
        shell.sendline("exit()")
        shell.expect(pexpect.EOF)
    finally:
        shell.close(force=True)
