"""Runs from their beginning to their end, in one process."""

import json
import subprocess
from pathlib import Path

import pytest

from flow_kernel.errors import NotFound, WorkflowInvalid
from flow_kernel.workflow import events
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.states import RunStatus
from tests.workflow.homes import READ, opened, records, run, script, states, workflow

FAILS = "import sys\nprint('half', flush=True)\nprint('why', file=sys.stderr)\n1 / 0\n"


def test_variables_outputs_and_mapped_inputs_reach_a_step_and_come_out_of_it(
    tmp_path: Path,
) -> None:
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "one", "code": script(n="v['n'] + 1"), "output_mapping": {"n": "n"}},
            {
                "id": "two",
                "code": script(seen="[v['n'], v['one'], v['renamed'], v['k']]"),
                "input_mapping": {"renamed": "one.n"},
                "output_mapping": {"seen": "seen"},
            },
            variables={"n": 1, "k": "default"},
        ),
        {"k": "given"},
    )

    assert (found.status, found.reason) == (RunStatus.SUCCESS, "")
    assert found.output_data == {"n": 2, "seen": [2, {"n": 2}, 2, "given"]}
    assert (found.started_at or "") <= (found.completed_at or "")
    assert [(step.state, step.attempt, step.executor) for step in found.steps] == [
        ("ok", 1, "inline")
    ] * 2


def test_without_mapped_outputs_those_of_the_steps_come_out(tmp_path: Path) -> None:
    found = run(tmp_path, workflow(tmp_path, {"id": "a", "code": "print('text')"}))

    assert found.output_data == {"a": {"result": "text\n"}}


def test_a_step_is_told_who_it_is_and_its_key_is_the_same_in_each_attempt(tmp_path: Path) -> None:
    again = f"{READ}print(json.dumps(v['_flow'])); sys.exit(v['_flow']['attempt'] < 3)"
    told: list[events.Event] = []

    found = run(
        tmp_path,
        workflow(tmp_path, {"id": "a", "code": again, "retries": {"most": 2, "delay": 0.01}}),
        told=told,
    )

    said = found.output_data["a"]
    assert (found.step("a").attempt, said["run_id"], said["step_id"]) == (3, "R-0001", "a")
    assert len(said["idempotency_key"]) == 32
    rests = [each for each in told if isinstance(each, events.StepRests)]
    assert [(each.attempt, each.wait_s) for each in rests] == [(1, 0.01), (2, 0.02)]


def test_a_failed_step_keeps_its_output_and_logs_and_sets_nothing(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "code": FAILS, "output_mapping": {"x": "result"}},
            {"id": "b", "code": "print(1)"},
        ),
    )

    assert (found.status, found.reason) == (RunStatus.FAILED, "a failed")
    assert states(found) == {"a": "error", "b": "skipped"}
    error = found.step("a").error or {}
    assert (error["type"], error["message"]) == ("ZeroDivisionError", "division by zero")
    assert found.step("a").logs.startswith("why\nTraceback (most recent call last):\n")
    assert found.step("b").error == {"type": "AfterFailure", "message": "a has failed"}
    assert found.output_data == {"a": {"result": "half\n"}}


@pytest.mark.parametrize("is_strict", [True, False])
def test_a_mapped_key_that_is_missing_is_never_passed_over(tmp_path: Path, is_strict: bool) -> None:
    told: list[events.Event] = []

    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "code": script(b="1"), "output_mapping": {"x": "a", "y": "b"}},
            strict=is_strict,
        ),
        told=told,
    )

    said = 'its output lacks "a" (for x); it has "b"'
    warned = [each.message for each in told if isinstance(each, events.Warned)]
    if is_strict:
        assert found.step("a").error == {"type": "OutputInvalid", "message": said}
        assert (found.status, warned) == (RunStatus.FAILED, [])
    else:
        assert (found.status, found.output_data, warned) == (RunStatus.SUCCESS, {"y": 1}, [said])
        assert found.step("a").logs == f"warning: {said}"


def test_a_handler_is_told_what_failed(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "code": FAILS, "on_error": "goto:mend", "needs": []},
            {"id": "mend", "code": script(said="v['_error']"), "output_mapping": {"e": "said"}},
        ),
    )

    assert (found.status, states(found)) == (RunStatus.SUCCESS, {"a": "error", "mend": "ok"})
    error = found.output_data["e"]
    assert (error["step_id"], error["state"], error["type"]) == ("a", "error", "ZeroDivisionError")


def test_a_condition_decides_with_the_values_of_its_moment(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "code": script(n="2"), "output_mapping": {"n": "n"}},
            {"id": "few", "code": "print(1)", "when": "n < 2"},
            {"id": "many", "code": "print(1)", "when": "n >= 2 and a.n == 2"},
            {"id": "odd", "code": "print(1)", "when": "n.x > 1"},
        ),
    )

    assert states(found) == {"a": "ok", "few": "skipped", "many": "ok", "odd": "error"}
    assert found.step("few").error == {
        "type": "NotNeeded",
        "message": "its condition is not met: n < 2",
    }


def test_a_step_sees_what_is_above_it_and_nothing_of_what_is_beside_it(tmp_path: Path) -> None:
    names = script(names="sorted(v)")
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "needs": [], "code": script(x="1"), "output_mapping": {"x": "x"}},
            {"id": "b", "needs": ["a"], "code": script(y="2"), "output_mapping": {"x": "y"}},
            {"id": "beside", "needs": ["a"], "code": script(names="[sorted(v), v['x']]")},
            {"id": "below", "needs": ["b"], "code": script(x="v['x']", names="sorted(v)")},
            {"id": "root", "needs": [], "code": names},
            variables={"k": 0},
        ),
        workers=1,
    )

    assert found.output_data == {"x": 2}
    with opened(tmp_path) as (flow, _), flow.store.read() as view:
        said = {row.step_id: json.loads(row.output or "") for row in view.run_steps("R-0001")}
    assert said["beside"] == {"names": [["_flow", "a", "k", "x"], 1]}
    assert said["below"] == {"x": 2, "names": ["_flow", "a", "b", "k", "x"]}
    assert said["root"] == {"names": ["_flow", "k"]}


