"""What a cell did is found in its namespace, and survives the way from another process."""

import json
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.records.cell_changes import CellLook, Changes, Watches, no_changes, united
from flow_kernel.records.changes_wire import from_wire, to_wire, versions_from_wire
from flow_kernel.settings import RecorderSettings

NAMES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)).map(
    lambda names: sorted(set(names))
)
COUNTS = st.integers(0, 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=120)
SUMMARIES = st.fixed_dictionaries(
    {"type": TEXTS},
    optional={
        "summary": TEXTS,
        "dtype": TEXTS,
        "shape": st.lists(COUNTS, max_size=3),
        "len": COUNTS,
        "nbytes": COUNTS,
    },
)
CHANGES = st.builds(
    Changes,
    added=NAMES,
    changed=NAMES,
    removed=NAMES,
    mutated=NAMES,
    imports=NAMES,
    loads=NAMES,
    stores=NAMES,
    summaries=st.dictionaries(TEXTS, SUMMARIES, max_size=5),
    summaries_left_out=COUNTS,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from([*to_wire(no_changes())])


def looked(code: str, namespace: dict[str, object]) -> Changes:
    """What `code` does to `namespace`, as a worker finds it."""
    watches, settings = Watches(), RecorderSettings()
    look = CellLook(code, namespace, {})
    look.start(watches, settings)
    compiled = compile(code, "<cell>", "exec")
    look.names.add(compiled)
    exec(compiled, namespace)
    namespace.pop("__builtins__", None)
    return look.compare(watches, settings)


def test_a_look_by_itself_finds_what_a_cell_did() -> None:
    namespace: dict[str, object] = {"x": 1, "gone": 2, "L": []}

    found = looked("y = x\nx = 2\ndel gone\nL.append(3)", namespace)

    assert found == Changes(
        added=["y"],
        changed=["x"],
        removed=["gone"],
        mutated=["L"],
        imports=[],
        loads=["L", "x"],
        stores=["gone", "x", "y"],
        summaries={
            "y": {"type": "int", "summary": "1"},
            "x": {"type": "int", "summary": "2"},
            "L": {"type": "list", "len": 1, "summary": "[3]"},
        },
        summaries_left_out=0,
    )


def test_a_look_that_never_began_finds_nothing() -> None:
    look = CellLook("x = 1", {"x": 1}, {})

    assert (look.has_begun, look.compare(Watches(), RecorderSettings())) == (False, no_changes())


@given(changes=CHANGES)
def test_changes_survive_the_way_from_another_process(changes: Changes) -> None:
    assert from_wire(json.loads(json.dumps(to_wire(changes)))) == changes


def test_names_that_no_json_carries_arrive_in_their_written_form() -> None:
    namespace: dict[str, object] = {}

    found = looked("globals()['a\\udc80'] = 1", namespace)
    read = from_wire(json.loads(json.dumps(to_wire(found))))

    assert read is not None
    assert (read.added, [*read.summaries]) == (["a\\udc80"], ["a\\udc80"])


def test_versions_are_those_of_the_process_that_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_for_this_test")
    module.__dict__["__version__"] = "1.2"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    imports = ["made_for_this_test", "made_for_this_test.inner", "nowhere_to_be_found"]

    wire = json.loads(json.dumps(to_wire(no_changes()._replace(imports=imports))))
    monkeypatch.delitem(sys.modules, module.__name__)

    assert versions_from_wire(wire) == {"made_for_this_test": "1.2", "nowhere_to_be_found": None}


@given(data=ANYTHING, field=FIELDS, value=ANYTHING)
def test_ill_formed_answers_never_raise_and_leave_only_what_can_be_recorded(
    data: object, field: str, value: object
) -> None:
    for answer in (data, {field: value}, to_wire(no_changes()) | {field: value}):
        read, versions = from_wire(answer), versions_from_wire(answer)

        assert (read is None) == (type(answer) is not dict)
        assert from_wire(json.loads(json.dumps(to_wire(read or no_changes())))) == (
            read or no_changes()
        )
        json.dumps(versions).encode()


def test_what_is_ill_formed_is_dropped_and_the_rest_kept() -> None:
    read = from_wire(
        {
            "added_vars": ["b", 1, "a", None, "a"],
            "changed_vars": "text",
            "vars": {
                "a": {"type": "int", "len": -1, "nbytes": True, "shape": [1, "2"], "other": 1},
                "b": {"summary": "without a type"},
                "c": {"type": "str", "summary": "x" * 10_000},
                "d": [],
            },
            "vars_left_out": "3",
        }
    )

    assert read == no_changes()._replace(
        added=["a", "b"], summaries={"a": {"type": "int"}, "c": {"type": "str"}}
    )
    assert versions_from_wire({"imports": {"a": 1, "b": None, "c": "1"}}) == {"b": None, "c": "1"}


def test_the_union_holds_no_more_summaries_than_one_cell_may_have() -> None:
    one: dict[str, object] = {"type": "int"}
    first = no_changes()._replace(added=["b", "c"], summaries={"b": one, "c": one})
    second = no_changes()._replace(added=["a"], summaries={"a": one, "b": {"type": "str"}})

    assert united(first, second, summaries=2) == no_changes()._replace(
        added=["a", "b", "c"], summaries={"b": one, "c": one}, summaries_left_out=1
    )
