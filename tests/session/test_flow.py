"""The state of a home through `open_flow`: context, tags and searches, for any program."""

from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flow_kernel
from flow_kernel.errors import NotFound, StoreError, UsageError
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from tests.records.journals import read_by_hand, run_python
from tests.store.stores import AT, flow_on, put_task, task_row

TASK = "T-0001"


NO_IDS: list[Any] = [
    "",
    "1",
    "t-0001",
    "T-1",
    "T-00001 ",
    " T-0001",
    "T-0001\n",
    "T-0001/",
    "/T-0001",
    "a/b/T-0001",
    "a b/T-0001",
    "T-\u0660\u0660\u0660\u0661",
    "T-0001\0",
    "x" * 5000,
    None,
    1,
    b"T-0001",
    ["T-0001"],
]


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    """A home with T-0001."""
    with flow_on(tmp_path / ".flow") as flow:
        yield flow


# -- open_flow -----------------------------------------------------------------------------------


def test_a_process_has_one_handle_for_each_home(tmp_path: Path) -> None:
    one, other = flow_kernel.open_flow(tmp_path / "a"), flow_kernel.open_flow(tmp_path / "b")
    assert flow_kernel.open_flow(str(tmp_path / "a")) is one
    assert flow_kernel.open_flow(tmp_path / "x" / ".." / "a").home.root.resolve() == one.home.root
    assert other is not one
    one.close()
    one.close()
    again = flow_kernel.open_flow(tmp_path / "a")
    assert again is not one
    assert again.tasks() == []
    for flow in (again, other, flow_kernel.open_flow(tmp_path / "x" / ".." / "a")):
        flow.close()


def test_a_handle_that_was_closed_says_so_and_never_opens_the_store_again(tmp_path: Path) -> None:
    with flow_on(tmp_path / ".flow") as flow:
        pass
    uses: list[Callable[[], object]] = [
        flow.tasks,
        flow.store.version,
        lambda: flow.get_task_context("T-0001"),
        lambda: flow.update_task_context("T-0001", {"k": 1}),
    ]
    for use in uses:
        with pytest.raises(StoreError, match=r"this handle is closed.*open_flow"):
            use()
    flow.sync()
    flow.close()
    assert [path.name for path in flow.home.root.glob("flow.db*")] == ["flow.db"]


def test_plans_come_by_name_with_how_many_tasks_they_have(flow: Flow) -> None:
    for plan_id, status in (("b", "done"), ("a", "doing"), ("b", "waiting"), ("b", "todo")):
        with flow.store.write() as change:
            row = task_row(change.new_task_id(plan_id), plan_id=plan_id, status=status)
            change.put_task(row, at=AT)
    put_task(flow.store, "T-0009", plan_id="c", created_at=AT)
    plans = flow.plans()
    assert [(row.plan_id, row.tasks, row.open_tasks) for row in plans] == [
        ("a", 1, 1),
        ("b", 3, 2),
        ("c", 1, 1),
        ("local", 1, 1),
    ]
    assert plans[2].created_at == AT


def test_the_environment_names_home_and_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLOW_PLAN_ID", "release")
    flow = flow_kernel.open_flow()
    put_task(flow.store, plan_id="release")
    assert flow.home.root == tmp_path / "home"
    assert flow.update_task_context(TASK, {"k": 1}) == {"k": 1}
    assert flow.get_task_context("release/T-0001") == {"k": 1}
    with pytest.raises(NotFound):
        flow.get_task_context("local/T-0001")
    flow.close()
    monkeypatch.setenv("FLOW_PLAN_ID", "no plan")
    with pytest.raises(UsageError, match="FLOW_PLAN_ID='no plan'"):
        flow_kernel.open_flow(tmp_path / "other")


def test_a_forked_child_has_a_handle_of_its_own(tmp_path: Path) -> None:
    with flow_on(tmp_path / ".flow") as flow:
        pass
    program = """
import os, sys
import flow_kernel
flow = flow_kernel.open_flow(sys.argv[1])
flow.update_task_context("T-0001", {"parent": 1})
pid = os.fork()
if not pid:
    own = flow_kernel.open_flow(sys.argv[1])
    assert own is not flow
    own.update_task_context("T-0001", {"child": 1})
    own.close()
    sys.exit()
assert os.waitpid(pid, 0)[1] == 0
assert flow_kernel.open_flow(sys.argv[1]) is flow
assert flow.get_task_context("T-0001") == {"child": 1, "parent": 1}
"""
    run_python(program, flow.home.root)
    # Each has carried its changes at its end, which is that of the program.
    assert _changes(flow) == [1, 2, 3]


