"""What is wrong with a definition is told at once, each with its place."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import WorkflowInvalid
from flow_kernel.workflow import spec
from flow_kernel.workflow.model import Workflow
from tests.records.journals import many

HERE = Path("/nowhere/at all")
OK = {"id": "ok", "code": "1"}


def problems(document: object, directory: Path = HERE) -> list[str]:
    with pytest.raises(WorkflowInvalid) as caught:
        spec.parse(document, directory=directory)
    return list(caught.value.problems)


def of_steps(*steps: object) -> list[str]:
    return problems({"name": "w", "steps": list(steps)})


def of_step(**terms: Any) -> list[str]:
    """Problems of a single step, without its place."""
    found = of_steps({"id": "a", "code": "1", **terms})
    return [problem.removeprefix("steps[0].") for problem in found]


def test_all_problems_are_told_in_one_error_and_in_the_order_of_the_steps() -> None:
    with pytest.raises(WorkflowInvalid) as caught:
        spec.parse(
            {
                "nam": "w",
                "steps": [
                    {"id": "fetch", "code": "def f(:", "needs": ["fetsh"]},
                    {"id": "save", "code": "1", "needs": ["fetch"], "timout": 3},
                    {"id": "fetch", "code": "1", "on_error": "goto:save"},
                ],
            },
            directory=HERE,
            source="flow.json",
        )

    assert caught.value.message == "flow.json: 7 problems in the workflow; nothing was run"
    assert caught.value.problems == (
        'nam: there is no such key; did you mean "name"?',
        "name: is missing: a workflow is kept and shown under its name",
        "steps[0].code: line 1: invalid syntax: def f(:",
        'steps[0].needs[0]: there is no step "fetsh"; did you mean "fetch"?',
        'steps[1].timout: there is no such key; did you mean "timeout"?',
        'steps[2].id: "fetch" is the id of steps[0] too',
        'steps[2].on_error: "save" is written before this step; an error goes forward only',
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, [": must be an object, not null", "name: is missing: a workflow is kept and shown"
                " under its name", "steps: must be a list of steps, not null"]),
        ([], [": must be an object, not a list", "name: is missing: a workflow is kept and shown"
              " under its name", "steps: must be a list of steps, not null"]),
        ({"name": "w", "steps": []}, ["steps: is empty: there is nothing to run"]),
        ({"name": "w", "steps": {}}, ["steps: must be a list of steps, not a dict"]),
        ({"name": " ", "steps": [OK]}, ["name: is empty"]),
        ({"name": 3, "steps": [OK]}, ["name: must be text, not 3"]),
        ({"name": "a\nb", "steps": [OK]}, ['name: "a" has control characters']),
        ({"name": "w", "strict": 1, "steps": [OK]}, ["strict: must be true or false, not 1"]),
        ({"name": "w", "description": [], "steps": [OK]},
         ["description: must be text, not a list"]),
        ({"name": "w", "steps": [3, None, "x"]},
         ["steps[0]: must be an object, not 3", "steps[1]: must be an object, not null",
          'steps[2]: must be an object, not "x"']),
        ({1: 2, "name": "w", "steps": [OK]}, [": a key must be text, not 1"]),
    ],
)  # fmt: skip
def test_a_definition_of_the_wrong_form_is_refused(document: object, expected: list[str]) -> None:
    assert problems(document) == [problem.removeprefix(": ") for problem in expected]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"id": ""}, "id: is empty"),
        ({"id": 7}, "id: must be text, not 7"),
        ({"id": "a.b"}, 'id: "a.b" has a "."; "step.key" names a key of an output'),
        ({"id": "a/b"}, 'id: "a/b" has a "/"; "step.key" names a key of an output'),
        ({"id": "a\x00"}, 'id: "a" has control characters'),
        ({"id": "\ud800"}, 'id: "" has control characters'),
        ({"id": "x" * 201}, "id: has 201 characters, and may have 200"),
        ({"id": "_flow"}, 'id: "_flow" is taken by the runner'),
        ({"step_type": "notebok"}, 'step_type: "notebok" is none of PYTHON_SCRIPT, COMMAND,'
         ' NOTEBOOK, APPROVAL; did you mean "NOTEBOOK"?'),
        ({"step_type": None}, "step_type: null is none of PYTHON_SCRIPT, COMMAND, NOTEBOOK,"
         " APPROVAL"),
        ({"order": True}, "order: must be a whole number, not true"),
        ({"order": 1.0}, "order: must be a whole number, not 1.0"),
        ({"order": 0}, "order: must be between 1 and 1,000,000, not 0"),
        ({"needs": "b"}, 'needs: must be a list of ids of steps, not "b"; try ["b"]'),
        ({"needs": [["b"]]}, "needs[0]: must be the id of a step, not a list"),
        ({"needs": ["a"]}, 'needs[0]: "a" cannot wait for itself'),
        ({"code": " \n"}, "code: is empty"),
        ({"code": 3}, "code: must be text, not 3"),
        ({"code": "x\x00"}, "code: has a character that source cannot have"),
        ({"code": "return 1"}, "code: line 1: 'return' outside function: return 1"),
        ({"code": "if 1:\n  x = (\n"}, "code: line 2: '(' was never closed: x = ("),
        ({"file": "a.py"}, "file: there is code too; a step has one of them"),
        ({"message": "?"}, "message: a step of type PYTHON_SCRIPT has code or file"),
        ({"step_type": "NOTEBOOK"}, "code: a step of type NOTEBOOK has file"),
        ({"input_mapping": []}, "input_mapping: must be an object, not a list"),
        ({"input_mapping": {"class": "x"}}, 'input_mapping: "class" is a keyword of Python'),
        ({"input_mapping": {"a-b": "x"}},
         'input_mapping: "a-b" cannot be the name of a variable'),
        ({"input_mapping": {"_flow": "x"}}, 'input_mapping: "_flow" is taken by the runner'),
        ({"input_mapping": {"x": 1}}, "input_mapping.x: must be text, not 1"),
        ({"input_mapping": {"x": "a..b"}},
         'input_mapping.x: "a..b" names no variable; try a name, STEP or STEP.key'),
        ({"output_mapping": {"None": "x"}}, 'output_mapping: "None" is a keyword of Python'),
        ({"output_mapping": {"x": ""}}, "output_mapping.x: the key of the output is empty"),
        ({"timeout": 0}, "timeout: 0 leaves no time to run; try 30, 90s, 10m or 1h"),
        ({"timeout": math.nan}, "timeout: nan is no duration; try 30, 90s, 10m or 1h"),
        ({"timeout": True}, "timeout: true is no duration; try 30, 90s, 10m or 1h"),
        ({"retries": -1}, "retries: must be between 0 and 1,000, not -1"),
        ({"retries": "2"}, 'retries: must be a whole number, not "2"'),
        ({"retries": {"delay": 1}}, 'retries: has no "most": how often to try again'),
        ({"retries": {"most": 1, "backoff": 0.5}},
         "retries.backoff: must be a number from 1 to 10, not 0.5"),
        ({"retries": {"most": 1, "delay": -1}},
         "retries.delay: -1 leaves no time to run; try 30, 90s, 10m or 1h"),
        ({"when": "a.b("}, "when: \"a.b(\" is no condition: '(' was never closed, at character 4"),
        ({"when": True}, "when: must be text, not true"),
        ({"cache": "yes"}, 'cache: must be true or false, not "yes"'),
        ({"resources": {"cpus": 1}},
         'resources.cpus: there is no such key; did you mean "cpu"?'),
        ({"resources": {"cpu": 0}}, "resources.cpu: 0 is no number of processors; try 2"),
        ({"resources": {"memory": "1k"}},
         'resources.memory: "1k" is less than 64.0 MB; try 2G, 512M or 1.5GiB'),
        ({"resources": {"isolation": "../x"}},
         'resources.isolation: "../x" cannot name an executor'),
        ({"on_error": "contineu"}, 'on_error: "contineu" is none of stop, continue and'
         ' goto:HANDLER; did you mean "continue"?'),
        ({"on_error": "goto:"}, 'on_error: "goto:" is none of stop, continue and goto:HANDLER'),
        ({"on_error": {"goto": 3}}, "on_error.goto: must be the id of a step, not 3"),
        ({"on_error": "goto:b"}, 'on_error: there is no step "b" to go to'),
        ({"on_error": "goto:a"},
         'on_error: "a" is this step itself; an error goes forward only'),
    ],
)  # fmt: skip
def test_each_wrong_term_of_a_step_is_one_problem(terms: dict[str, Any], expected: str) -> None:
    assert of_step(**terms) == [expected]


def test_a_step_without_code_says_what_its_type_takes() -> None:
    assert of_steps({"id": "a"}, {"id": "b", "step_type": "APPROVAL"}) == [
        "steps[0]: has no code or file",
        "steps[1]: has no message or code",
    ]


def test_needs_and_orders_do_not_go_together() -> None:
    assert of_steps(
        {"id": "a", "code": "1", "order": 1},
        {"id": "b", "code": "1", "needs": ["a"]},
    ) == ["steps[1].needs: steps[0] has an order; a workflow has needs or orders, not both"]


def test_a_step_without_an_order_among_others_that_have_one_is_told() -> None:
    assert of_steps({"id": "a", "code": "1", "order": 1}, {"id": "b", "code": "1"}) == [
        'steps[1]: has no "order", and other steps of the workflow have one'
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"x": math.nan}, "variables.x: nan is no number that JSON has"),
        ({"x": [1, {"a b": math.inf}]}, 'variables.x[1]."a b": inf is no number that JSON has'),
        ({"x": 2**64}, "variables.x: is a number beyond 64 bits; write it as text"),
        ({"x": {1: 2}}, "variables.x: a key must be text, not 1"),
        ({"x": "\udc00"}, "variables.x: has half a character (a lone surrogate)"),
        ({"x": {3}}, "variables.x: a set is no value of JSON; write it as text"),
        ({"a.b": 1}, 'variables: "a.b" has a "."; "step.key" names a key of an output'),
        ({"_flow": 1}, 'variables: "_flow" is taken by the runner'),
        ([], "variables: must be an object, not a list"),
    ],
)
def test_variables_that_are_no_json_are_refused(value: object, expected: str) -> None:
    assert problems({"name": "w", "variables": value, "steps": [OK]}) == [expected]


def test_values_that_hold_themselves_or_go_very_deep_are_refused() -> None:
    circle: list[object] = []
    circle.append(circle)
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    for value in (circle, deep):
        found = problems({"name": "w", "variables": {"x": value}, "steps": [OK]})
        assert [problem.rpartition(": ")[2] for problem in found] == [
            "is nested deeper than 200 levels"
        ]
    while isinstance(deep, list):  # freeing it at once would be a recursion
        deep = deep.pop()


def test_files_that_cannot_be_read_as_code_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"x = 1\ny = '\xe9'\n")
    (tmp_path / "bad.py").write_text("x = 1\ny = (\n", "utf-8")
    (tmp_path / "cookie.py").write_text("# coding: klingon\n", "utf-8")
    (tmp_path / "empty.py").write_text("\n", "utf-8")
    (tmp_path / "large.py").touch()
    os.truncate(tmp_path / "large.py", 10_000_001)
    os.mkfifo(tmp_path / "pipe.py")
    names = ["latin.py", "bad.py", "cookie.py", "empty.py", "large.py", "pipe.py", ".", "no.py"]

    found = problems({"name": "w", "steps": [{"file": name} for name in names]}, tmp_path)

    assert found == [
        'steps[0].file: "latin.py" is no utf-8: line 2, byte 6',
        f"steps[1].file: {tmp_path}/bad.py, line 2: '(' was never closed: y = (",
        'steps[2].file: "cookie.py" cannot be decoded: unknown encoding: klingon',
        'steps[3].file: "empty.py" is empty',
        'steps[4].file: "large.py" has 10.0 MB, and may have 10.0 MB',
        f'steps[5].file: "pipe.py" is no file: {tmp_path}/pipe.py',
        f'steps[6].file: "." is no file: {tmp_path}',
        f'steps[7].file: "no.py" is not there: {tmp_path}/no.py',
    ]


def test_a_hundred_thousand_problems_are_counted_and_the_first_listed() -> None:
    found = of_steps({"id": "a", "code": "1", "needs": [f"step {n}" for n in range(100_000)]})

    assert (len(found), found[-1]) == (1001, "… and 99,000 more")


def test_scripts_that_are_nested_too_deep_to_compile_are_a_problem() -> None:
    assert of_step(code="(" * 5000 + ")" * 5000) == [
        "code: line 1: too many nested parentheses: ((((((((((((((((((((((((((((((((((((((((((((((("
        "((((((((((((…"
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(["a", "b", "c.d", "goto:b", "stop", "1", "10m", "APPROVAL", "", "x > 1"])
terms = words | json_values | st.lists(words, max_size=3) | st.dictionaries(words, words)
step_keys = ("id", "name", "step_type", "order", "needs", "code", "file", "message", "timeout",
             "input_mapping", "output_mapping", "retries", "when", "cache", "resources",
             "on_error")  # fmt: skip
any_step = st.dictionaries(st.sampled_from(step_keys), terms, max_size=8) | json_values
any_document = st.fixed_dictionaries(
    {"steps": st.lists(any_step, max_size=5) | json_values},
    optional={"name": terms, "variables": terms, "strict": terms, "more": terms},
)


@many
@given(any_document | json_values)
def test_any_json_is_a_workflow_or_refused_as_one(document: object) -> None:
    found: Workflow | tuple[str, ...]
    try:
        found = spec.parse(document, directory=HERE)
    except WorkflowInvalid as error:
        found = error.problems

    assert found
    assert isinstance(found, Workflow) or all(
        len(problem.splitlines()) == 1 and problem.encode() for problem in found
    )
