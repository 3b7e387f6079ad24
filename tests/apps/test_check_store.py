"""`jupyter flow check --repair`: a damaged store is named, made anew, and the rest is listed."""

from pathlib import Path
from typing import Final

import pytest

from flow_kernel.records.home import Home
from tests.apps.running import Cli
from tests.session.repairing import worked_home

_PINNED: Final = ["ok", "files", "records", "damaged", "gaps"]


@pytest.fixture
def home() -> Home:
    """The home of the working directory, with two tasks in it."""
    return worked_home(Path.cwd())


def test_a_missing_store_is_named_with_the_command_that_makes_it_anew(cli: Cli, home: Home) -> None:
    home.store_path.unlink()

    people, program = cli("check"), cli("check", "--json")

    fault = "is missing, and the logs hold 20 changes of 2 tasks"
    assert (people.code, program.code) == (1, 1)
    assert fault in people.out
    assert people.err == "to rebuild flow.db from the logs: jupyter flow check --repair\n"
    assert [*program.document] == [*_PINNED, "store"]
    assert program.document["store"] == {"ok": False, "damage": [fault]}
    (damage,) = program.document["damaged"]
    assert damage == {"file": str(home.store_path), "line": 0, "offset": 0, "reason": fault}


def test_a_repair_says_what_it_did_and_what_it_could_not(cli: Cli, home: Home) -> None:
    home.store_path.unlink()

    done = cli("check", "--repair")

    assert (done.code, done.out) == (0, "ok  2 logs, 21 records, no damage\n")
    assert done.err.splitlines() == [
        "rebuilt flow.db from the logs: 2 tasks, 2 steps, 3 values, 2 approvals",
        "not rebuilt: approval A-0001 (its answer may have been used; ask again)",
    ]
    again = cli("check", "--repair", "--json")
    assert (again.code, again.err, [*again.document]) == (0, "", _PINNED)
    assert cli("context", "T-0001", "--json").document == {"k": "three", "other": 1}


def test_the_document_of_a_repair_holds_its_figures(cli: Cli, home: Home) -> None:
    home.store_path.write_bytes(b"X" + home.store_path.read_bytes()[1:])

    done = cli("check", "--repair", "--json")

    store = done.document["store"]
    assert (done.code, done.document["ok"]) == (0, True)
    assert Path(store.pop("moved_to")).is_file()
    assert store == {
        "ok": True,
        "repaired": True,
        "tasks": 2,
        "steps": 2,
        "context": 3,
        "tags": 1,
        "approvals": 2,
        "changes_from_logs": 20,
        "changes_salvaged": 0,
        "damaged_lines": 0,
        "lost": [],
    }


def test_a_store_of_a_newer_version_is_refused_with_exit_code_4(cli: Cli, home: Home) -> None:
    data = bytearray(home.store_path.read_bytes())
    data[60:64] = (99).to_bytes(4, "big")
    home.store_path.write_bytes(data)

    assert [cli(*verb).code for verb in (["check"], ["check", "--repair"])] == [4, 4]
    assert home.store_path.read_bytes() == data
