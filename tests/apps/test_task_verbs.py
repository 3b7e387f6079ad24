"""`jupyter flow task …`: a whole task from a terminal, without any kernel."""

import json
from pathlib import Path

import pytest

from tests.apps.running import Cli


def test_a_task_is_worked_on_from_its_plan_to_its_end(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "work" / ".flow").mkdir()
    begun = cli("task", "start", "Clean", "the", "data", "--steps", "load, check", "--json")
    assert begun.document["task_id"] == "T-0001"
    for words in (
        ["step", "load"],
        ["log", "two", "rows"],
        ["set", "rows=2", "note=a b"],
        ["step", "look again"],
    ):
        assert cli("task", "T-0001", *words).code == 0
    done = cli("task", "T-0001", "finish")

    assert (done.code, done.err, done.lines[0]) == (0, "", "T-0001 Clean the data")
    assert done.lines[1].startswith("done · 2 of 3 steps · ")
    assert [line.split()[:2] for line in done.lines[2:5]] == [
        ["✓", "load"],
        ["·", "check"],
        ["✓", "look"],
    ]
    lines = (tmp_path / "work" / ".flow" / "log" / "local" / "T-0001.jsonl").read_text("utf-8")
    records = [json.loads(line) for line in lines.splitlines()]
    assert [(r["step"], r["log"]) for r in records if "log" in r] == [("load", "two rows")]
    assert [r["status"] for r in records if r["kind"] == "task"] == ["doing", "done"]


def test_a_failed_task_keeps_why_and_can_be_gone_on_with(cli: Cli) -> None:
    cli("task", "start", "Clean", "--plan", "study")
    cli("task", "study/T-0001", "step", "load")

    failed = cli("task", "study/T-0001", "fail", "no", "disk", "--json").document
    again = cli("task", "study/T-0001", "reopen", "--json").document

    assert (failed["status"], failed["reason"]) == ("failed", "no disk")
    assert [(s["state"], s["reason"]) for s in failed["steps"]] == [("failed", "no disk")]
    assert (again["status"], again["reason"], again["ended_at"]) == ("doing", "", None)


def test_a_planned_step_that_failed_is_tried_again_under_its_own_row(cli: Cli) -> None:
    cli("task", "start", "Clean", "--steps", "load,check")
    cli("task", "T-0001", "step", "load")
    cli("task", "T-0001", "fail", "no disk")
    cli("task", "T-0001", "reopen")

    again = cli("task", "T-0001", "step", "load", "--json").document

    assert [(s["name"], s["state"], s["reason"]) for s in again["steps"]] == [
        ("load", "doing", ""),
        ("check", "planned", ""),
    ]


def test_a_task_can_be_a_part_of_another(cli: Cli) -> None:
    cli("task", "start", "Outer", "--plan", "study")

    part = cli("task", "start", "Inner", "--parent", "study/T-0001", "--json").document
    lost = cli("task", "start", "Lost", "--parent", "study/T-0009")
    apart = cli("task", "start", "Lost", "--parent", "study/T-0001", "--plan", "local")

    assert (part["plan_id"], part["parent_id"]) == ("study", "T-0001")
    assert (lost.code, "there is no task T-0009 in plan study" in lost.err) == (2, True)
    assert (apart.code, "belongs to another plan" in apart.err) == (2, True)
    assert len(cli("tasks", "--json").document["items"]) == 2


def test_a_name_with_dashes_follows_two_of_them(cli: Cli) -> None:
    begun = cli("task", "start", "--json", "--", "-h", "--type", "odd")

    assert begun.document["name"] == "-h --type odd"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["T-0001", "fly"], 'there is no verb "fly" of a task; verbs: step, log, set'),
        (["T-0001", "finish", "now"], "finish takes no argument"),
        (["T-0001", "set"], "set takes KEY=VALUE"),
        (["T-0001", "log"], "log takes a text"),
        (["T-0001", "fail"], "fail takes a reason"),
        (["T-0001", "reopen"], "T-0001 is doing and cannot reopen"),
        (["T-0001", "--steps", "a"], "--steps belongs to: jupyter flow task start NAME"),
        (["start"], "a name has at least one character"),
        (["start", "--verbose"], "unrecognized arguments: --verbose"),
    ],
)
def test_a_wrong_word_changes_nothing_and_is_one_sentence(
    cli: Cli, words: list[str], said: str
) -> None:
    cli("task", "start", "Clean")
    before = cli("task", "T-0001", "--json").document

    done = cli("task", *words)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert cli("task", "T-0001", "--json").document == before
