"""A workflow that is kept comes back as it was."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workflow import spec
from flow_kernel.workflow.model import (
    OnError,
    Resources,
    Retries,
    Step,
    StepType,
    Workflow,
)
from tests.records.journals import many

text = st.text(st.characters(codec="utf-8"), max_size=8)
amount = st.floats(min_value=0, max_value=1e9)
names = st.dictionaries(text, text, max_size=3)
ids = st.lists(text.filter(bool), min_size=1, max_size=6, unique=True)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    chosen = draw(ids)
    steps = [
        Step(
            id=each,
            name=draw(text),
            step_type=draw(st.sampled_from(StepType)),
            needs=tuple(draw(st.lists(st.sampled_from(chosen), max_size=4))),
            order=draw(st.integers(1, 10)),
            code=draw(text),
            file=draw(st.none() | text),
            input_mapping=draw(names),
            output_mapping=draw(names),
            timeout_s=draw(amount),
            retries=draw(st.builds(Retries, most=st.integers(0, 9), delay_s=amount)),
            when=draw(text),
            is_cached=draw(st.booleans()),
            resources=draw(st.builds(Resources, cpu=amount, isolation=text)),
            on_error=draw(st.sampled_from(OnError)),
            handler=draw(text),
            is_handler=draw(st.booleans()),
        )
        for each in chosen
    ]
    return Workflow(
        name=draw(text),
        description=draw(text),
        steps=tuple(steps),
        variables=draw(st.dictionaries(text, json_values, max_size=3)),
        directory=draw(text),
        is_strict=draw(st.booleans()),
    )


@many
@given(workflows())
def test_a_workflow_comes_back_from_json_exactly_as_it_was(workflow: Workflow) -> None:
    kept = json.dumps(spec.as_document(workflow))

    assert spec.from_document(json.loads(kept)) == workflow


def test_a_kept_workflow_names_shared_needs_once() -> None:
    first = tuple(f"a{n}" for n in range(3))
    workflow = Workflow(
        name="w",
        steps=(
            *(Step(id=each, name=each, code="1") for each in first),
            *(Step(id=each, name=each, code="1", needs=first, order=2) for each in ("b", "c")),
        ),
    )
    kept = spec.as_document(workflow)

    assert kept["steps"][3:] == [
        {"id": "b", "step_type": "PYTHON_SCRIPT", "needs": ["a0", "a1", "a2"], "name": "b",
         "order": 2, "code": "1"},
        {"id": "c", "step_type": "PYTHON_SCRIPT", "needs_as": "b", "name": "c", "order": 2,
         "code": "1"},
    ]  # fmt: skip
    back = spec.from_document(kept)
    assert back.steps[3].needs is back.steps[4].needs
