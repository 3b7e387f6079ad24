"""What a definition means: steps, order, defaults, code."""

from pathlib import Path
from typing import Any

import pytest

from flow_kernel.workflow import spec
from flow_kernel.workflow.model import (
    OnError,
    Resources,
    Retries,
    Step,
    StepType,
    Workflow,
)

HERE = Path("/nowhere/at all")


def parsed(*steps: dict[str, Any], **more: Any) -> Workflow:
    return spec.parse({"name": "w", "steps": list(steps), **more}, directory=HERE)


def needs(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    return {step.id: step.needs for step in workflow.steps}


def orders(workflow: Workflow) -> dict[str, int]:
    return {step.id: step.order for step in workflow.steps}


def test_a_definition_with_everything_becomes_exactly_these_values(tmp_path: Path) -> None:
    (tmp_path / "clean.py").write_text("print({})\n", "utf-8")
    (tmp_path / "report.ipynb").write_text("{}", "utf-8")
    workflow = spec.parse(
        {
            "name": "prices",
            "description": "of all kinds",
            "variables": {"url": "http://x", "limits": {"rows": [1, 2.5, None]}},
            "strict": False,
            "steps": [
                {"id": "fetch", "name": "Fetch it", "step_type": "command", "code": "curl $url",
                 "timeout": "10m", "retries": 2, "output_mapping": {"page": "text"}},
                {"id": "clean", "needs": ["fetch"], "file": "clean.py", "cache": True,
                 "input_mapping": {"text": "page", "raw": "fetch.text", "most": "limits.rows"},
                 "retries": {"most": 3, "delay": "2s", "backoff": 1.5, "max_delay": 0},
                 "resources": {"cpu": 0.5, "memory": "2G", "isolation": "subprocess"},
                 "when": " len(page) > 0 ", "on_error": "goto: mend"},
                {"id": "ask", "needs": ["clean"], "step_type": "APPROVAL", "message": "Go on?",
                 "on_error": "continue"},
                {"id": "report", "needs": ["ask", "clean"], "step_type": "NOTEBOOK",
                 "file": "report.ipynb", "on_error": {"goto": "mend"}, "timeout": 1.5},
                {"id": "mend", "code": "print({})"},
            ],
        },
        directory=tmp_path,
    )  # fmt: skip

    assert workflow == Workflow(
        name="prices",
        description="of all kinds",
        variables={"url": "http://x", "limits": {"rows": [1, 2.5, None]}},
        is_strict=False,
        directory=str(tmp_path),
        steps=(
            Step(id="fetch", name="Fetch it", step_type=StepType.COMMAND, code="curl $url",
                 timeout_s=600.0, retries=Retries(most=2), output_mapping={"page": "text"}),
            Step(id="clean", name="clean", needs=("fetch",), order=2, code="print({})\n",
                 file=str(tmp_path / "clean.py"), is_cached=True,
                 input_mapping={"text": "page", "raw": "fetch.text", "most": "limits.rows"},
                 retries=Retries(most=3, delay_s=2.0, backoff=1.5, most_delay_s=0.0),
                 resources=Resources(cpu=0.5, memory_bytes=2 * 10**9, isolation="subprocess"),
                 when="len(page) > 0", on_error=OnError.GOTO, handler="mend"),
            Step(id="ask", name="ask", step_type=StepType.APPROVAL, needs=("clean",), order=3,
                 code="Go on?", on_error=OnError.CONTINUE, timeout_s=10 * 366 * 86400.0),
            Step(id="report", name="report", step_type=StepType.NOTEBOOK, needs=("ask", "clean"),
                 order=4, file=str(tmp_path / "report.ipynb"), on_error=OnError.GOTO,
                 handler="mend", timeout_s=1.5),
            Step(id="mend", name="mend", order=5, code="print({})", is_handler=True),
        ),
    )  # fmt: skip


def test_steps_without_order_and_needs_run_one_after_the_other() -> None:
    workflow = parsed({"id": "b", "code": "1"}, {"id": "a", "code": "1"}, {"id": "c", "code": "1"})

    assert needs(workflow) == {"b": (), "a": ("b",), "c": ("a",)}
    assert orders(workflow) == {"b": 1, "a": 2, "c": 3}


def test_a_step_waits_for_all_steps_of_the_next_lower_order() -> None:
    workflow = parsed(
        {"id": "last", "code": "1", "order": 7},
        {"id": "b", "code": "1", "order": 2},
        {"id": "a", "code": "1", "order": 2},
        {"id": "first", "code": "1", "order": 1},
    )

    assert needs(workflow) == {"last": ("a", "b"), "b": ("first",), "a": ("first",), "first": ()}
    assert orders(workflow) == {"last": 7, "b": 2, "a": 2, "first": 1}


def test_needs_are_exactly_those_that_were_written_sorted_and_each_once() -> None:
    workflow = parsed(
        {"id": "c", "code": "1", "needs": ["b", "a", "b"]},
        {"id": "b", "code": "1"},
        {"id": "a", "code": "1", "needs": []},
        {"id": "d", "code": "1", "needs": ["c", "a"]},
    )

    assert needs(workflow) == {"c": ("a", "b"), "b": (), "a": (), "d": ("a", "c")}
    assert orders(workflow) == {"c": 2, "b": 1, "a": 1, "d": 3}


def test_steps_of_one_order_share_their_needs() -> None:
    layers = [{"id": f"{n}-{m}", "code": "1", "order": n} for n in (1, 2, 3) for m in range(3)]
    workflow = parsed(*layers)

    assert len({id(step.needs) for step in workflow.steps}) == 3


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, {"a": (), "b": ("a",), "mend": (), "c": ("b",)}),
        ({"a": 1, "b": 2, "mend": 2, "c": 3}, {"a": (), "b": ("a",), "mend": (), "c": ("b",)}),
        ({"a": 1, "b": 1, "c": 2}, {"a": (), "b": (), "mend": (), "c": ("a", "b")}),
    ],
)
def test_a_handler_takes_no_part_in_orders(
    terms: dict[str, int], expected: dict[str, tuple[str, ...]]
) -> None:
    steps: list[dict[str, Any]] = [
        {"id": "a", "code": "1", "on_error": "goto:mend"},
        {"id": "b", "code": "1"},
        {"id": "mend", "code": "1"},
        {"id": "c", "code": "1"},
    ]
    for step in steps:
        if step["id"] in terms:
            step["order"] = terms[step["id"]]

    assert needs(parsed(*steps)) == expected


