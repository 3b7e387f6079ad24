"""`jupyter flow run`, `runs` and `resume`: what people and programs see."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from flow_kernel.records.journal import Journal
from flow_kernel.settings import JournalSettings
from tests.source import ROOT
from tests.workflow.homes import READ, opened, script

FLOW: Final = [sys.executable, "-m", "flow_kernel.apps.cli"]
GOOD: Final = f"""
name = "good"
[variables]
n = 1
[[steps]]
id = "add"
code = '''
{READ}print("added", file=sys.stderr)
print(json.dumps({{"n": v["n"] + 1}}))
'''
output_mapping = {{ n = "n" }}
[[steps]]
id = "twice"
when = "n > 0"
code = '''
{script(m="v['n'] * 2")}'''
output_mapping = {{ m = "m" }}
"""


def flow(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FLOW_HOME": str(directory / ".flow"), "COLUMNS": "100"}
    return subprocess.run(
        [*FLOW, *words], cwd=directory, env=env, capture_output=True, text=True, check=False
    )


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "bad.json").write_text('{"name": "bad", "steps": [{"id": "a", "code": "1/0"}]}')
    return tmp_path


def test_a_run_is_told_as_it_goes_on_and_shown_afterwards(here: Path) -> None:
    done = flow(here, "run", "good.toml", "--var", "n=5")
    listed = flow(here, "runs")
    shown = flow(here, "runs", "show", "--logs")

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["R-0001 good: 2 steps", "  add │ added"]
    assert [line.split()[:2] for line in lines[2:4]] == [["✓", "add"], ["✓", "twice"]]
    assert lines[4:] == ["R-0001 good: success, 2 of 2 steps ok", "  m: 12", "  n: 6"]
    assert "R-0001  good        success    2/2" in listed.stdout
    assert "add:\n  added\n" in shown.stdout


def test_a_program_gets_one_document(here: Path) -> None:
    done = flow(here, "run", "good.toml", "--json")
    again = flow(here, "runs", "list", "--json")

    said = document(done)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert (said["run_id"], said["status"], said["output_data"]) == (
        "R-0001",
        "success",
        {"n": 2, "m": 4},
    )
    assert [(step["id"], step["state"], step["attempt"]) for step in said["steps"]] == [
        ("add", "ok", 1),
        ("twice", "ok", 1),
    ]
    assert said["started_at"].endswith("Z")
    assert document(again) == {"items": [said], "next": None}


def test_a_failed_run_says_what_failed_and_what_can_be_done(here: Path) -> None:
    done = flow(here, "run", "bad.json")
    said = document(flow(here, "runs", "show", "--json"))

    assert done.returncode == 1
    assert "✗ a  error" in done.stdout
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "run what is left again: jupyter flow resume R-0001 --failed" in done.stdout
    assert said["steps"][0]["error"]["traceback"].splitlines()[0].startswith("Traceback")


def test_problems_are_listed_with_their_places_and_nothing_is_run(here: Path) -> None:
    (here / "wrong.toml").write_text(
        "name = 'wrong'\n[[steps]]\nid = 'a'\ncode = 'print('\nneeds = ['b']\nretrys = 1\n"
    )

    done = flow(here, "run", "wrong.toml", "--json")

    said = document(done)["error"]
    assert done.returncode == 2
    assert (said["type"], len(said["problems"])) == ("WorkflowInvalid", 3)
    assert 'steps[0].retrys: there is no such key; did you mean "retries"?' in done.stderr
    assert document(flow(here, "runs", "--json"))["items"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "nope.toml"], "there is no file"),
        (["run", "nope"], 'there is no file and no stored workflow "nope"'),
        (["run", "good.toml", "--var", "n"], '--var "n" is no K=V'),
        (["run", "good.toml", "--from", "add", "--only", "twice"], "exclude each other"),
        (["run", "good.toml", "--on", "forks"], 'did you mean "fork"?'),
        (["run", "good.toml", "--workers", "-1"], "--workers is a number of steps"),
        (["run", "good.toml", "--task", "T-0009"], "there is no task T-0009"),
        (["run", "T-0009"], "there is no task T-0009"),
        (["runs", "show", "R-0009"], "there is no run R-0009"),
        (["runs", "show", "nine"], '"nine" is no run id'),
        (["runs", "diff", "R-0001"], "runs diff takes two runs"),
        (["resume", "R-0009"], "there is no run R-0009"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(here: Path, words: list[str], says: str) -> None:
    flow(here, "run", "good.toml", "--quiet")

    done = flow(here, *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_check_only_checks_and_store_keeps_a_workflow_under_its_name(here: Path) -> None:
    checked = flow(here, "run", "good.toml", "--check")
    stored = flow(here, "run", "good.toml", "--store", "--quiet")
    (here / "good.toml").unlink()
    named = flow(here, "run", "good", "--var", "n=10", "--json")

    assert checked.stdout == "good: 2 steps, nothing is wrong\n"
    assert stored.returncode == 0
    assert (document(named)["run_id"], document(named)["output_data"]) == (
        "R-0002",
        {"n": 11, "m": 22},
    )


def test_two_runs_are_compared_by_what_came_out(here: Path) -> None:
    (here / "vars.json").write_text('{"n": 3}')
    flow(here, "run", "good.toml", "--quiet")
    flow(here, "run", "good.toml", "--quiet", "--vars", "vars.json")

    done = flow(here, "runs", "diff", "R-0001", "R-0002", "--json")

    said = document(done)
    assert (said["steps"], said["status"]) == ([], ["success", "success"])
    assert said["output_data"] == {"added": [], "changed": ["m", "n"], "removed": []}


def test_nothing_can_go_on_where_nothing_was_interrupted(here: Path) -> None:
    flow(here, "run", "bad.json", "--quiet")

    assert flow(here, "resume").stdout == "no run can go on\n"
    assert document(flow(here, "resume", "--json")) == {"items": [], "next": None}


def test_the_recorded_steps_of_a_notebook_task_run_again_as_a_workflow(here: Path) -> None:
    cells = [
        {"step": "load", "code": "rows = [1, 2, 3]", "stores": ["rows"], "loads": []},
        {"step": "sum", "code": "total = sum(rows)", "stores": ["total"], "loads": ["rows"]},
    ]
    with opened(here) as (handle, _):
        handle.start_task("add up")
        handle.sync()
        journal = Journal(handle.home, os.urandom(16).hex(), settings=JournalSettings())
        for cell in cells:
            journal.append("cell", "local", "T-0001", {**cell, "success": True})
        journal.close()

    done = flow(here, "run", "T-0001", "--json")

    assert done.stderr == ""
    said = document(done)
    assert (said["workflow"], said["status"]) == ("add up", "success")
    assert [step["id"] for step in said["steps"]] == ["load", "sum"]


@pytest.mark.parametrize(("folder", "steps", "key"), [("etl", 3, "saved"), ("co2", 20, "written")])
def test_the_examples_run(tmp_path: Path, folder: str, steps: int, key: str) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    here = tmp_path / "notebooks/workflows" / folder

    said = document(flow(here, "run", f"{folder}.toml", "--json"))

    assert (said["status"], len(said["steps"])) == ("success", steps)
    assert (here / said["output_data"][key]).stat().st_size > 100
