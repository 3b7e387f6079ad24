"""The notebooks that we ship run from the first cell to the last."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.kernels import environment
from tests.logs import TaskLogs
from tests.promises import promise
from tests.source import ROOT

_RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="flow").execute()
"""


@promise("clients.notebooks", "task.recorded", "task.steps")
def test_the_notebook_of_a_task_runs_and_leaves_a_task_with_its_report(tmp_path: Path) -> None:
    work = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", work)
    home = tmp_path / "home"
    env = environment({"FLOW_HOME": str(home), "IPYTHONDIR": str(tmp_path / "ipython")})

    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN, "workflow.ipynb"],
        cwd=work,
        env=env,
        check=True,
        capture_output=True,
        timeout=50,
    )
    report = subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "report", "--json", "--home", str(home)],
        cwd=work,
        env=env,
        check=True,
        capture_output=True,
    )

    (task,) = json.loads(report.stdout)["items"]
    assert (task["name"], task["status"], task["failures"]) == ("Fill the gaps", "done", 0)
    assert [(s["name"], s["state"]) for s in task["steps"]] == [
        ("load", "done"),
        ("check", "done"),
        ("fill", "done"),
        ("write", "done"),
    ]
    assert [(a["status"], a["channel"]) for a in task["approvals"]] == [("approved", "timeout")]
    assert task["context"]["written"] == "filled.csv"
    assert (work / "filled.csv").exists()
    assert len(TaskLogs(home).records("cell", task_id="T-0001")) == task["cells"]
