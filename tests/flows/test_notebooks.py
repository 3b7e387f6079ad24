"""The notebooks that we ship run from the first cell to the last."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.environments import environment
from tests.logs import TaskLogs
from tests.promises import promise
from tests.source import ROOT

_RUN: Final = {
    "nbclient": """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read("workflow.ipynb", as_version=4)
NotebookClient(notebook, kernel_name="flow").execute()
""",
    "papermill": """
import papermill
papermill.execute_notebook("workflow.ipynb", "done.ipynb", kernel_name="flow", progress_bar=False)
""",
}

Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A copy of our notebooks."""
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    return folder


@pytest.fixture
def run(work: Path) -> Runner:
    """Runs a program in the folder of the notebooks."""
    home = work / ".flow"
    home.mkdir()
    known = {"FLOW_HOME": str(home), "IPYTHONDIR": str(work.parent / "ipython")}

    def call(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-W", "ignore", *arguments],
            cwd=work,
            env=environment(known | env),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return call


def _flow(run: Runner, *words: str) -> Any:
    done = run("-m", "flow_kernel.apps.cli", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@promise("clients.notebooks", "task.recorded", "task.steps", "task.report")
def test_the_notebook_of_a_task_runs_and_leaves_a_task_with_its_report(
    work: Path, run: Runner
) -> None:
    done = run("-c", _RUN["nbclient"])

    assert done.returncode == 0, done.stderr[-2000:]
    (task,) = _flow(run, "report")["items"]
    assert (task["name"], task["status"], task["failures"]) == ("Fill the gaps", "done", 0)
    assert [(s["name"], s["state"]) for s in task["steps"]] == [
        ("load", "done"),
        ("check", "done"),
        ("fill", "done"),
        ("write", "done"),
    ]
    answers = [(a["status"], a["decided_by"], a["channel"]) for a in task["approvals"]]
    assert answers == [("approved", "Ann", "cli")]
    assert task["context"]["written"] == "filled.csv"
    (made,) = task["artifacts"]
    assert (made["path"], made["bytes"]) == ("filled.csv", (work / "filled.csv").stat().st_size)
    assert len(TaskLogs(work / ".flow").records("cell", task_id="T-0001")) == task["cells"]
    page = (work / "report.html").read_text("utf-8")
    assert "approved by Ann (cli)" in page
    assert made["sha256"] in page


@promise("clients.notebooks", "approval.parks", "task.resumed")
@pytest.mark.parametrize("runner", _RUN)
def test_the_notebook_parks_where_nobody_answers_and_its_next_run_goes_on(
    work: Path, run: Runner, runner: str
) -> None:
    pytest.importorskip(runner)
    notebook = json.loads((work / "workflow.ipynb").read_text("utf-8"))
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] != "colleague"]
    text = json.dumps(notebook).replace(" --timeout 60s --wait", "")
    (work / "workflow.ipynb").write_text(text, encoding="utf-8")

    parked = run("-c", _RUN[runner])
    is_written = (work / "filled.csv").exists()
    _flow(run, "approve", "A-0001", "--as", "Ann")
    again = run("-c", _RUN[runner], FLOW_TASK_ID="T-0001")

    assert (parked.returncode, is_written) == (1, False)
    assert "ApprovalPending" in parked.stderr
    assert "jupyter flow approve A-0001" in parked.stderr
    assert again.returncode == 0, again.stderr[-2000:]
    (task,) = _flow(run, "report")["items"]
    assert (task["status"], task["context"]["written"]) == ("done", "filled.csv")
    assert [(s["name"], s["state"]) for s in task["steps"]] == [
        (name, "done") for name in ("load", "check", "fill", "write")
    ]
    assert [(a["status"], a["decided_by"]) for a in task["approvals"]] == [("approved", "Ann")]
