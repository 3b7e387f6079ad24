"""The state of a home that is damaged under a live kernel: said, repaired, gone on with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import Kernel
from tests.promises import promise


@promise("state.rebuilt")
def test_a_store_that_is_deleted_under_a_kernel_is_made_anew_and_work_goes_on(
    tmp_path: Path,
) -> None:
    with Kernel(home=tmp_path / "home") as kernel:
        for cell in ("%task start Clean --steps load,save", "%task step load", "%task set k=1"):
            assert kernel.run(cell).status == "ok"
        for path in kernel.home.glob("flow.db*"):
            path.unlink()

        told = kernel.run("%task set k=2")
        plain = kernel.run("1 + 1")
        repaired = _repair(kernel.home)
        shown = kernel.run("%task set l=3")
        kernel.restart()
        gone_on = kernel.run("%task status")

    assert told.status == "error"
    assert "was deleted while it was in use" in told.reply["evalue"]
    assert (plain.status, plain.result) == ("ok", "2")
    assert (repaired.returncode, repaired.stderr) == (
        0,
        "rebuilt flow.db from the logs: 1 task, 2 steps, 1 value, 0 approvals\n",
    )
    assert shown.result is not None
    assert [line.split() for line in shown.result.splitlines()[1:]] == [["k", "1"], ["l", "3"]]
    assert "T-0001" in (gone_on.result or "")


@promise("state.rebuilt")
@pytest.mark.parametrize("first", [b"X", b""], ids=["damaged", "empty"])
def test_a_damaged_store_stops_no_kernel_and_no_cell(tmp_path: Path, first: bytes) -> None:
    home = tmp_path / "home"
    with Kernel(home=home) as kernel:
        assert kernel.run("%task start Clean").status == "ok"
        kernel.shutdown()
    data = (home / "flow.db").read_bytes()
    (home / "flow.db").write_bytes(first + data[1:] if first else b"")

    with Kernel(home=home) as kernel:
        ran = kernel.run("1 + 1")
        kernel.shutdown()
    repaired = _repair(home)

    assert (ran.status, ran.result) == ("ok", "2")
    assert repaired.returncode == 0
    assert "rebuilt flow.db from the logs: 1 task" in repaired.stderr


@promise("state.mirrored")
def test_a_session_leaves_its_tasks_as_spans_where_it_is_asked_to(tmp_path: Path) -> None:
    with Kernel(home=tmp_path / "home", arguments=["--FlowKernel.mirrors=otlp"]) as kernel:
        for cell in ("%task start Clean", "%task set k=1", "1 / 0", "%task finish"):
            kernel.run(cell)
        kernel.shutdown()
        home = kernel.home

    data = json.loads((home / "mirrors" / "otlp" / "local" / "T-0001.json").read_text("utf-8"))
    spans = data["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans if "parentSpanId" not in span] == ["Clean"]
    assert [span["status"]["code"] for span in spans] == [1, 1, 2, 1]


def _repair(home: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flow_kernel.apps.cli", "check", "--repair"]
    return subprocess.run(
        [*command, "--home", str(home)], capture_output=True, text=True, check=False
    )