def test_every_change_of_a_run_is_in_the_task_log(tmp_path: Path) -> None:
    run(tmp_path, workflow(tmp_path, {"id": "a", "code": "print(1)"}, {"id": "b", "code": "1/0"}))

    said = [(each["status"], each.get("step_id"), each.get("state")) for each in records(tmp_path)]

    assert said == [
        ("pending", None, None),
        ("running", "a", "running"),
        ("running", None, None),
        ("running", "a", "ok"),
        ("running", "b", "running"),
        ("running", "b", "error"),
        ("failed", None, None),
    ]


def test_a_run_belongs_to_the_task_that_was_named(tmp_path: Path) -> None:
    with opened(tmp_path) as (flow, service):
        task = flow.start_task("load").task
        found = workflow(tmp_path, {"id": "a", "code": "print(1)"})
        row = service.begin(found, options=RunOptions(executor="inline"), task_id=task.task_id)
        ran = service.run(row)
        with pytest.raises(NotFound, match="there is no task T-0099"):
            service.begin(found, task_id="T-0099")

    assert ran.task == ("local", "T-0001")
    log = (tmp_path / ".flow/log/local/T-0001.jsonl").read_text("utf-8")
    assert log.count('"kind":"run"') == 5


def test_what_is_missing_for_a_run_is_told_before_anything_runs(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        {
            "id": "a",
            "code": "print(1)",
            "input_mapping": {"p": "rowz"},
            "resources": {"isolation": "forc"},
        },
        variables={"rows": 1},
    )

    with pytest.raises(WorkflowInvalid) as error:
        run(tmp_path, found)

    assert len(error.value.problems) == 2
    assert '"rowz"' in error.value.problems[0]
    assert error.value.problems[1] == 'there is no executor "forc"; did you mean "fork"?'
    with opened(tmp_path) as (_, service):
        assert service.book.runs() == []


def test_a_large_value_is_kept_once_and_comes_back_whole(tmp_path: Path) -> None:
    big = "x" * 200_000
    steps = [
        {
            "id": f"s{at}",
            "code": script(n=f"len(v['big']) + {at}"),
            "output_mapping": {f"n{at}": "n"},
        }
        for at in range(5)
    ]
    steps.append({"id": "same", "code": script(big="v['big']"), "output_mapping": {"copy": "big"}})

    found = run(tmp_path, workflow(tmp_path, *steps), {"big": big})

    assert found.output_data["copy"] == big
    assert [found.output_data[f"n{at}"] for at in range(5)] == [200_000 + at for at in range(5)]
    sizes = [
        path.stat().st_size
        for path in (tmp_path / ".flow/objects/steps").rglob("*")
        if path.is_file()
    ]
    # The variable, and the output that holds it under a name.
    assert sorted(sizes) == [200_002, 200_010]


def test_a_stored_workflow_is_found_by_its_name(tmp_path: Path) -> None:
    found = workflow(tmp_path, {"id": "a", "code": "print(1)"})

    with opened(tmp_path) as (_, service):
        service.book.store_workflow(found)
        assert service.book.stored("made") == found
        assert service.book.stored("other") is None


def test_copies_of_the_scripts_lie_where_people_look_for_them(tmp_path: Path) -> None:
    run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "name": "Fetch it!", "code": "print(1)", "order": 1},
            {"id": "b", "name": "Fetch it?", "code": "print(2)", "order": 1},
        ),
    )

    folder = tmp_path / ".flow/workflow_scripts/made"
    assert {path.name: path.read_text("utf-8") for path in folder.glob("[!.]*")} == {
        "step_1_Fetch_it.py": "print(1)",
        "step_1_Fetch_it_b.py": "print(2)",
    }


def test_kept_files_and_the_command_that_repeats_a_step(tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    found = run(
        tmp_path,
        workflow(tmp_path, {"id": "a", "code": script(n="v['n']")}, variables={"n": 4}),
        executor="subprocess",
        keep_in=str(kept),
    )

    command = found.step("a").logs.partition("to repeat this step by hand: ")[2].strip()
    done = subprocess.run(command, shell=True, capture_output=True, check=True, text=True)
    assert done.stdout == '{"n": 4}\n'
    assert ".json" in {path.suffix for path in kept.iterdir()}


def test_variables_of_the_definition_are_stored_with_it_and_not_again(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        {"id": "a", "code": script(both="[v['x'], v['y']]"), "output_mapping": {"both": "both"}},
        variables={"x": 1, "y": 2},
    )

    done = run(tmp_path, found, {"y": 3})

    with opened(tmp_path) as (flow, _), flow.store.read() as view:
        rows = [(row.name, row.value, row.step_id) for row in view.run_variables("R-0001")]
    assert done.output_data == {"both": [1, 3]}
    assert rows == [("both", "[1,3]", "a"), ("y", "3", "")]


def test_an_executor_that_cannot_be_loaded_is_told_before_anything_runs(tmp_path: Path) -> None:
    found = workflow(tmp_path, {"id": "a", "code": "print(1)"})

    with pytest.raises(WorkflowInvalid, match="made cannot be run as it is"):
        run(tmp_path, found, executor="nope")

    with opened(tmp_path) as (_, service):
        assert service.book.runs() == []
