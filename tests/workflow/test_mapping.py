"""What a step is given depends on the graph alone, never on which step was faster."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import NotFound
from flow_kernel.workflow.mapping import Seen, Values, idempotency_key, mapped
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.upstream import Upstream

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def made(needs: list[list[int]]) -> Workflow:
    return Workflow(
        name="w",
        steps=tuple(
            Step(id=f"s{at}", name=f"s{at}", needs=tuple(f"s{each}" for each in before))
            for at, before in enumerate(needs)
        ),
    )


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(1, 9))
    return [sorted(draw(st.sets(st.integers(0, at - 1)))) if at else [] for at in range(count)]


def above(needs: list[list[int]], at: int) -> set[int]:
    """By its plain definition."""
    found: set[int] = set()
    todo = [*needs[at]]
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += needs[each]
    return found


@given(graphs(), st.randoms(use_true_random=False))
def test_a_step_sees_the_outputs_above_it_in_whatever_order_they_came(
    needs: list[list[int]], random: object
) -> None:
    order = [*range(len(needs))]
    random.shuffle(order)  # type: ignore[attr-defined]  # it is a `random.Random`
    values = Values(Upstream(made(needs)))
    values.initial["k"] = b"0"
    for at in order:
        values.say(f"s{at}", b'{"n":%d}' % at)
        values.set(f"s{at}", {f"x{at}": b"%d" % at})

    for at in range(len(needs)):
        seen = values.seen_by(f"s{at}")
        wanted = above(needs, at)
        assert {*seen.outputs} == {f"s{each}" for each in wanted}
        assert {*seen.variables} == {"k", *(f"x{each}" for each in wanted)}


@given(st.integers(1, 8), st.data())
def test_of_steps_in_a_row_that_set_one_variable_the_last_above_counts(
    count: int, data: st.DataObject
) -> None:
    values = Values(Upstream(made([[at - 1] if at else [] for at in range(count)])))
    values.initial["x"] = b"-1"
    setters = data.draw(st.sets(st.integers(0, count - 1)))
    for at in data.draw(st.permutations(sorted(setters))):
        values.set(f"s{at}", {"x": b"%d" % at})

    for at in range(count):
        earlier = [each for each in setters if each < at]
        assert values.seen_by(f"s{at}").variables["x"] == b"%d" % max(earlier, default=-1)
    assert values.final() == ({"x": b"%d" % max(setters)} if setters else {})


@given(st.dictionaries(st.text(), JSON), st.dictionaries(st.text(), JSON), JSON)
def test_the_variables_file_is_one_object_in_which_the_later_ones_win(
    variables: dict[str, object], outputs: dict[str, object], value: object
) -> None:
    seen = Seen(
        {name: orjson.dumps(each) for name, each in variables.items()},
        {name: orjson.dumps(each) for name, each in outputs.items()},
    )

    said = orjson.loads(seen.document({"p": orjson.dumps(value)}, {"_flow": {"attempt": 1}}))

    assert said == {**variables, **outputs, "p": value, "_flow": {"attempt": 1}}


def test_an_input_is_a_variable_an_output_or_a_key_of_one() -> None:
    seen = Seen({"n": b"1", "fetch.x": b"9"}, {"fetch": b'{"rows":{"count":3},"ok":true}'})

    mapping = {"a": "n", "b": "fetch", "c": "fetch.rows", "d": "fetch.rows.count", "e": "fetch.x"}

    assert {name: orjson.loads(raw) for name, raw in seen.inputs(mapping).items()} == {
        "a": 1,
        "b": {"rows": {"count": 3}, "ok": True},
        "c": {"count": 3},
        "d": 3,
        "e": 9,
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m", 'there is no variable "m"'),
        ("fetch.cols", 'there is no "cols" in the output of fetch'),
        ("n.x", 'there is no "x" in the output of n'),
    ],
)
def test_an_input_that_is_not_there_says_what_is_missing(name: str, says: str) -> None:
    with pytest.raises(NotFound) as error:
        Seen({"n": b"1"}, {"fetch": b"{}"}).raw(name)

    assert error.value.message == says


def test_an_output_sets_the_variables_that_it_has_keys_for() -> None:
    assert mapped({"a": [1], "b": None}, {"x": "a", "y": "b", "z": "c"}) == {
        "x": b"[1]",
        "y": b"null",
    }


def test_the_key_of_a_step_is_its_own() -> None:
    keys = {
        idempotency_key(run, step, store)
        for run in ("R-0001", "R-0002")
        for step in ("a", "b")
        for store in ("s", "t")
    }

    assert (len(keys), {len(key) for key in keys}) == (8, {32})
