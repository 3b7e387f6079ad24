"""Steps that ask a person: the run is parked, and goes on when it is answered anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.workflow import events
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.states import RunStatus
from tests.workers.trees import until
from tests.workflow.homes import opened, run, script, states, workflow

FLOW: Final = [sys.executable, "-m", "flow_kernel.apps.cli"]
ASK: Final = {
    "id": "ask",
    "step_type": "APPROVAL",
    "message": "Write 3 rows to production?",
    "output_mapping": {"by": "decided_by"},
}


def asking(tmp_path: Path, **more: Any) -> Any:
    return workflow(
        tmp_path,
        {"id": "a", "code": script(n="1")},
        {**ASK, **more},
        {"id": "b", "code": script(by="v['by']"), "output_mapping": {"said": "by"}},
    )


def decide(tmp_path: Path, decision: str, comment: str = "") -> None:
    with opened(tmp_path) as (flow, _):
        desk = ApprovalDesk(flow.store, now=utc_now_ms, redact=str)
        desk.decide("A-0001", decision, by="grace", channel="cli", comment=comment)


def resumed(tmp_path: Path) -> Any:
    with opened(tmp_path) as (_, service):
        return service.run(service.book.claim("R-0001"))


def test_a_run_parks_on_a_question_and_goes_on_with_the_answer(tmp_path: Path) -> None:
    told: list[events.Event] = []
    parked = run(tmp_path, asking(tmp_path), told=told)
    again = resumed(tmp_path)
    decide(tmp_path, "approve", "as agreed")
    done = resumed(tmp_path)

    assert (parked.status, parked.reason) == (RunStatus.WAITING, "ask waits for an answer")
    assert states(parked) == {"a": "ok", "ask": "waiting", "b": "pending"}
    assert parked.step("ask").approval_id == "A-0001"
    assert (again.status, again.step("ask").approval_id) == (RunStatus.WAITING, "A-0001")
    assert (done.status, done.output_data) == (RunStatus.SUCCESS, {"by": "grace", "said": "grace"})
    assert [step.attempt for step in done.steps] == [1, 1, 1]
    with opened(tmp_path) as (flow, _), flow.store.read() as view:
        rows = view.approvals()
        output = json.loads(view.run_steps("R-0001")[1].output or "")
    assert [(row.message, row.step, row.is_used) for row in rows] == [
        ("Write 3 rows to production?", "ask", True)
    ]
    assert (output["approved"], output["comment"], output["channel"]) == (True, "as agreed", "cli")


@pytest.mark.parametrize(
    ("decision", "state", "after", "status"),
    [("reject", "error", "skipped", "failed"), ("skip", "skipped", "error", "failed")],
)
def test_another_answer_than_yes(
    tmp_path: Path, decision: str, state: str, after: str, status: str
) -> None:
    run(tmp_path, asking(tmp_path))
    decide(tmp_path, decision, "not today")

    done = resumed(tmp_path)

    # After a skip the step runs, and lacks what an approval would have set.
    assert (states(done), done.status) == ({"a": "ok", "ask": state, "b": after}, status)
    if decision == "reject":
        assert done.step("ask").error == {
            "type": "ApprovalRejected",
            "message": "A-0001 was rejected by grace: not today",
            "approval_id": "A-0001",
        }


def test_an_answer_is_good_for_one_run_alone(tmp_path: Path) -> None:
    run(tmp_path, asking(tmp_path))
    decide(tmp_path, "approve")
    resumed(tmp_path)

    second = run(tmp_path, asking(tmp_path))

    assert (second.status, second.step("ask").approval_id) == (RunStatus.WAITING, "A-0002")


def test_a_question_that_nobody_answers_in_its_time_has_expired(tmp_path: Path) -> None:
    run(tmp_path, asking(tmp_path, timeout=0.001))

    until(lambda: resumed_if_possible(tmp_path) == "failed")

    with opened(tmp_path) as (_, service):
        found = service.book.run("R-0001")
    assert states(found) == {"a": "ok", "ask": "timeout", "b": "skipped"}


def resumed_if_possible(tmp_path: Path) -> str:
    with opened(tmp_path) as (_, service):
        if service.book.run("R-0001").status != RunStatus.WAITING:
            return str(service.book.run("R-0001").status)
    return str(resumed(tmp_path).status)


def test_a_run_that_waits_in_place_goes_on_at_the_answer_of_another_process(
    tmp_path: Path,
) -> None:
    def tell(event: events.Event) -> None:
        if isinstance(event, events.StepEnded) and event.row.state == "waiting":
            env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}
            answers.append(subprocess.Popen([*FLOW, "approve", "A-0001"], env=env, cwd=tmp_path))

    answers: list[subprocess.Popen[bytes]] = []
    with opened(tmp_path) as (_, service):
        row = service.begin(asking(tmp_path), options=RunOptions(executor="inline", waits=True))
        done = service.run(row, tell)

    assert [each.wait(20) for each in answers] == [0]
    assert done.status == RunStatus.SUCCESS


def test_a_parked_run_costs_no_process_and_goes_on_by_itself_when_it_is_answered(
    tmp_path: Path,
) -> None:
    (tmp_path / "w.toml").write_text(
        'name = "w"\n[[steps]]\nid = "ask"\nstep_type = "APPROVAL"\nmessage = "Go?"\n'
        '[[steps]]\nid = "a"\ncode = "print(\'{}\')"\n'
    )
    env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}

    def flow(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FLOW, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    parked = flow("run", "w.toml")
    left = [each for each in psutil.process_iter() if _works_in(each, tmp_path)]
    approved = flow("approve", "A-0001")
    until(lambda: '"status": "success"' in flow("runs", "show", "R-0001", "--json").stdout)

    assert parked.returncode == 3
    assert "answer: jupyter flow approve A-0001" in parked.stdout
    assert left == []
    assert "R-0001 goes on; see: jupyter flow runs show R-0001" in approved.stdout


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return bool(process.cwd() == str(directory))
    except psutil.Error:
        return False
