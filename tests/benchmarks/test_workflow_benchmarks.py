"""The benchmarks of workflows run: their machinery, never their figures."""

import json
import subprocess
import sys
from pathlib import Path

WORKFLOWS = Path(__file__).with_name("workflows.py")


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(WORKFLOWS), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_quick_run_measures_steps_and_a_killed_runner_and_writes_the_table_for_readme(
    tmp_path: Path,
) -> None:
    file = tmp_path / "results.json"
    done = call("inline", "storage", "graph", "flow-inline", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["failed"] == {}
    assert [each["name"] for each in document["results"]] == [
        "inline_step",
        "inline_step_durable",
        "storage",
        "checked_10k",
        "started_10k",
        "memory_10",
        "memory_100",
    ]
    assert {each["meets"] for each in document["results"]} == {None}
    (engine,) = document["engines"]
    assert set(engine["ours"]) == {"flow", "flow-durable"}
    resume_ms = engine["killed"].pop("resume_ms")
    assert resume_ms > 0
    assert engine["killed"] == {"finished": 3, "again": 0, "left": 0, "isolation": "no"}
    lines = call("--readme", str(file)).stdout.splitlines()
    assert (lines[0], lines[-1]) == ("<!-- workflows: start -->", "<!-- workflows: end -->")


def test_what_nobody_knows_is_refused_in_one_sentence() -> None:
    done = call("ours", "langraph")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nothing is named langraph; there are ours, engines, chain, ")
