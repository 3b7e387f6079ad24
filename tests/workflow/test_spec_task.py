"""Steps that a notebook task recorded become scripts that work alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.errors import WorkflowInvalid
from flow_kernel.workflow import checks, load
from flow_kernel.workflow.model import Workflow


def cell(step: str | None, code: str, **more: Any) -> dict[str, Any]:
    record = {"kind": "cell", "success": True, "step": step, "code": code, "task_id": "T-0001"}
    return {**record, **more}


def made(*records: dict[str, Any]) -> Workflow:
    return load.from_object(load.steps_of_task(records), Path("/nowhere"))


def refused(*records: dict[str, Any]) -> list[str]:
    with pytest.raises(WorkflowInvalid) as caught:
        load.steps_of_task(records)
    return list(caught.value.problems)


def mappings(workflow: Workflow) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    return [
        (step.id, dict(step.input_mapping), dict(step.output_mapping)) for step in workflow.steps
    ]


def run(workflow: Workflow, directory: Path) -> list[str]:
    """What the scripts print beside their output, run one after the other by Python itself."""
    variables: dict[str, Any] = {}
    printed: list[str] = []
    for step in workflow.steps:
        script, file = directory / "step.py", directory / "variables.json"
        script.write_text(step.code, "utf-8")
        inputs = {name: variables[source] for name, source in step.input_mapping.items()}
        file.write_text(json.dumps(inputs), "utf-8")
        command = [sys.executable, str(script), "--variables-file", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        *said, last = done.stdout.strip("\n").split("\n")
        printed += [line for line in said if line]
        output = json.loads(last)
        variables |= {name: output[key] for name, key in step.output_mapping.items()}
    return printed


def test_a_recorded_task_runs_as_a_workflow_of_scripts(tmp_path: Path) -> None:
    workflow = made(
        {"kind": "task", "name": "Prices", "task_id": "T-0001"},
        cell(None, "%task start Prices --steps fetch,process"),
        cell(None, "import math\nfrom itertools import chain as linked"),
        cell("fetch", "%task step fetch\nrows = [1, 2]\nscale = 2"),
        cell("fetch", "def scaled(x):\n    return math.sqrt(x) * scale\nprint('got', len(rows))"),
        cell(None, "%%step fetch\nrows = [1, 2]"),
        cell("process", "rows.append(9)", mutated_vars=["rows"]),
        cell("process", "with open(__file__) as f:\n    pass\ntotal = sum(map(scaled, rows[2:]))"),
        cell("save", "with open(__file__) as f:\n    pass\nprint(total, list(linked(rows)))",
             vars={"f": {"type": "_io.TextIOWrapper"}}),
        cell("save", "print(undefined)", success=False),
    )  # fmt: skip

    assert workflow.name == "Prices"
    assert mappings(workflow) == [
        ("fetch", {}, {"rows": "rows", "scale": "scale"}),
        ("process", {"rows": "rows", "scale": "scale"}, {"rows": "rows", "total": "total"}),
        ("save", {"rows": "rows", "total": "total"}, {}),
    ]
    assert checks.missing_variables(workflow, ()) == []
    assert run(workflow, tmp_path) == ["got 2", "6.0 [1, 2, 9]"]


def test_a_variable_with_the_name_of_a_step_gets_another_one(tmp_path: Path) -> None:
    workflow = made(cell("rows", "rows = [1]"), cell("show", "print(rows)"))

    assert mappings(workflow) == [
        ("rows", {}, {"rows_value": "rows"}),
        ("show", {"rows": "rows_value"}, {}),
    ]
    assert run(workflow, tmp_path) == ["[1]"]


def test_a_cell_that_ran_again_counts_as_it_was_the_last_time() -> None:
    workflow = made(
        cell("a", "x = 1", cell_id="c1"),
        cell("a", "y = 2", cell_id="c2"),
        cell("a", "x = 3", cell_id="c1"),
    )

    body = ast.parse(workflow.steps[0].code).body
    assert [ast.unparse(node) for node in body[3:-1]] == ["y = 2", "x = 3"]


def test_names_that_a_step_binds_before_it_reads_them_are_no_inputs() -> None:
    workflow = made(
        cell("a", "i = 1\nx = 1\ny = 1\nz = 1\nw = 1\nv = 1"),
        cell("b", "for i in range(3):\n    print(i)\nif i:\n    x = 2\nelse:\n    x = 3\nprint(x)"),
        cell(
            "b", "if i:\n    y = 2\nprint(y)\ntry:\n    z = 2\nexcept OSError as w:\n    print(w)"
        ),
        cell("b", "v += 1\nprint(z)"),
    )

    assert mappings(workflow)[1] == ("b", {"v": "v", "y": "y", "z": "z"}, {})


def test_an_import_with_a_substitute_is_repeated_whole(tmp_path: Path) -> None:
    workflow = made(
        cell(
            "a",
            "try:\n    import no_such_library as lib\nexcept ImportError:\n    import json as lib",
        ),
        cell("b", "print(lib.dumps([1]))"),
    )

    assert mappings(workflow)[1] == ("b", {}, {})
    assert run(workflow, tmp_path) == ["[1]"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("%matplotlib inline\nx = 1",
         "has a magic or a shell command (%matplotlib inline), which scripts have not"),
        ("x = !ls", "has a magic or a shell command (x = !ls), which scripts have not"),
        ("len?", "has a magic or a shell command (len?), which scripts have not"),
        ("await f()", "line 1: 'await' outside function"),
        ("key = '[REDACTED:key]'",
         "a secret was taken out of its code; read it from the environment instead"),
        ("from __future__ import annotations",
         "imports from __future__, which stands at the top of a script only"),
    ],
)  # fmt: skip
def test_cells_that_are_no_script_are_told_with_their_step(code: str, problem: str) -> None:
    assert refused(cell("a", code, execution_count=4), cell("b", code)) == [
        f'step "a", In [4]: {problem}',
        f'step "b": {problem}',
    ]


def test_what_cannot_go_from_step_to_step_is_told() -> None:
    assert refused(
        cell(None, "secret = 1"),
        cell("a", "frame = make()\nx = 1", vars={"frame": {"type": "pandas.DataFrame"}}),
        cell("b", "print(frame, secret, x)\ndisplay(x)"),
        cell("b", "y = 1", truncated={"code": 5_000_000}),
    ) == [
        'step "b": its code was too long to be recorded whole',
        'step "b": reads "frame", which step "a" sets: "pandas.DataFrame" is no type of JSON; '
        "write it to a file",
        'step "b": reads "secret", which a cell outside of any step sets',
        'step "b": reads "display", which notebooks alone have',
    ]


def test_a_task_without_steps_says_how_to_begin_one() -> None:
    assert refused(cell(None, "x = 1"), cell("a", "%task step a")) == [
        'no cell ran in a step; begin one with "%task step NAME" or "%%step NAME"'
    ]
