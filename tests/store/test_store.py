"""The promises of the contract, kept by every store."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError, UsageError
from flow_kernel.store.contract import ApprovalRow, ContextValue, StepRow, Store
from flow_kernel.store.sqlite import SqliteStore
from tests.records.journals import all_at_once
from tests.store.stores import AT, PLACE, STORES, context_of, put_task, put_value, task_row

LATER = "2026-11-21T01:02:04.000Z"
HOSTILE = {
    "quotes": 'it\'s "quoted"; DROP TABLE task; --',
    "NUL": "a\0b",
    "right to left": "\u202eabc\u202c",
    "astral": "\U0001f680",
    "5 kB": "x" * 5000,
    "lines": "a\nb\r\n\tc",
    "empty": "",
}


@pytest.fixture(params=[*STORES])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens a store; each call gives another handle on the same rows."""
    with ExitStack() as stack:

        def make() -> Store:
            store = STORES[request.param](tmp_path)
            stack.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()


def test_a_new_store_holds_nothing_and_is_sound(store: Store) -> None:
    with store.read() as view:
        assert view.tasks() == []
        assert view.task(*PLACE) is None
        assert not view.has_task(*PLACE)
        assert view.steps(*PLACE) == []
        assert view.context(*PLACE) == {}
        assert view.context_history(*PLACE, "k") == []
        assert view.tags(*PLACE) == []
        assert view.resumable("nb") is None
        assert view.approvals() == []
    assert store.check() == []


def test_what_was_committed_is_there_for_whoever_opens_the_store(
    opened: Callable[[], Store],
) -> None:
    one = opened()
    row = put_task(one, description="d", reason="r", author="ann", started_at=AT)
    one.close()
    with opened().read() as view:
        assert view.task(*PLACE) == row
        assert view.has_task(*PLACE)
    one.close()
    with one.read() as view:
        assert view.task(*PLACE) == row


@pytest.mark.parametrize("text", [*HOSTILE.values()], ids=[*HOSTILE])
def test_any_text_comes_back_as_it_was(store: Store, text: str) -> None:
    row = put_task(store, name=text, description=text, reason=text, author=text)
    with store.write() as change:
        change.put_step(StepRow(plan_id="local", task_id="T-0001", number=1, name=text), at=AT)
        change.put_tag(*PLACE, text, is_set=True, at=AT)
        change.put_context(*PLACE, {text: b'"v"'}, author=text, at=AT)
        change.put_resumable(text, *PLACE)
    with store.read() as view:
        assert view.task(*PLACE) == row
        assert [step.name for step in view.steps(*PLACE)] == [text]
        assert view.tags(*PLACE) == [text]
        assert view.context(*PLACE) == {text: "v"}
        assert view.context_history(*PLACE, text)[0].author == text
        assert view.resumable(text) == PLACE


def test_text_that_is_not_utf_8_is_refused_and_nothing_is_written(store: Store) -> None:
    def write() -> None:
        with store.write() as change:
            change.put_task(task_row(), at=AT)
            change.put_tag(*PLACE, "\ud800", is_set=True, at=AT)

    with pytest.raises(UsageError, match="not UTF-8"):
        write()
    with store.read() as view:
        assert view.tasks() == []


def test_tasks_come_in_the_order_of_plan_and_id(store: Store) -> None:
    rows = [
        task_row(task_id, plan_id=plan_id, status=status)
        for plan_id, task_id, status in [
            ("b", "T-0001", "todo"),
            ("a", "T-0002", "done"),
            ("a", "T-0001", "todo"),
        ]
    ]
    with store.write() as change:
        for row in rows:
            change.put_task(row, at=AT)
    with store.read() as view:
        assert view.tasks() == rows[::-1]
        assert view.tasks("a") == [rows[2], rows[1]]
        assert view.tasks(status="todo") == [rows[2], rows[0]]
        assert view.tasks("a", status="todo") == [rows[2]]
        assert view.tasks("c") == []


def test_a_task_or_step_that_is_put_again_is_replaced(store: Store) -> None:
    task = replace(put_task(store), status="done", reason="r", ended_at=LATER)
    step = StepRow(plan_id="local", task_id="T-0001", number=1, name="load")
    ended = replace(step, state="done", started_at=AT, ended_at=LATER, is_planned=False, parent=2)
    second = replace(step, number=2)
    with store.write() as change:
        change.put_task(task, at=LATER)
        for row in (second, step, ended):
            change.put_step(row, at=LATER)
    with store.read() as view:
        assert view.tasks() == [task]
        assert view.steps(*PLACE) == [ended, second]


def test_ids_are_counted_per_plan_and_never_given_out_twice(store: Store) -> None:
    with store.write() as change:
        assert [change.new_task_id("a") for _ in range(3)] == ["T-0001", "T-0002", "T-0003"]
        assert change.new_task_id("b") == "T-0001"
        change.reserve_task_id("a", "T-0010")
        change.reserve_task_id("a", "T-0005")
        change.reserve_task_id("new", "T-0002")
        assert change.new_task_id("a") == "T-0011"
        assert change.new_task_id("new") == "T-0003"
        change.reserve_task_id("long", "T-9999")
        assert change.new_task_id("long") == "T-10000"


