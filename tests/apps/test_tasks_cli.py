"""`jupyter flow tasks`, `task` and `context`: what people and programs read of the store."""

from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.place import Whereabouts
from flow_kernel.session.tasks import Tasks
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog

_NAMES = (
    "plan_id task_id name description status reason type tags parent_id created_at started_at"
    " ended_at cells failures"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a task that is done and one that goes on."""
    root = tmp_path / "work" / ".flow"
    flow = flow_of(Home(root), author="ann")
    where = Whereabouts("ab" * 16, "local", "T-0000", on_move=lambda _: None)
    tasks = Tasks(
        flow, where, author="ann", notebook="", now=utc_now_ms, carry=flow.sync, show_progress=print
    )
    tasks.start("Clean the data", "rows of May", steps=["load", "check"], type="analysis")
    tasks.step("load")
    tasks.set({"rows": 2, "source": "may.csv"})
    tasks.finish()
    tasks.start("Plot\u202e it")
    flow.tag("T-0002", "urgent")
    flow.close()
    return root


def test_tasks_are_listed_for_people(cli: Cli, home: Path) -> None:
    done = cli("tasks")

    assert (done.code, done.err) == (0, "")
    head, first, second = [line.split() for line in done.lines[1:]]
    assert head == ["task", "name", "status", "type", "cells", "took", "tags"]
    assert first[:7] == ["T-0001", "✓", "Clean", "the", "data", "done", "analysis"]
    assert second == ["T-0002", "▸", "Plot", "it", "doing", "custom", "0", "urgent"]


def test_tasks_are_listed_for_programs_with_their_cells(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("x = 1")
    log.failed("boom()")

    items = cli("tasks", "--json").document["items"]

    assert [sorted(item) for item in items] == [sorted(_NAMES.split())] * 2
    assert [(i["task_id"], i["status"], i["tags"]) for i in items] == [
        ("T-0001", "done", []),
        ("T-0002", "doing", ["urgent"]),
    ]
    assert sum(item["cells"] for item in items) == 2
    assert sum(item["failures"] for item in items) == 1


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--status", "done"], ["T-0001"]),
        (["--tag", "urgent"], ["T-0002"]),
        (["--with", "rows=2"], ["T-0001"]),
        (["--with", "source=may.csv"], ["T-0001"]),
        (["--with", "rows=3"], []),
        (["--plan", "other"], []),
    ],
)
def test_tasks_are_searched(cli: Cli, home: Path, options: list[str], found: list[str]) -> None:
    items = cli("tasks", "--json", *options).document["items"]

    assert [item["task_id"] for item in items] == found


def test_a_task_is_shown_with_its_steps_and_context(cli: Cli, home: Path) -> None:
    done = cli("task", "T-0001")

    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "T-0001 Clean the data"
    assert done.lines[1].startswith("done · 1 of 2 steps · ")
    assert done.lines[1].endswith(" · analysis · by ann")
    assert done.lines[2] == "rows of May"
    assert done.lines[3].startswith("  ✓ load  ")
    assert done.lines[4:] == [
        "  · check",
        "  rows = 2",
        "  source = 'may.csv'",
        "0 cells",
    ]
    document = cli("task", "T-0001", "--json").document
    assert [(s["name"], s["state"]) for s in document["steps"]] == [
        ("load", "done"),
        ("check", "planned"),
    ]
    assert document["context"] == {"rows": 2, "source": "may.csv"}


def test_a_context_is_read_set_and_traced(cli: Cli, home: Path) -> None:
    assert cli("context", "T-0001", "--json").document == {"rows": 2, "source": "may.csv"}

    changed = cli("context", "local/T-0001", "rows=3", "note=a b", "--json").document

    assert changed == {"note": "a b", "rows": 3, "source": "may.csv"}
    items = cli("context", "T-0001", "--history", "rows", "--json").document["items"]
    assert [(item["value"], item["is_set"]) for item in items] == [(2, True), (3, True)]
    assert items[0]["author"] == "ann"
    assert cli("log", "--verify").code == 0


def test_a_changed_context_is_in_the_log_when_the_verb_has_ended(cli: Cli, home: Path) -> None:
    cli("context", "T-0001", "rows=4")

    lines = (home / "log" / "local" / "T-0001.jsonl").read_text("utf-8").splitlines()
    assert '"key":"rows","value":4' in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["task", "T-0099"], "there is no task T-0099"),
        (["task", "nonsense"], "is no task id"),
        (["context", "T-0001", "rows"], "is not KEY=VALUE"),
        (["tasks", "--plan", "a b"], "is no plan id"),
        (["tasks", "--status", "asleep"], "invalid choice"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(
    cli: Cli, home: Path, arguments: list[str], said: str
) -> None:
    done = cli(*arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_home_without_tasks_says_how_to_begin_one(cli: Cli) -> None:
    done = cli("tasks")

    assert done.code == 2
    assert "%task start NAME" in done.err


def test_check_looks_at_the_store_too(cli: Cli, home: Path) -> None:
    assert cli("check").code == 0
    store = home / "flow.db"
    data = bytearray(store.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    store.write_bytes(data)

    done = cli("check", "--json")

    assert done.code == 1
    assert done.document["ok"] is False
    assert {Path(item["file"]).name for item in done.document["damaged"]} == {"flow.db"}


def test_a_store_that_is_no_database_is_named_and_left_as_it_is(cli: Cli, home: Path) -> None:
    store = home / "flow.db"
    store.write_bytes(b"something else entirely" * 50)

    done = cli("tasks")

    assert done.code == 1
    assert "flow.db is damaged" in done.err
    assert store.read_bytes() == b"something else entirely" * 50
