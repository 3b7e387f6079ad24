"""A store that was lost is made anew from the logs: how runs went is there again."""

from pathlib import Path

from flow_kernel.workflow.states import RunStatus
from tests.workflow.homes import opened, run, script, workflow
from tests.workflow.test_command_line import document, flow


def test_how_runs_went_is_rebuilt_and_one_that_had_not_ended_cannot_go_on(tmp_path: Path) -> None:
    steps = [{"id": "a", "code": script(n="1")}, {"id": "b", "code": "1/0"}]
    run(tmp_path, workflow(tmp_path, *steps))
    run(tmp_path, workflow(tmp_path, {"id": "ask", "step_type": "APPROVAL", "message": "Go?"}))
    with opened(tmp_path) as (_, service):
        before = [each.as_dict() for each in service.book.runs()]
    for path in (tmp_path / ".flow").glob("flow.db*"):
        path.unlink()

    done = flow(tmp_path, "check", "--repair", "--json")
    again = flow(tmp_path, "check", "--json")

    lost = [(item["what"], item["where"]) for item in document(done)["store"]["lost"]]
    assert lost == [("run", "R-0001"), ("run", "R-0002")]
    assert (again.returncode, document(again)["ok"]) == (0, True)
    with opened(tmp_path) as (_, service):
        waiting, failed = service.book.runs()
        third = service.begin(workflow(tmp_path, {"id": "a", "code": "print(1)"}))
    assert failed.status == RunStatus.FAILED
    assert [(step.id, step.state, step.attempt) for step in failed.steps] == [
        (step["id"], step["state"], step["attempt"]) for step in before[1]["steps"]
    ]
    assert (failed.step("b").error or {})["type"] == "ZeroDivisionError"
    assert (waiting.status, waiting.step("ask").approval_id) == (RunStatus.FAILED, "A-0001")
    assert waiting.reason == "its definition, its variables and what came out of it are in no log"
    assert third.run_id == "R-0003"