def test_the_context_is_a_union_by_key_with_sorted_keys(store: Store) -> None:
    put_value(store, "b", b"1")
    put_value(store, "a", b'{"deep":[null,1.5]}')
    put_value(store, "b", b"2")
    put_value(store, "gone", b"true")
    with store.write() as change:
        change.remove_context(*PLACE, ["gone", "never there"], author="ann", at=AT)
    assert [*context_of(store).items()] == [("a", {"deep": [None, 1.5]}), ("b", 2)]


def test_the_history_of_a_key_names_each_value_its_author_and_its_time(store: Store) -> None:
    put_value(store, "k", b"null", author="ann")
    put_value(store, "other", b"1")
    put_value(store, "k", b"[1]", author="bob", at=LATER)
    with store.write() as change:
        change.remove_context(*PLACE, ["k"], author="cleo", at=LATER)
    with store.read() as view:
        assert view.context_history(*PLACE, "k") == [
            ContextValue(task_id="T-0001", key="k", value=value, is_set=is_set, author=who, at=at)
            for value, is_set, who, at in [
                (None, True, "ann", AT),
                ([1], True, "bob", LATER),
                (None, False, "cleo", LATER),
            ]
        ]
        assert view.context_history("other plan", "T-0001", "k") == []


def test_uses_of_a_key_are_told_newest_first_those_that_are_gone_too(store: Store) -> None:
    with store.write() as change:
        for number, value in enumerate([b'"a"', b'{"x":[1]}', b"null"]):
            change.put_context("local", f"T-000{number}", {"k": value}, author="ann", at=AT)
        change.put_context("other", "T-0000", {"k": b'"b"', "l": b"1"}, author="ann", at=AT)
        change.remove_context("other", "T-0000", ["k"], author="ann", at=AT)
    with store.read() as view:
        assert view.uses_of("k", limit=9) == [
            ('"b"', "other", "T-0000"),
            ("null", "local", "T-0002"),
            ('{"x":[1]}', "local", "T-0001"),
            ('"a"', "local", "T-0000"),
        ]
        assert view.uses_of("k", limit=2) == [('"b"', "other", "T-0000")]
        assert view.uses_of("unknown", limit=9) == []


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b'"main"', "main"),
        (b"null", None),
        (b"1", 1),
        (b'{"a":1,"b":{"c":2,"d":3}}', {"b": {"d": 3, "c": 2}, "a": 1}),
    ],
)
def test_a_task_is_found_by_an_equal_value_and_no_other(
    store: Store, stored: bytes, value: object
) -> None:
    row = put_task(store)
    put_value(store, "k", stored)
    put_task(store, "T-0002")
    with store.read() as view:
        assert view.tasks_with("k", value) == [row]
        for other in ("1", True, 1.0, "null", {"a": 1}, "mai", "MAIN"):
            assert view.tasks_with("k", other) == []
        assert view.tasks_with("K", value) == []


def test_tags_can_be_added_twice_and_removed_twice(store: Store) -> None:
    row = put_task(store)
    with store.write() as change:
        for tag in ("b", "a", "b"):
            change.put_tag(*PLACE, tag, is_set=True, at=AT)
        assert change.tags(*PLACE) == ["a", "b"]
        for _ in range(2):
            change.put_tag(*PLACE, "a", is_set=False, at=AT)
    with store.read() as view:
        assert view.tags(*PLACE) == ["b"]
        assert view.tasks_tagged("b") == [row]
        assert view.tasks_tagged("a") == []


def test_the_open_task_of_a_notebook_is_remembered_and_forgotten(store: Store) -> None:
    with store.write() as change:
        change.put_resumable("nb", *PLACE)
        change.put_resumable("other", *PLACE)
        change.put_resumable("nb", "local", "T-0002")
    with store.write() as change:
        assert change.resumable("nb") == ("local", "T-0002")
        change.put_resumable("nb", "local", None)
        assert change.resumable("nb") is None
        assert change.resumable("other") == PLACE


def test_approvals_are_found_by_id_and_by_the_hash_of_an_unused_answer(store: Store) -> None:
    with store.write() as change:
        ids = [change.new_approval_id() for _ in range(3)]
        rows = [
            ApprovalRow(
                approval_id=approval_id,
                plan_id="local",
                task_id="T-0001",
                step=None,
                message="go?",
                code_sha256=None,
                payload_sha256=None,
                approval_hash="h",
                level="advisory",
                requested_by="ann",
                requested_at=AT,
                session="5e" * 16,
            )
            for approval_id in ids
        ]
        for row in rows:
            change.put_approval(row, at=AT)
        used = replace(rows[0], status="approved", decided_by="bob", decided_at=AT, is_used=True)
        change.put_approval(used, at=AT)
    assert ids == ["A-0001", "A-0002", "A-0003"]
    with store.read() as view:
        assert view.approval("A-0001") == used
        assert view.approval("A-0009") is None
        assert view.approvals() == [used, *rows[1:]]
        assert view.unused_approvals("h") == rows[1:]
        assert view.unused_approvals("other") == []


