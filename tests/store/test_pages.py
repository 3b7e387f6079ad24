"""Pages of long lists: all rows once and in order, and no page reads more of a longer list."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import astuple, fields
from pathlib import Path

import pytest

from flow_kernel.store.contract import ApprovalRow, TaskRow
from flow_kernel.store.pages import TaskPlace, TaskWanted
from flow_kernel.store.run_rows import RunRow
from flow_kernel.store.sqlite_file import open_file
from flow_kernel.store.sqlite_rows import SqliteTransaction

AT = "2026-11-21T10:00:00.000Z"
FEW, MANY = 2_000, 40_000
LOOKED_AT = 500
STATUSES = ("todo", "doing", "done", "failed")


def task(number: int) -> TaskRow:
    return TaskRow(
        plan_id=f"plan{number % 3}",
        task_id=f"T-{number:04d}",
        name=f"Straße {number}" if number % 7 == 0 else f"task {number}",
        status=STATUSES[number % 4],
        created_at=f"2026-11-{1 + number // 4000:02d}T{number // 60 % 24:02d}:00:00.000Z",
    )


def question(number: int) -> ApprovalRow:
    is_open = number % 100 == 0
    return ApprovalRow(
        approval_id=f"A-{number:04d}",
        plan_id="local",
        task_id=f"T-{number % 50:04d}",
        step=None,
        message=f"question {number}",
        code_sha256=None,
        payload_sha256=None,
        approval_hash="b" * 64,
        level="advisory",
        status="open" if is_open else "approved" if number % 2 else "rejected",
        requested_by="ann",
        requested_at=AT,
        session="c" * 32,
        expires_at=AT if number % 200 == 0 else None,
    )


def run(number: int) -> RunRow:
    return RunRow(
        run_id=f"R-{number:04d}",
        workflow="two",
        sha256="d" * 64,
        plan_id="local",
        task_id="T-0001",
        status="success",
        created_at=AT,
    )


def filled(path: Path, count: int) -> sqlite3.Connection:
    connection = open_file(path, is_network=False, wait_s=1.0).connection
    connection.execute("BEGIN")
    for table, make in (("task", task), ("approval", question), ("run", run)):
        names = [each.name for each in fields(make(1))]
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            (astuple(make(number)) for number in range(1, count + 1)),
        )
    connection.execute(
        "INSERT INTO tag SELECT plan_id, task_id, 'red' FROM task WHERE name LIKE '%00'"
    )
    connection.execute("COMMIT")
    return connection


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    with closing(filled(tmp_path_factory.mktemp("few") / "flow.db", FEW)) as connection:
        yield connection


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    with closing(filled(tmp_path_factory.mktemp("many") / "flow.db", MANY)) as connection:
        yield connection


WANTED: dict[str, tuple[TaskWanted, Callable[[TaskRow], bool]]] = {
    "all": (TaskWanted(), lambda row: True),
    "plan": (TaskWanted(plan_id="plan1"), lambda row: row.plan_id == "plan1"),
    "status": (
        TaskWanted(statuses=("todo", "failed")),
        lambda row: row.status in ("todo", "failed"),
    ),
    "tag": (TaskWanted(tag="red"), lambda row: row.name.endswith("00")),
    "words": (
        TaskWanted(words=("strasse", "4")),
        lambda row: (
            row.name.startswith("Straße") and "4" in f"{row.plan_id}{row.task_id}{row.name}"
        ),
    ),
    "all of them": (
        TaskWanted(plan_id="plan2", statuses=("done",), words=("task",)),
        lambda row: (row.plan_id, row.status, row.name[:4]) == ("plan2", "done", "task"),
    ),
    "none": (TaskWanted(statuses=("cancelled",)), lambda row: False),
}


@pytest.mark.parametrize("name", WANTED)
def test_the_pages_of_tasks_are_all_that_match_once_and_newest_first(
    few: sqlite3.Connection, name: str
) -> None:
    wanted, is_meant = WANTED[name]
    view, found, place = SqliteTransaction(few), [], None
    for _ in range(FEW):
        page = view.task_page(wanted, before=place, limit=30, looked_at=LOOKED_AT)
        found += page.rows
        place = page.last
        if place is None:
            break

    rows = [task(number) for number in range(1, FEW + 1)]
    rows.sort(key=lambda row: (row.created_at, row.plan_id, row.task_id), reverse=True)
    assert found == [row for row in rows if is_meant(row)]


def test_a_page_goes_on_where_the_last_row_is_not_there_any_more(few: sqlite3.Connection) -> None:
    view = SqliteTransaction(few)
    first = view.task_page(TaskWanted(), before=None, limit=5, looked_at=LOOKED_AT)
    assert first.last is not None
    few.execute("BEGIN")
    few.execute("DELETE FROM task WHERE task_id = ?", (first.last.task_id,))
    second = view.task_page(TaskWanted(), before=first.last, limit=5, looked_at=LOOKED_AT)
    few.execute("ROLLBACK")
    both = view.task_page(TaskWanted(), before=None, limit=10, looked_at=LOOKED_AT)

    assert [*first.rows, *second.rows] == both.rows


def test_questions_that_can_be_answered_are_apart_from_those_that_cannot(
    few: sqlite3.Connection,
) -> None:
    view = SqliteTransaction(few)
    found: dict[str, list[str]] = {"open": [], "others": [], "rejected": []}
    for part, statuses in (("open", ()), ("others", ()), ("rejected", ("rejected",))):
        before: str | None = None
        for _ in range(FEW):
            page = (
                view.open_approval_page(at=AT, before=before, limit=7)
                if part == "open"
                else view.other_approval_page(
                    statuses, at=AT, before=before, limit=7, looked_at=LOOKED_AT
                )
            )
            found[part] += [row.approval_id for row in page.rows]
            before = page.last
            if before is None:
                break

    newest_first = [question(number) for number in range(FEW, 0, -1)]
    is_open = [row.status == "open" and row.expires_at is None for row in newest_first]
    expected = {
        "open": [row.approval_id for row, yes in zip(newest_first, is_open, strict=True) if yes],
        "others": [
            row.approval_id for row, yes in zip(newest_first, is_open, strict=True) if not yes
        ],
        "rejected": [row.approval_id for row in newest_first if row.status == "rejected"],
    }
    assert found == expected
    assert view.count_open_approvals(at=AT) == len(expected["open"])


def test_the_newest_questions_of_a_task_are_in_the_order_of_asking(
    few: sqlite3.Connection,
) -> None:
    rows = SqliteTransaction(few).approvals_of("local", "T-0007", limit=3)

    assert rows == [question(FEW - 143), question(FEW - 93), question(FEW - 43)]


def test_runs_are_paged_by_their_numbers(few: sqlite3.Connection) -> None:
    view = SqliteTransaction(few)
    many_digits = filled_runs(few)
    found = view.run_page(before="R-10001", limit=3)

    assert [row.run_id for row in found] == many_digits[1:4]
    assert [row.run_id for row in view.runs(limit=2)] == ["R-10001", "R-10000"]
    few.execute("ROLLBACK")


def filled_runs(connection: sqlite3.Connection) -> list[str]:
    """Three more, where ids grow longer."""
    connection.execute("BEGIN")
    for number in (9999, 10000, 10001):
        SqliteTransaction(connection).put_run(run(number), at=AT)
    return ["R-10001", "R-10000", "R-9999", f"R-{FEW:04d}"]


READS: dict[str, Callable[[SqliteTransaction], object]] = {
    **{
        f"tasks: {name}": lambda view, wanted=wanted: view.task_page(
            wanted, before=None, limit=30, looked_at=LOOKED_AT
        )
        for name, (wanted, _) in WANTED.items()
    },
    "tasks: far back": lambda view: view.task_page(
        TaskWanted(), before=TaskPlace("2026-11-01T05:00:00.000Z", "", ""), limit=30, looked_at=1
    ),
    "questions: open": lambda view: view.open_approval_page(at=AT, before=None, limit=10),
    "questions: others": lambda view: view.other_approval_page(
        (), at=AT, before=None, limit=30, looked_at=LOOKED_AT
    ),
    "questions: none": lambda view: view.other_approval_page(
        ("cancelled",), at=AT, before="A-1500", limit=30, looked_at=LOOKED_AT
    ),
    "runs": lambda view: view.run_page(before="R-1500", limit=30),
    "newest runs": lambda view: view.runs(limit=30),
}


@pytest.mark.parametrize("name", READS)
def test_a_page_of_a_list_that_is_twenty_times_as_long_costs_no_more_steps(
    few: sqlite3.Connection, many: sqlite3.Connection, name: str
) -> None:
    steps = {}
    for connection in (few, many):
        count = [0]

        def tick(count: list[int] = count) -> int:
            count[0] += 1
            return 0

        connection.set_progress_handler(tick, 10)
        READS[name](SqliteTransaction(connection))
        connection.set_progress_handler(None, 0)
        steps[connection] = count[0]

    assert steps[many] <= 1.5 * steps[few] + 10
