"""Long lists of the dashboard, page by page over HTTP, and its tree of many checkpoints."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.apps.server.shelved import Shelved
from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import ApprovalRow, TaskRow
from flow_kernel.store.run_rows import RunRow
from tests.dashboard import Served
from tests.session.shelves import shelf_at, taken

pytest.importorskip("jupyter_server")
pytestmark = pytest.mark.usefixtures("servers")

AT = "2026-11-21T10:00:00.000Z"
PAST = "2026-11-20T10:00:00.000Z"
COUNT = 130


def _question(approval_id: str, number: int) -> ApprovalRow:
    asked = ApprovalRow(
        approval_id=approval_id,
        plan_id="local",
        task_id="T-0002",
        step=None,
        message=f"question {number}",
        code_sha256=None,
        payload_sha256=None,
        approval_hash="b" * 64,
        level="advisory",
        requested_by="ann",
        requested_at=AT,
        session="c" * 32,
    )
    if number % 10 == 0:
        return replace(asked, expires_at=PAST, on_timeout="skip")  # nobody has written that down
    return asked if number % 10 == 1 else replace(asked, status="approved", decided_by="ann")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home = Home(root / "work" / ".flow")
    flow = flow_of(home, author="ann")
    with flow.store.write() as change:
        for number in range(1, COUNT + 1):
            task = TaskRow(
                plan_id="local",
                task_id=change.new_task_id("local"),
                name=f"task {number}",
                status="waiting" if number % 5 == 0 else "done",
                created_at=AT,
            )
            change.put_task(task, at=AT)
            change.put_approval(_question(change.new_approval_id(), number), at=AT)
            run_id = change.new_run_id()
            run = RunRow(
                run_id=run_id,
                workflow="two",
                sha256="d" * 64,
                plan_id="local",
                task_id="T-0001",
                status="success",
                created_at=AT,
            )
            change.put_run(run, at=AT)
    flow.close()
    shelf = shelf_at(home.root)
    parent = None
    for number in range(1, 31):
        one = taken(shelf, {"x": b"1"}, name=f"point {number}", seq=number, parent_id=parent)
        parent = one.checkpoint_id
    with Served(root, home.root) as served:
        yield served


def walk(served: Served, path: str, **arguments: object) -> tuple[list[dict[str, Any]], int]:
    """All items, and on how many pages."""
    items: list[dict[str, Any]] = []
    cursor, pages = "", 0
    while pages < COUNT:
        found = served.get(path, **arguments, **({"cursor": cursor} if cursor else {}))
        items += found["items"]
        pages += 1
        cursor = found["next"] or ""
        if not cursor:
            break
    return items, pages


def test_each_list_is_walked_to_its_end_once(served: Served) -> None:
    numbers = [*range(COUNT, 0, -1)]
    found = {
        path: ([each[key] for each in items], pages)
        for path, key in (("tasks", "task_id"), ("runs", "run_id"), ("checkpoints", "name"))
        for items, pages in [walk(served, path, limit=20)]
    }

    assert found == {
        "tasks": ([f"T-{number:04d}" for number in numbers], 7),
        "runs": ([f"R-{number:04d}" for number in numbers], 7),
        "checkpoints": ([f"point {number}" for number in range(30, 0, -1)], 2),
    }


def test_open_questions_come_first_and_those_whose_time_is_over_are_none(served: Served) -> None:
    items, _ = walk(served, "approvals", limit=20)
    numbers = [*range(COUNT, 0, -1)]
    is_open = [number for number in numbers if number % 10 == 1]
    skipped, _ = walk(served, "approvals", limit=20, status="skipped")

    assert [each["approval_id"] for each in items] == [
        f"A-{number:04d}" for number in [*is_open, *(n for n in numbers if n % 10 != 1)]
    ]
    assert [each["approval_id"] for each in skipped] == [
        f"A-{number:04d}" for number in numbers if number % 10 == 0
    ]
    assert served.get("overview")["approvals"] == len(is_open)
    assert {each["status"] for each in items} == {"open", "skipped", "approved"}


def test_a_task_that_no_open_question_holds_up_is_found_as_it_goes_on(served: Served) -> None:
    doing, _ = walk(served, "tasks", status="doing")
    waiting, _ = walk(served, "tasks", status="waiting")

    assert [each["task_id"] for each in doing] == [
        f"T-{number:04d}" for number in range(COUNT, 0, -5)
    ]
    assert waiting == []


def test_tasks_and_checkpoints_are_found_by_words(served: Served) -> None:
    tasks, _ = walk(served, "tasks", q="TASK 12", limit=5)
    points, _ = walk(served, "checkpoints", q="POINT 2", limit=5)
    everywhere, _ = walk(served, "checkpoints")

    assert [each["name"] for each in tasks] == [
        f"task {number}" for number in range(COUNT, 0, -1) if "12" in f"T-{number:04d}"
    ]
    assert [each["name"] for each in points] == [
        each["name"] for each in everywhere if "2" in each["name"] + each["checkpoint_id"]
    ]


@pytest.mark.parametrize(
    "address",
    [
        *("tasks?cursor=7", "tasks?cursor=[1,2,3]", 'tasks?cursor=["a","b"]', "tasks?cursor=x"),
        *("approvals?cursor=A-0001", "approvals?cursor=open.None", "approvals?cursor=open.A-1x"),
        *("approvals?cursor=other.A-9999999999999999999", "runs?cursor=7", "runs?cursor=R-1;"),
        *("checkpoints?cursor=nowhere", "checkpoints?limit=0", "runs?limit=many"),
    ],
)
def test_a_cursor_that_is_none_is_refused(served: Served, address: str) -> None:
    answer = served.ask("GET", f"/flow/api/{address}", headers=served.rights)

    assert (answer.status, answer.document["error"]["type"]) == (400, "UsageError")


def test_checkpoints_are_read_once_and_those_that_come_and_go_are_seen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    shelf = shelf_at(home.root)
    first, second = (taken(shelf, {"x": b"1"}, name=name) for name in ("first", "second"))
    shelved = Shelved(home)
    before = shelved.laid()
    path = shelf.manifests_dir / f"{first.checkpoint_id}.json"
    path.write_bytes(b"x" * path.stat().st_size)  # nobody reads it again
    again = shelved.laid()
    third = taken(shelf, {"x": b"2"}, name="third", seq=3)
    shelf.drop(second)
    after = shelved.laid()
    (shelf.manifests_dir / f"{'0' * 12}.json").write_bytes(b"damaged")
    damaged = shelved.laid().damaged

    assert [node.checkpoint.name for node in before.nodes] == ["second", "first"]
    assert again is before
    assert {*after.known} == {first.checkpoint_id, third.checkpoint_id}
    assert [*damaged] == ["0" * 12]
    with pytest.raises(UsageError, match="not there any more"):
        after.page((), before=second.checkpoint_id, limit=5)
