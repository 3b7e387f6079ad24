"""`jupyter flow check`, `log --verify` and `prune`: damage is named, moved aside, old logs go."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog


@pytest.fixture
def home() -> Path:
    """The home of the working directory."""
    return Path(".flow").absolute()


def test_whole_logs_are_ok_with_exit_code_0(cli: Cli, home: Path) -> None:
    SampleLog(home).cell()
    SampleLog(home, task="T-0002", session="b" * 32).cell()
    verdict = {"ok": True, "files": 2, "records": 4, "damaged": [], "gaps": []}

    for verb in (["check"], ["log", "--verify"]):
        people, program = cli(*verb), cli(*verb, "--json")
        assert (people.code, people.out) == (0, "ok  2 logs, 4 records, no damage\n")
        assert (program.code, program.document) == (0, verdict)


def test_a_damaged_line_and_the_gap_that_it_leaves_are_named_with_exit_code_1(
    cli: Cli, home: Path
) -> None:
    log = SampleLog(home)
    log.cell("first")
    offset = log.path.stat().st_size
    log.cell("second")
    data = log.path.read_bytes()
    log.path.write_bytes(data[:offset] + data[offset:].replace(b"second", b"sec0nd", 1))

    for verb in (["check"], ["log", "--verify"], ["log", "--verify", "--task", "T-0001"]):
        done = cli(*verb, "--json")
        (damage,) = done.document["damaged"]
        assert (done.code, done.document) == (
            1,
            {
                "ok": False,
                "files": 1,
                "records": 3,
                "damaged": [
                    {
                        "file": str(log.path),
                        "line": 3,
                        "offset": offset,
                        "reason": damage["reason"],
                    }
                ],
                "gaps": [{"session": "a" * 32, "after_seq": 2}],
            },
        )
        people = cli(*verb)
        assert people.code == 1
        assert people.lines[0] == "damaged  1 log, 3 records, 1 damaged, 1 gap"
        assert damage["reason"] in people.out


def test_repair_moves_damaged_bytes_aside_and_keeps_every_other_line(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("first")
    whole = log.path.read_bytes()
    log.raw(b"not a record\n")

    done = cli("check", "--repair", "--json")

    assert (done.code, done.document["ok"]) == (0, True)
    assert done.err == f"moved 1 damaged line to {log.path}.torn\n"
    assert log.path.read_bytes() == whole
    assert b"not a record" in Path(f"{log.path}.torn").read_bytes()
    assert cli("check", "--repair").err == ""


def test_old_logs_go_whole_and_the_younger_ones_stay(cli: Cli, home: Path) -> None:
    now = datetime.now(UTC)
    old = SampleLog(home, start=now - timedelta(days=100))
    young = SampleLog(home, task="T-0002", session="b" * 32, start=now - timedelta(days=80))
    for log in (old, young):
        log.cell()
    size = old.path.stat().st_size
    summary = {"records": 2, "bytes": size, "next": None, "items": [{"file": str(old.path)}]}

    summary["outputs"] = {"files": 0, "bytes": 0}
    summary["runs"] = {"run_ids": [], "results": 0, "objects": 0, "bytes": 0}

    dry = cli("prune", "--older", "90d", "--dry-run", "--json")
    assert (dry.document, old.path.exists()) == ({**summary, "dry_run": True}, True)

    asked = cli("prune", "--older", "90d")
    assert (asked.code, old.path.exists()) == (2, True)
    assert "this would delete 1 file with 2 records" in asked.err

    done = cli("prune", "--older", "90d", "--yes", "--json")
    assert done.document == {**summary, "dry_run": False}
    assert (old.path.exists(), young.path.exists()) == (False, True)
    assert cli("prune", "--older", "90d").out.startswith("no log is older than ")
    assert cli("check").code == 0


def test_after_a_prune_the_rest_of_a_session_has_no_gap(cli: Cli, home: Path) -> None:
    log = SampleLog(home, start=datetime.now(UTC) - timedelta(days=100))
    log.cell("old")
    log.path.rename(log.path.with_name("T-0001.1.jsonl"))
    log.clock = datetime.now(UTC) - timedelta(hours=1)
    log.put("hidden", count=1, code_sha256=[], reason="hidden")

    assert cli("prune", "--older", "90d", "--yes").code == 0

    left = [json.loads(line)["seq"] for line in cli("log", "--json").lines]
    assert (left, cli("check", "--json").document["gaps"]) == ([3], [])


@pytest.mark.parametrize("age", ["soon", "90", "-1d"])
def test_a_wrong_age_is_refused(cli: Cli, home: Path, age: str) -> None:
    SampleLog(home).cell()

    done = cli("prune", f"--older={age}", "--yes")

    assert (done.code, done.err.count("\n")) == (2, 1)
