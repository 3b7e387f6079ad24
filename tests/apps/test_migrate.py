"""`jupyter flow migrate`: old context files become tasks, once."""

import json
from pathlib import Path

import pytest

from tests.apps.running import Cli


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A folder as the first design left it."""
    folder = tmp_path / "work" / "context_dump"
    folder.mkdir()
    (folder / "T-0007.json").write_text(json.dumps({"rows": 3, "note": None}))
    (folder / "deploy.json").write_text(json.dumps({"task_id": "deploy", "context": {"a": [1]}}))
    (folder / "torn.json").write_text('{"rows": 3, "no')
    (folder / "list.json").write_text("[1, 2]")
    return folder


def test_first_it_only_says_what_it_would_do(cli: Cli, dump: Path) -> None:
    done = cli("migrate", "context_dump")

    assert done.code == 1
    assert [line.split()[:3] for line in done.lines[2:6]] == [
        ["T-0007.json", "T-0007", "2"],
        ["deploy.json", "1", "new"],
        ["list.json", "0", "damaged:"],
        ["torn.json", "0", "damaged:"],
    ]
    assert done.lines[-1].startswith("nothing was written")
    assert cli("tasks", "--json").document["items"] == []


def test_then_it_writes_and_the_second_time_changes_nothing(cli: Cli, dump: Path) -> None:
    first = cli("migrate", "context_dump", "--yes", "--json").document["items"]
    tasks = cli("tasks", "--json").document["items"]
    second = cli("migrate", "context_dump", "--yes", "--json").document["items"]

    assert [(i["task_id"], i["what"]) for i in first] == [
        ("T-0007", "new task"),
        ("T-0008", "new task"),
        (None, "damaged"),
        (None, "damaged"),
    ]
    assert [i["what"] for i in second] == ["unchanged", "unchanged", "damaged", "damaged"]
    assert [(t["task_id"], t["name"]) for t in tasks] == [
        ("T-0007", "T-0007"),
        ("T-0008", "deploy"),
    ]
    assert cli("tasks", "--json").document["items"] == tasks
    assert cli("context", "T-0007", "--json").document == {
        "migrated_from": "T-0007.json",
        "note": None,
        "rows": 3,
    }


def test_a_file_that_has_changed_is_merged_into_its_task(cli: Cli, dump: Path) -> None:
    cli("migrate", "context_dump", "--yes")
    (dump / "deploy.json").write_text(json.dumps({"context": {"b": 2}}))

    again = cli("migrate", "context_dump", "--yes", "--json").document["items"]

    assert (again[1]["task_id"], again[1]["what"]) == ("T-0008", "task exists")
    assert cli("context", "T-0008", "--json").document == {
        "a": [1],
        "b": 2,
        "migrated_from": "deploy.json",
    }


@pytest.mark.parametrize("directory", ["missing", "."])
def test_a_folder_without_such_files_is_one_sentence(cli: Cli, directory: str) -> None:
    done = cli("migrate", directory)

    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
