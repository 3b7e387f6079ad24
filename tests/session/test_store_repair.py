"""A store that is gone or damaged is made anew from the logs, and what could not be is said."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.logged_changes import changes_in
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.store_repair import repair_store
from tests.session.repairing import (
    LATER,
    change_and_die,
    faults,
    new_ids,
    repaired,
    state_of,
    worked_home,
)
from tests.store.stores import put_task, task_row, verdict_of_sqlite


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return worked_home(tmp_path)


# -- missing -------------------------------------------------------------------------------------


def test_a_store_that_was_deleted_is_as_it_was_but_for_answers_that_may_be_used(home: Home) -> None:
    before = state_of(home)
    home.store_path.unlink()

    assert faults(home) == ["is missing, and the logs hold 20 changes of 2 tasks"]
    done = repaired(home)

    assert done.moved_to is None
    assert [tuple(item)[:2] for item in done.lost] == [("approval", "A-0001")]
    used = replace(before["approvals"][0], is_used=True)
    assert state_of(home) == {**before, "approvals": [used, before["approvals"][1]]}
    assert faults(home) == []
    assert repair_store(home, at=LATER) is None


def test_ids_go_on_counting_after_a_repair(home: Home) -> None:
    home.store_path.unlink()
    repaired(home)
    assert new_ids(home) == ("T-0003", "A-0003")


def test_ids_go_on_counting_where_a_new_store_was_made_without_a_repair(home: Home) -> None:
    home.store_path.unlink()
    assert new_ids(home) == ("T-0003", "A-0003")


def test_a_store_that_was_made_anew_takes_in_what_the_one_before_it_held(home: Home) -> None:
    before = state_of(home)
    home.store_path.unlink()
    flow = flow_of(home, author="bob")
    with flow.store.write() as change:
        change.put_task(task_row(change.new_task_id("local"), name="new"), at=LATER)
    flow.update_task_context("T-0003", {"k": "new"})
    flow.close()

    (fault,) = faults(home)
    assert fault == "does not hold 20 changes of an earlier one, which the logs do"
    done = repaired(home)
    after = state_of(home)

    assert done.moved_to is not None
    assert [row.name for row in after["tasks"]] == ["task 1", "task 2", "new"]
    assert after["context"]["local/T-0003"] == {"k": "new"}
    assert after["context"]["local/T-0001"] == before["context"]["local/T-0001"]
    assert faults(home) == []


def test_changes_after_a_repair_are_carried_although_their_numbers_were_given_before(
    home: Home,
) -> None:
    home.store_path.unlink()
    flow = flow_of(home)
    put_task(flow.store)
    flow.update_task_context("T-0001", {"k": "anew"})
    flow.close()
    values = [change.fields.get("value") for change in changes_in(home).changes]
    assert "anew" in values


def test_a_store_that_lost_its_last_commits_gets_them_back(home: Home) -> None:
    """An older copy of the file was put in its place."""
    old = home.store_path.read_bytes()
    flow = flow_of(home)
    flow.update_task_context("T-0001", {"k": "newest"})
    flow.close()
    home.store_path.write_bytes(old)

    assert faults(home) == ["does not hold its last 1 change, which the logs do"]
    repaired(home)
    assert state_of(home)["context"]["local/T-0001"] == {"k": "newest", "other": 1}


# -- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database, " * 400,
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: b"X" + data[1:],
        lambda data: data[:4096] + bytes(4096) + data[8192:],
        lambda data: data[:-4096] + os.urandom(4096),
        lambda data: b"",
    ],
    ids=["overwritten", "half", "zeros", "magic", "page", "last page", "empty"],
)
def test_a_damaged_store_is_moved_aside_and_made_anew(
    home: Home, damage: Callable[[bytes], bytes]
) -> None:
    before = state_of(home)
    damaged = damage(home.store_path.read_bytes())
    home.store_path.write_bytes(damaged)

    assert faults(home)
    done = repaired(home)

    assert done.moved_to is not None
    assert done.moved_to.name == "flow.db.damaged-20261121T020000000Z"
    assert done.moved_to.read_bytes() == damaged
    after = state_of(home)
    assert {**after, "approvals": []} == {**before, "approvals": []}
    assert [row.status for row in after["approvals"]] == ["approved", "open"]
    assert verdict_of_sqlite(home.store_path) == "ok"
    assert home.store_path.stat().st_mode & 0o777 == 0o600


def test_an_answer_stays_unused_only_where_the_damaged_store_says_so_itself(home: Home) -> None:
    before = state_of(home)
    data = home.store_path.read_bytes()
    home.store_path.write_bytes(b"X" + data[1:])
    assert repaired(home).lost == []
    assert state_of(home) == before


def test_what_had_not_reached_the_logs_comes_from_the_damaged_store(home: Home) -> None:
    """It was killed after its commit: the change lies in the log of the store, and nowhere else."""
    change_and_die(home)
    path = home.store_path
    path.write_bytes(b"X" + path.read_bytes()[1:])

    done = repaired(home)

    assert (done.salvaged, done.lost) == (1, [])
    assert state_of(home)["context"]["local/T-0001"]["late"] == 1
    assert [one.number for one in changes_in(home).changes if one.fields.get("key") == "late"] == [
        21
    ]
    assert sorted(file.name for file in home.root.glob("flow.db*")) == [
        "flow.db",
        "flow.db.damaged-20261121T020000000Z",
        "flow.db.damaged-20261121T020000000Z-shm",
        "flow.db.damaged-20261121T020000000Z-wal",
    ]


def test_what_the_logs_do_not_know_comes_from_the_tables_of_the_damaged_store(home: Home) -> None:
    """The logs were deleted; the outbox, too, so that nothing but the tables is left."""
    before = state_of(home)
    with closing(sqlite3.connect(home.store_path)) as connection:
        connection.execute("DELETE FROM outbox")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.commit()
    for path in home.log_files():
        path.unlink()
    data = home.store_path.read_bytes()
    home.store_path.write_bytes(b"X" + data[1:])

    repaired(home)
    after = state_of(home)

    for part in ("tasks", "steps", "context", "tags", "resumable"):
        assert after[part] == before[part], part
    assert [row.is_used for row in after["approvals"]] == [True, False]


def test_a_task_of_which_only_parts_are_known_is_made_and_listed(home: Home) -> None:
    home.store_path.unlink()
    log = home.log_path("local", "T-0002")
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join(line.replace(b'"task 2"', b'"task 3"') for line in lines))

    done = repaired(home)

    assert done.damaged_lines == 1
    told = [tuple(item)[:3] for item in done.lost if item.what in ("task", "changes")]
    assert ("task", "local/T-0002", "") in told
    assert [item for item in told if item[0] == "changes"]
    assert state_of(home)["context"]["local/T-0002"] == {"k": 1.5}