def test_each_change_waits_in_the_outbox_in_its_order_until_it_is_carried(store: Store) -> None:
    put_task(store)
    with store.write() as change:
        change.put_step(StepRow(plan_id="local", task_id="T-0001", number=1, name="load"), at=AT)
        change.put_context(*PLACE, {"k": b"1", "l": b"2"}, author="ann", at=AT)
        change.remove_context(*PLACE, ["k"], author="ann", at=AT)
        change.put_tag(*PLACE, "t", is_set=True, at=AT)
        number = change.note("step", *PLACE, AT, {"log": "text"})
        change.put_resumable("nb", *PLACE)
    with store.write() as change:
        found = change.waiting(limit=99)
        kinds = ["task", "step", "context", "context", "context", "tag", "step", "plan"]
        assert [row.kind for row in found] == kinds
        assert [row.number for row in found] == [*range(number - 6, number + 2)]
        assert {(row.plan_id, row.task_id, row.at) for row in found[:-1]} == {(*PLACE, AT)}
        assert found[-2].fields == {"log": "text"}
        assert found[-1].fields == {"notebook": "nb", "is_open": True}
        assert change.waiting(limit=2) == found[:2]
        change.carried(found[4].number)
        assert change.waiting(limit=99) == found[5:]


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def write() -> None:
        with store.write() as change:
            change.put_context(*PLACE, {"k": b"1"}, author="ann", at=AT)
            change.put_tag(*PLACE, "t", is_set=True, at=AT)
            change.new_task_id("local")
            raise KeyError

    put_task(store)
    with pytest.raises(KeyError):
        write()
    assert context_of(store) == {}
    with store.write() as change:
        assert change.tags(*PLACE) == []
        assert [row.kind for row in change.waiting(limit=9)] == ["task"]
        assert change.new_task_id("local") == "T-0001"


def test_a_view_does_not_change_while_it_is_open(opened: Callable[[], Store]) -> None:
    """On a network the writer is kept waiting instead."""
    reader, writer = opened(), opened()
    put_value(writer, "k", b"1")
    with reader.read() as view:
        assert view.context(*PLACE) == {"k": 1}
        with suppress(StoreError):
            put_value(writer, "k", b"2")
        assert view.context(*PLACE) == {"k": 1}
    put_value(writer, "k", b"3")
    assert context_of(reader) == {"k": 3}


@pytest.mark.parametrize("is_shared", [False, True], ids=["a handle each", "one handle"])
def test_what_a_writer_has_read_is_still_true_when_it_commits(
    tmp_path: Path, is_shared: bool
) -> None:
    """Four threads count to 200 together; the waits of the plain stores are too short for that."""
    stores = [SqliteStore(tmp_path / "flow.db") for _ in range(1 if is_shared else 4)] * 4
    put_value(stores[0], "n", b"0")

    def count(store: Store) -> None:
        for _ in range(50):
            with store.write() as change:
                n = change.context(*PLACE)["n"]
                assert type(n) is int
                change.put_context(*PLACE, {"n": b"%d" % (n + 1)}, author="ann", at=AT)

    all_at_once([lambda store=store: count(store) for store in stores[:4]])  # type: ignore[misc]  # a default binds the loop's value
    assert context_of(stores[0]) == {"n": 200}
    for store in stores:
        store.close()


def test_the_version_changes_when_another_one_commits(opened: Callable[[], Store]) -> None:
    reader, writer = opened(), opened()
    put_value(writer, "k", b"1")
    seen = reader.version()
    assert reader.version() == seen
    put_value(writer, "k", b"2")
    assert reader.version() != seen


def test_the_version_changes_although_the_reader_was_closed_meanwhile(
    opened: Callable[[], Store],
) -> None:
    reader, writer = opened(), opened()
    put_value(writer, "k", b"1")
    seen = reader.version()
    reader.close()
    put_value(writer, "k", b"2")
    assert reader.version() != seen


def test_a_durable_transaction_is_like_any_other_to_those_who_read(store: Store) -> None:
    def write(value: bytes, *, is_good: bool) -> None:
        with store.write(is_durable=True) as change:
            change.put_context(*PLACE, {"k": value}, author="ann", at=AT)
            if not is_good:
                raise KeyError

    write(b"1", is_good=True)
    with pytest.raises(KeyError):
        write(b"2", is_good=False)
    put_value(store, "l", b"3")
    assert context_of(store) == {"k": 1, "l": 3}


def test_a_store_can_be_used_by_any_thread_and_closed_by_another(store: Store) -> None:
    thread = threading.Thread(target=put_value, args=(store, "k", b"1"))
    thread.start()
    thread.join(10)
    assert context_of(store) == {"k": 1}
    store.close()
    store.close()