# -- context -------------------------------------------------------------------------------------


def test_an_update_is_the_union_by_key_of_the_top_level(flow: Flow) -> None:
    nested = {"a": {"x": 1, "y": [1, {"z": None}]}, "b": None, "c": "ü\0\n"}
    assert flow.update_task_context(TASK, nested) == nested
    assert flow.update_task_context(TASK, {"a": {"new": True}, "d": 1.5}) == {
        "a": {"new": True},
        "b": None,
        "c": "ü\0\n",
        "d": 1.5,
    }
    assert flow.update_task_context(TASK, {}) == flow.get_task_context(TASK)
    assert [*flow.get_task_context(TASK)] == ["a", "b", "c", "d"]


def test_a_replacement_keeps_what_it_names_and_nothing_else(flow: Flow) -> None:
    flow.update_task_context(TASK, {"a": 1, "b": {"x": 1}, "c": None})
    assert flow.update_task_context(TASK, {"c": 3, "d": None}, merge=False) == {"c": 3, "d": None}
    assert flow.set_task_context(TASK, {"e": {}}) == {"e": {}}
    assert flow.set_task_context(TASK, {}) == {}
    assert flow.get_task_context(TASK) == {}


def test_null_is_a_value_like_any_other(flow: Flow) -> None:
    flow.update_task_context(TASK, {"k": None})
    assert flow.get_task_context(TASK) == {"k": None}
    assert [task.task_id for task in flow.tasks_with("k", None)] == [TASK]
    assert flow.suggest("k") == [None]


def test_what_is_returned_is_a_copy(flow: Flow) -> None:
    given: dict[str, Any] = {"k": [1]}
    found: Any = flow.update_task_context(TASK, given)
    found["k"].append(2)
    given["k"].append(3)
    assert flow.get_task_context(TASK) == {"k": [1]}


def test_any_mapping_can_be_given_and_tuples_become_lists(flow: Flow) -> None:
    assert flow.update_task_context(TASK, UserDict(k=(1, (2,)))) == {"k": [1, [2]]}


# -- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", NO_IDS, ids=lambda given: repr(given)[:20])
def test_an_ill_formed_id_is_refused_by_every_verb(flow: Flow, task_id: Any) -> None:
    for use in _verbs(flow, task_id):
        with pytest.raises(UsageError, match="is no task id; task ids look like T-0001"):
            use()
    assert len(flow.tasks()) == 1


@pytest.mark.parametrize("task_id", ["T-0002", "T-0000", "other/T-0001", "T-999999999"])
def test_an_unknown_id_is_not_found_and_nothing_is_made(flow: Flow, task_id: str) -> None:
    for use in _verbs(flow, task_id):
        with pytest.raises(NotFound, match="there is no task T-"):
            use()
    flow.sync()
    assert len(flow.tasks()) == 1
    assert _changes(flow) == [1]


def test_texts_that_can_be_in_no_store_are_found_nowhere(flow: Flow) -> None:
    for search in (flow.suggest, flow.tasks_tagged, flow.tasks):
        with pytest.raises(UsageError, match="not UTF-8"):
            search("\ud800")
    with pytest.raises(UsageError, match="not UTF-8"):
        flow.task("\ud800/T-0001")


# -- history, suggestions, tags, searches ----------------------------------------------------------


def test_the_history_of_a_key_says_who_set_what_and_when(flow: Flow) -> None:
    flow.update_task_context(TASK, {"k": 1, "other": 1})
    bob = flow_of(flow.home, author="bob")
    bob.update_task_context(TASK, {"k": {"a": 2}})
    bob.set_task_context(TASK, {})
    bob.close()
    flow.update_task_context(TASK, {"k": None})

    history = flow.context_history(TASK, "k")
    assert [(item.value, item.is_set, item.author) for item in history] == [
        (1, True, "ann"),
        ({"a": 2}, True, "bob"),
        (None, False, "bob"),
        (None, True, "ann"),
    ]
    times = [item.at for item in history]
    assert times == sorted(times)
    assert all(len(at) == len(AT) and at.endswith("Z") for at in times)
    assert flow.context_history(TASK, "never set") == []


