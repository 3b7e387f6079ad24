"""Steps that do not fit together are told before anything runs."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import WorkflowInvalid
from flow_kernel.workflow import checks, spec
from flow_kernel.workflow.model import Workflow
from tests.records.journals import many

HERE = Path("/nowhere/at all")


def parsed(steps: list[dict[str, Any]], **more: Any) -> Workflow:
    steps = [{"code": "1", **step} for step in steps]
    return spec.parse({"name": "w", "steps": steps, **more}, directory=HERE)


def problems(*steps: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(WorkflowInvalid) as caught:
        parsed(list(steps), **more)
    return list(caught.value.problems)


def takes(*names: str) -> dict[str, str]:
    return {f"p{n}": name for n, name in enumerate(names)}


def sets(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "key")


def test_a_circle_is_shown_as_a_path() -> None:
    assert problems(
        {"id": "a", "needs": ["c"]},
        {"id": "b", "needs": ["a"]},
        {"id": "c", "needs": ["b"]},
        {"id": "d", "needs": ["c"]},
    ) == ["steps[0]: runs in a circle, each waits for the next: a -> c -> b -> a"]


def test_each_circle_is_told_once() -> None:
    assert problems(
        {"id": "a", "needs": ["b", "c"]},
        {"id": "b", "needs": ["a"]},
        {"id": "c", "needs": ["a"]},
        {"id": "x", "needs": ["y"]},
        {"id": "y", "needs": ["x"]},
    ) == [
        "steps[0]: runs in a circle, each waits for the next: a -> b -> a",
        "steps[0]: runs in a circle, each waits for the next: a -> c -> a",
        "steps[3]: runs in a circle, each waits for the next: x -> y -> x",
    ]


def test_a_long_circle_is_cut_in_its_middle() -> None:
    size = 10_000
    steps = [{"id": f"s{n}", "needs": [f"s{(n + 1) % size}"]} for n in range(size)]

    assert problems(*steps) == [
        "steps[0]: runs in a circle, each waits for the next: s0 -> s1 -> s2 -> s3 -> s4 -> s5"
        " -> … 9988 more … -> s9994 -> s9995 -> s9996 -> s9997 -> s9998 -> s9999 -> s0"
    ]


def test_a_handler_that_its_own_step_waits_for_is_a_circle() -> None:
    assert problems({"id": "a", "needs": ["mend"], "on_error": "goto:mend"}, {"id": "mend"}) == [
        "steps[0]: runs in a circle, each waits for the next: a -> mend -> a"
    ]


@pytest.mark.parametrize("place", ["input_mapping", "when"])
def test_the_output_of_a_step_that_does_not_run_before_is_refused(place: str) -> None:
    taken = {"input_mapping": {"x": "b.rows"}, "when": "b.rows > 0"}
    where = {"input_mapping": "steps[0].input_mapping.x", "when": "steps[0].when"}

    assert problems({"id": "a", place: taken[place]}, {"id": "b"}) == [
        f'{where[place]}: "b": step "b" does not run before this one'
    ]


def test_a_step_cannot_take_its_own_output() -> None:
    assert problems({"id": "a", "input_mapping": takes("a.x")}, {"id": "b"}) == [
        'steps[0].input_mapping.p0: "a" is the output of this step itself'
    ]


def test_outputs_from_far_back_can_be_taken() -> None:
    steps: list[dict[str, Any]] = [
        {"id": f"s{n}", "output_mapping": sets(f"v{n}")} for n in range(5)
    ]
    steps.append({"id": "last", "input_mapping": takes("s0.x", "v0", "s4", "v4")})

    assert checks.missing_variables(parsed(steps), ()) == []


def test_two_steps_that_set_a_variable_at_the_same_time_are_refused() -> None:
    assert problems(
        {"id": "a", "order": 1, "output_mapping": sets("x")},
        {"id": "b", "order": 1, "output_mapping": sets("x", "y")},
        {"id": "c", "order": 2, "output_mapping": sets("x")},
        {"id": "d", "order": 2, "output_mapping": sets("y")},
    ) == ['steps[1].output_mapping.x: "a" sets "x" too, and neither runs before the other']


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        ({}, {}, True),
        ({"when": "n > 1"}, {}, True),
        ({}, {"when": "n > 1"}, True),
        ({"when": "n > 1"}, {"when": "not n > 1"}, False),
    ],
)
def test_two_steps_with_conditions_may_set_one_variable(
    first: dict[str, Any], second: dict[str, Any], is_refused: bool
) -> None:
    steps = [
        {"id": "a", "needs": [], "output_mapping": sets("x"), **first},
        {"id": "b", "needs": [], "output_mapping": sets("x"), **second},
    ]

    try:
        parsed(steps)
        found = False
    except WorkflowInvalid:
        found = True

    assert found is is_refused


def test_a_handler_may_set_what_the_step_it_stands_in_for_sets() -> None:
    workflow = parsed(
        [
            {"id": "a", "output_mapping": sets("x"), "on_error": "goto:mend"},
            {"id": "b", "output_mapping": sets("y"), "input_mapping": takes("x")},
            {"id": "mend", "output_mapping": sets("x", "y"), "input_mapping": takes("a", "v")},
        ],
        variables={"v": 1},
    )

    assert checks.missing_variables(workflow, ()) == []


def test_variables_that_nobody_sets_are_told_with_the_nearest_name() -> None:
    workflow = parsed(
        [
            {"id": "fetch", "output_mapping": sets("rows"), "input_mapping": takes("urls", "k")},
            {"id": "save", "input_mapping": takes("row", "given"), "when": "rwos and given.x"},
        ],
        variables={"url": "http://x"},
    )

    assert checks.missing_variables(workflow, ["given"]) == [
        'steps[0].input_mapping.p0: there is no variable "urls"; did you mean "url"?',
        'steps[0].input_mapping.p1: there is no variable "k"',
        'steps[1].input_mapping.p0: there is no variable "row"; did you mean "rows"?',
        'steps[1].when: there is no variable "rwos"; did you mean "rows"?',
    ]
    assert checks.missing_variables(workflow, ["given", "urls", "k", "row", "rwos"]) == []


def test_a_variable_that_only_a_later_step_sets_is_told_with_that_step() -> None:
    workflow = parsed(
        [
            {"id": "a", "input_mapping": takes("x", "y"), "output_mapping": sets("y")},
            {"id": "b", "output_mapping": sets("x")},
        ]
    )

    assert checks.missing_variables(workflow, ()) == [
        'steps[0].input_mapping.p0: "x" is set by "b", which does not run before',
        'steps[0].input_mapping.p1: "y" is set by this step itself only',
    ]
    assert checks.missing_variables(workflow, ["x", "y"]) == []


def test_what_a_condition_asks_for_with_defined_may_be_missing() -> None:
    workflow = parsed([{"id": "a", "when": 'defined("x.y") and x.y > 1'}])

    assert checks.missing_variables(workflow, ()) == []


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    size = draw(st.integers(1, 9))
    names = draw(st.permutations([f"s{n}" for n in range(size)]))
    # Written in any order, but without circles.
    return {
        name: draw(st.lists(st.sampled_from(names[:n]), unique=True, max_size=4)) if n else []
        for n, name in draw(st.permutations(list(enumerate(names))))
    }


def ancestors(graph: Mapping[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        for need in graph[todo.pop()]:
            if need not in found:
                found.add(need)
                todo.append(need)
    return found


@many
@given(graphs())
def test_what_runs_before_what_is_that_of_the_plain_definition(graph: dict[str, list[str]]) -> None:
    workflow = parsed([{"id": name, "needs": needs} for name, needs in graph.items()])
    ids = [step.id for step in workflow.steps]
    built = checks.graph_of(workflow.steps)

    found = {
        ids[position]: {ids[p] for bit, p in enumerate(built.order) if earlier >> bit & 1}
        for position, earlier in built.walk()
    }

    assert found == {name: ancestors(graph, name) for name in graph}
    assert [step.order for step in workflow.steps] == [_level(graph, name) for name in ids]


def _level(graph: Mapping[str, list[str]], name: str) -> int:
    return 1 + max((_level(graph, need) for need in graph[name]), default=0)


@many
@given(graphs(), st.data())
def test_one_edge_back_makes_a_circle_that_is_told(
    graph: dict[str, list[str]], data: st.DataObject
) -> None:
    pairs = [(old, name) for name in graph for old in sorted(ancestors(graph, name))]
    if not pairs:
        return
    old, new = data.draw(st.sampled_from(pairs))
    steps = [
        {"id": name, "needs": [*needs, new] if name == old else needs}
        for name, needs in graph.items()
    ]

    found = problems(*steps)

    for problem in found:
        path = problem.rpartition(": ")[2].split(" -> ")
        wanted = {step["id"]: step["needs"] for step in steps}
        assert path[0] == path[-1]
        assert all(after in wanted[before] for before, after in pairwise(path))


def test_a_variable_that_the_output_of_a_step_hides_is_a_problem(tmp_path: Path) -> None:
    steps = [{"id": "split", "code": "1", "output_mapping": {"split": "at", "other": "o"}}]
    document = {"name": "w", "steps": steps, "variables": {"split": 1}}

    with pytest.raises(WorkflowInvalid) as error:
        spec.parse(document, directory=tmp_path)

    hidden = "the output of step 'split' hides a variable of that name; give it another one"
    assert [problem.partition(": ")[2].replace('"', "'") for problem in error.value.problems] == [
        hidden
    ] * 2
