"""The notebook about workflows runs from its first cell to its last."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.environments import environment
from tests.promises import promise
from tests.source import ROOT
from tests.workers.trees import until

_RUN = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("workflows.ipynb", as_version=4)
NotebookClient(notebook, kernel_name="flow").execute()
nbformat.write(notebook, "done.ipynb")
"""


@promise("clients.notebooks", "workflow.seen")
def test_the_notebook_about_workflows_runs_and_its_parked_run_goes_on(tmp_path: Path) -> None:
    work = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", work)
    known = {"FLOW_HOME": str(work / ".flow"), "IPYTHONDIR": str(tmp_path / "ipython")}
    env = environment(known)

    def flow(*words: str) -> str:
        command = [sys.executable, "-m", "flow_kernel.apps.cli", *words, "--json"]
        return subprocess.run(
            command, cwd=work, env=env, capture_output=True, text=True, check=True
        ).stdout

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN],
        cwd=work,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    until(lambda: json.loads(flow("runs", "show", "R-0004"))["status"] == "success")

    runs = json.loads(flow("runs"))["items"]
    assert [(run["workflow"], run["status"]) for run in runs] == [
        ("careful", "success"),
        ("co2", "success"),
        ("co2", "success"),
        ("etl", "success"),
    ]
    reused = [step["id"] for step in runs[1]["steps"] if step["reused_from"] is None]
    assert reused == ["no-model", "choose", "forecast", "report", "words"]
    cells = json.loads((work / "done.ipynb").read_text("utf-8"))["cells"]
    pictures = [cell for cell in cells if "<svg" in json.dumps(cell.get("outputs", []))]
    assert len(pictures) == 3
