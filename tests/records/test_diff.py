"""The diff of a namespace against what really happened to it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.capture import NamespaceWatch, capture, delta
from flow_kernel.records.dict_table import is_supported
from flow_kernel.records.diff import NamespaceDiff, Visibility, classify

EVERYTHING = Visibility({})
NAMES = st.sampled_from([f"n{i}" for i in range(12)])
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "delete", "move", "same"]), NAMES), min_size=0, max_size=20
)


def diff_of(before: dict[Any, object], after: dict[Any, object], **kwargs: Any) -> NamespaceDiff:
    stored = {name: id(after[name]) for name in kwargs.get("stored", ()) if name in after}
    return classify(
        delta(capture(before), capture(after)),
        stored=stored,
        visible=kwargs.get("visible", EVERYTHING),
    )


@pytest.mark.parametrize(
    "with_pictures",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                not is_supported(), reason="this interpreter lays its dicts out in another way"
            ),
        ),
    ],
)
@settings(max_examples=400, deadline=None)
@given(start=st.lists(NAMES, unique=True), steps=STEPS, spare=st.integers(0, 40))
def test_the_diff_is_what_the_steps_did(
    start: list[str], steps: list[tuple[str, str]], spare: int, with_pictures: bool
) -> None:
    namespace: dict[str, object] = {name: object() for name in start}
    namespace.update({f"spare{i}": object() for i in range(spare)})
    alive = list(namespace.values())  # so that no address is used twice
    before = dict(namespace)
    watch = NamespaceWatch(namespace, with_pictures=with_pictures)
    old = watch.capture()
    for step, name in steps:
        if step == "set":
            namespace[name] = object()
            alive.append(namespace[name])
        elif step == "delete":
            namespace.pop(name, None)
        elif step == "move" and name in namespace:
            namespace[name] = namespace.pop(name)
    diff = classify(watch.delta_since(old), stored={}, visible=EVERYTHING)
    assert diff == NamespaceDiff(
        added=sorted(namespace.keys() - before.keys()),
        changed=sorted(
            n for n in namespace.keys() & before.keys() if namespace[n] is not before[n]
        ),
        removed=sorted(before.keys() - namespace.keys()),
    )


def test_a_stored_name_counts_as_changed_though_its_address_is_the_same() -> None:
    value = object()
    names = {"q": value, "untouched": value}
    assert diff_of(names, names, stored={"q", "unknown"}) == NamespaceDiff(
        added=[], changed=["q"], removed=[]
    )


def test_a_stored_name_that_is_new_is_added_and_not_changed() -> None:
    assert diff_of({}, {"x": 1}, stored={"x"}) == NamespaceDiff(added=["x"], changed=[], removed=[])


def test_many_stored_names_are_found_as_few_are() -> None:
    names = {f"n{i}": i for i in range(50)}
    assert diff_of(names, names, stored=set(names)).changed == sorted(names)


def test_the_caches_of_ipython_and_of_editors_are_no_variables() -> None:
    noise = [
        *("_", "__", "___", "_i", "_ii", "_iii", "_i12", "_12", "_oh", "_ih", "_dh", "In", "Out"),
        *("_VSCODE_types", "__vsc_ipynb_file__"),
    ]
    diff = diff_of({}, dict.fromkeys([*noise, "_private", "_index", "__mine", "_i_am"], 1))
    assert diff.added == ["__mine", "_i_am", "_index", "_private"]


def test_a_hidden_name_becomes_a_variable_when_the_user_rebinds_it() -> None:
    original, mine = object(), object()
    visible = Visibility({"exit": original})
    assert diff_of({"exit": original}, {"exit": mine}, visible=visible).added == ["exit"]
    assert diff_of({"exit": mine}, {"exit": original}, visible=visible).removed == ["exit"]
    assert diff_of({"exit": original}, {}, visible=visible).removed == []


def test_keys_that_are_no_text_are_left_alone() -> None:
    class Hostile:
        def __eq__(self, other: object) -> bool:
            raise SystemExit

        def __hash__(self) -> int:
            return 7

    key = Hostile()
    assert diff_of({key: 1, "a": 1}, {key: 2, "b": 1}) == NamespaceDiff(
        added=["b"], changed=[], removed=["a"]
    )
    assert diff_of({5: 1}, {5: 2, "x": 1}).added == ["x"]


def test_a_capture_holds_no_reference_to_a_value() -> None:
    import weakref

    class Thing:
        pass

    namespace = {"thing": Thing()}
    gone = weakref.ref(namespace["thing"])
    taken = capture(namespace)
    namespace.clear()
    assert gone() is None
    assert taken.names == ["thing"]