def test_values_that_tasks_had_are_suggested_the_last_one_first_then_the_most_frequent(
    tmp_path: Path,
) -> None:
    times = (f"2026-11-21T01:02:03.{ms:03d}Z" for ms in range(1000))
    with flow_on(tmp_path / ".flow") as made:
        flow = Flow(
            made.home,
            made.store,
            plan_id="local",
            author="ann",
            now=lambda: next(times),
            carry=int,
        )
        for number, value in enumerate(["main", "dev", "main", "old"], 1):
            put_task(flow.store, f"T-{number:04}")
            flow.update_task_context(f"T-{number:04}", {"branch": value})
        assert flow.suggest("branch") == ["old", "main", "dev"]
        flow.update_task_context("T-0004", {"branch": "dev"})
        assert flow.suggest("branch") == ["dev", "main", "old"]
        flow.set_task_context("T-0004", {})
        assert flow.suggest("branch") == ["dev", "main", "old"]
        assert flow.suggest("BRANCH") == flow.suggest("") == []
        put_task(flow.store, "T-0009")
        for n in range(50):
            put_task(flow.store, f"T-{n + 100:04}")
            flow.update_task_context(f"T-{n + 100:04}", {"n": n})
        assert flow.suggest("n") == [*range(49, 29, -1)]


def test_tasks_are_found_by_a_value_in_every_plan(flow: Flow) -> None:
    put_task(flow.store, "T-0002", plan_id="other")
    for task_id in (TASK, "other/T-0002"):
        flow.update_task_context(task_id, {"repo": {"url": "u", "branch": "b"}})
    found = flow.tasks_with("repo", {"branch": "b", "url": "u"})
    assert [(task.plan_id, task.task_id) for task in found] == [
        ("local", TASK),
        ("other", "T-0002"),
    ]
    flow.set_task_context(TASK, {})
    assert [task.plan_id for task in flow.tasks_with("repo", {"url": "u", "branch": "b"})] == [
        "other"
    ]
    assert flow.tasks_with("repo", {"url": "u"}) == []


def test_tags_are_sorted_and_trimmed_and_found(flow: Flow) -> None:
    assert flow.tag(TASK, " b ") == ["b"]
    assert flow.tag(TASK, "a") == flow.tag(TASK, "a") == ["a", "b"]
    assert flow.tag(TASK, "b", is_set=False) == ["a"]
    assert flow.tag(TASK, "never", is_set=False) == flow.tags(TASK) == ["a"]
    assert [task.task_id for task in flow.tasks_tagged("a")] == [TASK]
    assert flow.tasks_tagged("b") == []


@pytest.mark.parametrize("tag", ["", "  ", "a\0b", "\ud800", None, 1])
def test_a_tag_that_cannot_be_shown_is_refused(flow: Flow, tag: Any) -> None:
    with pytest.raises(UsageError) as told:
        flow.tag(TASK, tag)
    assert str(told.value).encode()
    assert flow.tags(TASK) == []


def test_a_view_holds_all_that_belongs_to_a_task(flow: Flow) -> None:
    flow.update_task_context(TASK, {"k": 1})
    flow.tag(TASK, "t")
    view = flow.view("local/T-0001")
    assert (view.task, view.steps, view.context, view.tags) == (
        flow.task(TASK),
        [],
        {"k": 1},
        ["t"],
    )


def test_all_changes_are_in_the_log_after_sync_and_after_close(flow: Flow) -> None:
    flow.update_task_context(TASK, {"k": 1})
    flow.sync()
    assert _changes(flow) == [1, 2]
    flow.tag(TASK, "t")
    assert not flow.is_closed
    flow.close()
    assert flow.is_closed
    assert _changes(flow) == [1, 2, 3]


# -- inside ----------------------------------------------------------------------------------------


def _verbs(flow: Flow, task_id: Any) -> list[Any]:
    return [
        lambda: flow.task(task_id),
        lambda: flow.view(task_id),
        lambda: flow.update_task_context(task_id, {"k": 1}),
        lambda: flow.set_task_context(task_id, {}),
        lambda: flow.get_task_context(task_id),
        lambda: flow.context_history(task_id, "k"),
        lambda: flow.tag(task_id, "t"),
        lambda: flow.tags(task_id),
    ]


def _changes(flow: Flow) -> list[object]:
    """The numbers of the changes in all logs of a home."""
    found = [record for path in flow.home.log_files() for record in read_by_hand(path)]
    return [record["change"] for record in found]
