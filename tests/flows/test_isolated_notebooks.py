"""Notebooks in workers: ours runs, and the tour says the same with every cell isolated."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.environments import environment
from tests.kernels import Kernel
from tests.promises import promise
from tests.source import ROOT

_RUN = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("isolated.ipynb", as_version=4)
NotebookClient(notebook, kernel_name="flow").execute()
nbformat.write(notebook, "done.ipynb")
"""
_NOISE = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"ipykernel_\d+/\d+"), "ipykernel_…"),
    (re.compile(r"\d+ of the cell"), "n of the cell"),
)


@promise("isolated.survives")
def test_the_notebook_of_isolated_cells_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN],
        cwd=tmp_path / "notebooks",
        env=environment({"FLOW_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ip")}),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    notebook = json.loads((tmp_path / "notebooks" / "done.ipynb").read_text("utf-8"))
    errors = [
        output["ename"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] == "error"
    ]
    assert errors[:2] == ["WorkerDied", "CellTimeout"]
    assert errors[2:] in (["MemoryError"], ["_ArrayMemoryError"])


@promise("isolated.relay")
def test_the_tour_says_the_same_with_every_cell_isolated(tmp_path: Path) -> None:
    assert _told(tmp_path / "worker", {"USE_SUBPROCESS_WORKER": "1"}) == _told(
        tmp_path / "local", {}
    )


def _told(folder: Path, env: dict[str, str]) -> list[tuple[str, Any]]:
    """All that the cells of the tour show, but for our own magics, which tell of the log."""
    notebook = json.loads((ROOT / "notebooks" / "tour.ipynb").read_text("utf-8"))
    told = []
    with Kernel(env=env) as kernel:
        shutil.copytree(ROOT / "notebooks/data", kernel.cwd / "data")
        kernel.ready()
        for cell in notebook["cells"]:
            source = "".join(cell["source"])
            # What a child prints past `sys.stdout` arrives when it arrives.
            if cell["cell_type"] != "code" or source.startswith("%flow") or "subprocess" in source:
                continue
            ran = kernel.run(source)
            told.append((ran.status, _plain(ran.stdout), _plain(ran.stderr)))
            told += [
                (m["msg_type"], _plain(json.dumps(m["content"].get("data"), sort_keys=True)))
                for m in ran.messages
                if m["msg_type"] in ("display_data", "execute_result")
            ]
            if ran.error is not None:
                told.append((ran.error["ename"], _plain("\n".join(ran.error["traceback"]))))
    return told


def _plain(text: str) -> str:
    for pattern, shown in _NOISE:
        text = pattern.sub(shown, text)
    return text


# What stays behind stays after each crash: 25 show it as 100 did, and `make soak` runs 10,000.
@promise("isolated.orphans")
@pytest.mark.parametrize("cycles", [25, pytest.param(10_000, marks=pytest.mark.soak)])
def test_crash_after_crash_leaves_nothing(cycles: int) -> None:
    with Kernel() as kernel:
        kernel.ready()
        for _ in range(5):  # the pool, its zygote and its spare are there
            assert kernel.run("%%isolated --fresh\nimport os; os._exit(1)").error is not None
        _settle(kernel)
        before = _holdings(kernel)
        for _ in range(cycles):
            ran = kernel.run("%%isolated --fresh\nimport os; os._exit(1)")
            assert ran.error is not None
            assert ran.error["ename"] == "WorkerDied"
            kernel.iopub.clear()
        _settle(kernel)
        after = _holdings(kernel)
        assert after["processes"] == before["processes"]
        assert after["files"] == before["files"]
        assert after["fds"] <= before["fds"] + 2
        assert after["rss"] <= before["rss"] + 20e6 + 2e3 * cycles


def _settle(kernel: Kernel) -> None:
    """Wait for the spare, so that there are as many processes as before."""
    ran = kernel.run(
        "from flow_kernel import current_session\n"
        "pool = current_session().isolation.pool\n"
        "import concurrent.futures; concurrent.futures.wait(pool._spares, 20); len(pool.workers)"
    )
    assert ran.result == "1", ran.error


def _holdings(kernel: Kernel) -> dict[str, int]:
    process = psutil.Process(kernel.pid)
    return {
        "processes": len(process.children(recursive=True)),
        "fds": len(os.listdir(f"/proc/{kernel.pid}/fd")),
        "files": sum(1 for _ in kernel.home.joinpath("run").rglob("*")),
        "rss": process.memory_info().rss,
    }