def test_a_step_can_wait_for_a_handler_where_needs_are_written() -> None:
    workflow = parsed(
        {"id": "a", "code": "1", "on_error": "goto:mend"},
        {"id": "mend", "code": "1"},
        {"id": "tell", "code": "1", "needs": ["mend"]},
    )

    assert needs(workflow) == {"a": (), "mend": (), "tell": ("mend",)}
    assert [step.id for step in workflow.steps if step.is_handler] == ["mend"]


def test_ids_come_from_names_and_names_from_ids() -> None:
    workflow = parsed(
        {"name": "Fetch all", "code": "1"},
        {"id": "x", "code": "1"},
        {"code": "1"},
        {"name": "to a/b.csv", "code": "1"},
    )

    assert [(step.id, step.name) for step in workflow.steps] == [
        ("Fetch all", "Fetch all"),
        ("x", "x"),
        ("step-3", "step-3"),
        ("to a-b-csv", "to a/b.csv"),
    ]


def test_a_script_is_read_in_its_own_encoding_and_with_plain_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes("# coding: latin-1\r\nx = 'é'\r\n".encode("latin-1"))
    (tmp_path / "b.sh").write_bytes("\ufeffecho é\n".encode())
    workflow = spec.parse(
        {"name": "w", "steps": [{"file": "a.py"}, {"file": "b.sh", "step_type": "COMMAND"}]},
        directory=tmp_path,
    )

    assert [step.code for step in workflow.steps] == ["# coding: latin-1\nx = 'é'\n", "echo é\n"]


def test_what_a_program_does_to_its_objects_later_is_not_the_workflow_s() -> None:
    variables: dict[str, Any] = {"rows": [1, (2, 3)]}
    workflow = parsed({"code": "1"}, variables=variables)
    variables["rows"].append(4)

    assert workflow.variables == {"rows": [1, [2, 3]]}


def test_doubtful_escapes_in_a_script_are_no_problem() -> None:
    workflow = parsed({"id": "a", "code": r"print('\d', 1 is 1)"})

    assert workflow.steps[0].code == r"print('\d', 1 is 1)"


def test_ten_thousand_steps_keep_one_tuple_for_each_layer() -> None:
    layers = [
        {"id": f"{n}-{m}", "code": "1", "needs": [f"{n - 1}-{k}" for k in range(100)] if n else []}
        for n in range(100)
        for m in range(100)
    ]
    workflow = parsed(*layers)

    assert len({id(step.needs) for step in workflow.steps}) == 100
    assert [workflow.steps[n].order for n in (0, 99, 100, 9999)] == [1, 1, 2, 100]
