"""Tasks and steps in real kernels: recorded, shown, resumed, and unharmed by odd input."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def _ok(kernel: Kernel, *cells: str) -> list[Ran]:
    runs = [kernel.run(cell) for cell in cells]
    assert [(r.status, r.stderr) for r in runs] == [("ok", "")] * len(runs)
    return runs


def _tasks(home: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "tasks", "--json", "--home", str(home)],
        capture_output=True,
        check=True,
    )
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


@promise("task.recorded", "task.steps")
def test_a_task_has_its_own_log_with_its_cells_steps_and_changes(kernel: Kernel) -> None:
    _ok(
        kernel,
        "%task start Clean the data --steps load,check --describe 'rows of May'",
        "%task step load",
        "rows = [1, 2]",
        "%task set rows=2 source=may.csv",
        "%task log 'two rows'",
        "%task finish",
        "after = 1",
    )

    records = kernel.logs.records(task_id="T-0001")
    assert [(r["code"], r["step"]) for r in records if r["kind"] == "cell"] == [
        ("%task step load", "load"),
        ("rows = [1, 2]", "load"),
        ("%task set rows=2 source=may.csv", "load"),
        ("%task log 'two rows'", "load"),
        ("%task finish", "load"),
    ]
    states = [(r["name"], r["state"]) for r in records if r["kind"] == "step" and "state" in r]
    assert states == [
        ("load", "planned"),
        ("check", "planned"),
        ("load", "doing"),
        ("load", "done"),
    ]
    assert [r["status"] for r in records if r["kind"] == "task"] == ["doing", "done"]
    assert {r["key"]: r["value"] for r in records if r["kind"] == "context"} == {
        "rows": 2,
        "source": "may.csv",
    }
    assert [r["log"] for r in records if "log" in r] == ["two rows"]
    assert {r["trace_id"] for r in records if r["kind"] == "cell"} != {
        r["trace_id"] for r in kernel.logs.records("cell", task_id="T-0000")
    }
    codes = [r["code"] for r in kernel.logs.records("cell", task_id="T-0000")]
    assert [code.split()[0] for code in codes] == ["%task", "after"]
    (task,) = _tasks(kernel.home)
    assert (task["name"], task["status"], task["cells"]) == ("Clean the data", "done", 5)


@promise("task.steps")
def test_planned_against_done_is_shown_as_text_and_as_html(kernel: Kernel) -> None:
    _ok(
        kernel,
        "%task start Clean --steps check,load,save",
        "%%step check\nx = 1",
        "%task step load",
    )

    shown = kernel.run("%task status")

    assert shown.result is not None
    lines = [line.strip() for line in shown.result.splitlines()]
    assert lines[0] == "T-0001 Clean  [doing · 1 of 3 steps]"
    assert lines[1].startswith("✓ check")
    assert lines[2:] == ["▸ load", "· save"]
    (html,) = (m["content"]["data"]["text/html"] for m in shown.of("execute_result"))
    assert "flow-task" in html
    assert "check" in html


@promise("task.steps")
def test_a_cell_that_raises_fails_its_step_with_its_own_error(kernel: Kernel) -> None:
    _ok(kernel, "%task start Divide")

    failed = kernel.run("%%step halve\nhalf = 1\n1 / 0")

    assert (failed.status, failed.reply["ename"]) == ("error", "ZeroDivisionError")
    (cell,) = kernel.logs.records("cell", msg_id=failed.msg_id, parent_span_id=None)
    assert cell["error"]["ename"] == "ZeroDivisionError"
    steps = [r for r in kernel.logs.records("step") if r["name"] == "halve"]
    assert [(r["state"], r["reason"]) for r in steps] == [
        ("doing", ""),
        ("failed", "ZeroDivisionError"),
    ]
    assert kernel.run("half").result == "1"


@promise("task.steps")
def test_a_step_lasts_until_the_next_one(kernel: Kernel) -> None:
    _ok(kernel, "%task start Clean", "%task step load", "%%step check\nx = 1", "y = 2")

    records = kernel.logs.records(task_id="T-0001")
    assert [(r["code"], r["step"]) for r in records if r["kind"] == "cell"][1:] == [
        ("x = 1\n", "check"),
        ("%%step check\nx = 1", "load"),
        ("y = 2", None),
    ]
    states = [(r["name"], r["state"], r["parent"]) for r in records if r["kind"] == "step"]
    assert states == [
        ("load", "doing", None),
        ("load", "done", None),
        ("check", "doing", None),
        ("check", "done", None),
    ]


@promise("task.steps")
def test_an_error_of_ours_in_a_step_is_the_error_of_its_cell(kernel: Kernel) -> None:
    _ok(kernel, "%task start Divide", "import flow_kernel")

    lost = kernel.run("%%step look\nflow_kernel.open_flow().task('T-0099')")
    parked = kernel.run("%%step ask\n%approve --park Go on?")

    assert (lost.reply["ename"], parked.reply["ename"]) == ("NotFound", "ApprovalPending")


@promise("task.steps")
def test_steps_of_the_python_api_may_be_nested(kernel: Kernel) -> None:
    _ok(
        kernel,
        "import flow_kernel; tasks = flow_kernel.current_session().tasks",
        "tasks.start('Build', steps=['compile'])",
        "with tasks.within('compile'):\n    with tasks.within('parse'):\n        pass",
    )

    shown = kernel.run("%task show")

    assert shown.result is not None
    assert [line.split("(")[0].rstrip() for line in shown.result.splitlines()[1:]] == [
        "  ✓ compile",
        "    ✓ parse",
    ]


@promise("task.steps")
def test_a_task_started_within_another_leads_back_to_it(kernel: Kernel) -> None:
    _ok(kernel, "%task start Outer", "%task start Inner", "%task finish", "inside = 1")

    outer, inner = _tasks(kernel.home)
    assert (outer["status"], inner["status"], inner["parent_id"]) == ("doing", "done", "T-0001")
    assert kernel.logs.one("cell", code="inside = 1")["task_id"] == "T-0001"


@promise("task.resumed")
def test_a_restarted_kernel_goes_on_with_the_open_task_and_says_so(kernel: Kernel) -> None:
    _ok(kernel, "%task start Long work --steps one,two", "%task step one")
    kernel.restart()

    first = kernel.run("again = 1")

    assert 'flow: task T-0001 "Long work" goes on' in first.stderr
    assert kernel.logs.one("cell", code="again = 1")["task_id"] == "T-0001"
    _ok(kernel, "%task finish")
    kernel.restart()
    assert "goes on" not in kernel.run("over = 1").stderr
    assert kernel.logs.one("cell", code="over = 1")["task_id"] == "T-0000"


@promise("task.resumed")
def test_a_notebook_that_is_run_again_from_its_first_cell_goes_on_with_its_task(
    kernel: Kernel,
) -> None:
    cells = ("%task start Clean --steps load,check", "%%step load\nrows = 1", "%task step check")
    _ok(kernel, *cells)
    kernel.restart()
    kernel.run("pass")

    _ok(kernel, *cells, "%task finish")

    (task,) = _tasks(kernel.home)
    assert (task["status"], task["name"]) == ("done", "Clean")
    steps = [(r["name"], r["state"]) for r in kernel.logs.records("step")]
    assert steps[2:] == [
        *(("load", "doing"), ("load", "done"), ("check", "doing"), ("check", "failed")),
        *(("load", "doing"), ("load", "done"), ("check", "doing"), ("check", "done")),
    ]


@promise("task.resumed")
def test_the_environment_names_a_task_which_is_made_when_it_is_unknown() -> None:
    env = {"FLOW_PLAN_ID": "study", "FLOW_TASK_ID": "T-0042", "FLOW_TASK_NAME": "Night run"}
    with Kernel(env=env) as kernel:
        kernel.run("x = 1")
        (task,) = _tasks(kernel.home)
        cell = kernel.logs.one("cell")
        _ok(kernel, "%task start Next")
        named = [task["task_id"] for task in _tasks(kernel.home)]

    assert (task["plan_id"], task["task_id"], task["name"], task["status"]) == (
        "study",
        "T-0042",
        "Night run",
        "doing",
    )
    assert (cell["plan_id"], cell["task_id"]) == ("study", "T-0042")
    assert named == ["T-0042", "T-0043"]


@promise("task.recorded")
def test_two_kernels_work_on_one_task(tmp_path: Path) -> None:
    env = {"FLOW_TASK_ID": "T-0007", "FLOW_TASK_NAME": "Shared"}
    home = tmp_path / "home"
    with Kernel(home=home, env=env) as one, Kernel(home=home, env=env) as other:
        _ok(one, "%task set a=1")
        _ok(other, "%task set b=2", "%task step theirs")
        context = one.run("%task set c=3").result
        _ok(one, "%task finish")
        late = other.run("%task step more")

    assert context is not None
    assert [line.split() for line in context.splitlines()[1:]] == [
        ["a", "1"],
        ["b", "2"],
        ["c", "3"],
    ]
    assert late.status == "error"
    assert "T-0007 is done" in late.reply["evalue"]


@promise("task.hostile")
@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("start a/b\\\\c", "a/b\\c"),
        ("start -v --force", "-v --force"),
        ("start 'two  blanks'", "two blanks"),
        ("start \u202eabc", "\u202eabc"),
        ("start it's fine", "it's fine"),
        ("start " + "n" * 5000, "n" * 5000),
        ("start <b>bold</b>", "<b>bold</b>"),
    ],
)
def test_any_name_can_be_given_and_is_shown_without_harm(
    kernel: Kernel, line: str, name: str
) -> None:
    shown = kernel.run(f"%task {line}")

    assert shown.status == "ok", shown.reply
    assert _tasks(kernel.home)[0]["name"] == name
    (data,) = (m["content"]["data"] for m in shown.of("execute_result"))
    assert "<b>bold" not in data["text/html"]
    assert "\u202e" not in data["text/plain"] + data["text/html"]
    assert len(data["text/plain"]) < 400


@promise("task.hostile")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("start", "a name has at least one character"),
        ("start list", "reserved name"),
        ("start x --type magic", "there is no task type"),
        ("start x --steps", "--steps takes a value"),
        ("start x --plan 'a b'", "is no plan id"),
        ("step go", "no task is open here"),
        ("finish", "no task is open here"),
        ("set a", "is not KEY=VALUE"),
        ("show T-0099", "there is no task T-0099"),
        ("show nonsense", "is no task id"),
        ("reopen", "no task has ended here"),
        ("fly", "there is no verb"),
        ("fail", "no task is open here"),
        ("log", "log takes a text"),
    ],
)
def test_a_wrong_line_is_answered_with_one_sentence(flow: Kernel, line: str, said: str) -> None:
    answer = flow.run(f"%task {line}")

    assert answer.status == "error"
    assert said in answer.reply["evalue"]
    assert "\n" not in answer.reply["evalue"]
    assert "Traceback" not in answer.stderr


@promise("task.hostile")
def test_completion_offers_verbs_steps_types_and_values_used_before(kernel: Kernel) -> None:
    _ok(kernel, "%task start One --steps load,check", "%task set stage=raw")

    def offered(line: str) -> list[str]:
        found = kernel.ask("complete_request", {"code": line, "cursor_pos": len(line)})
        return list(found["matches"])

    assert {"start", "finish", "status"} <= set(offered("%task "))
    assert {"load", "check"} <= set(offered("%task step "))
    assert "build" in offered("%task start x --type b")
    assert any(match.endswith("raw") for match in offered("%task set stage="))


@promise("task.steps")
def test_progress_is_one_bar_that_is_drawn_anew(kernel: Kernel) -> None:
    _ok(kernel, "import flow_kernel; s = flow_kernel.current_session(); s.start_task('Long')")

    ran = kernel.run(
        "with s.step('load') as step:\n"
        "    for i in range(2000): step.progress(i + 1, 2000)\n"
        "    step.log('all of it')"
    )

    drawn = [m["content"]["data"] for m in ran.of("display_data")]
    redrawn = [m["content"]["data"] for m in ran.of("update_display_data")]
    assert (ran.status, len(drawn)) == ("ok", 1)
    assert 1 <= len(redrawn) < 100
    assert redrawn[-1]["text/plain"].split("  ")[0] == "load"
    assert "2000/2000 · 100 %" in redrawn[-1]["text/plain"]
    assert 'value="1.0000"' in redrawn[-1]["text/html"]
    assert [r["log"] for r in kernel.logs.records("step") if "log" in r] == ["all of it"]


@promise("task.steps")
def test_a_bar_stays_below_its_own_cell_and_says_when_its_step_has_ended(kernel: Kernel) -> None:
    _ok(kernel, "import flow_kernel; s = flow_kernel.current_session(); s.start_task('Long')")
    code = "with s.step('load') as step:\n    step.progress(1, 4); done = step\n"

    first = kernel.run(code)
    _ok(kernel, "s.finish()", "_ = s.start_task('Next')")
    failed = kernel.run(f"{code}    1 / 0")

    ids = []
    for ran in (first, failed):
        (drawn,), (redrawn,) = ran.of("display_data"), ran.of("update_display_data")
        ids.append(drawn["content"]["transient"]["display_id"])
        assert redrawn["content"]["transient"]["display_id"] == ids[-1]
        text = redrawn["content"]["data"]["text/plain"]
        assert "1/4 · 25 %" in text
        assert "left" not in text
    assert len(set(ids)) == 2
    assert failed.reply["ename"] == "ZeroDivisionError"


@promise("task.recorded")
def test_the_context_of_the_open_task_is_a_dict(kernel: Kernel) -> None:
    _ok(kernel, "import flow_kernel; s = flow_kernel.current_session(); s.start_task('Long')")
    _ok(kernel, "s.context['rows'] = 3", "s.context.update(a=1, b=[2])", "del s.context['a']")

    assert kernel.run("dict(s.context)").result == "{'b': [2], 'rows': 3}"
    assert kernel.run("s.current_task.task_id").result == "'T-0001'"
    wrong = kernel.run("s.context['when'] = {1, 2}")
    assert wrong.reply["ename"] == "UsageError"
    assert "'when'" in wrong.reply["evalue"]
    _ok(kernel, "s.finish()")
    assert kernel.run("s.context['rows']").reply["ename"] == "NotFound"
