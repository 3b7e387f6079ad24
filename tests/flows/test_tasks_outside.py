"""Tasks that change in another process, or whose kernel was killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


def _ok(kernel: Kernel, *cells: str) -> list[Ran]:
    runs = [kernel.run(cell) for cell in cells]
    assert [(r.status, r.stderr) for r in runs] == [("ok", "")] * len(runs)
    return runs


def _tasks(home: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "tasks", "--json", "--home", str(home)],
        capture_output=True,
        check=True,
    )
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _task(kernel: Kernel, *words: str) -> None:
    command = [sys.executable, "-m", "flow_kernel.apps.cli", "task", "--home", str(kernel.home)]
    subprocess.run([*command, *words], capture_output=True, check=True)


@promise("task.outside")
def test_a_task_that_is_ended_elsewhere_is_left_and_said(kernel: Kernel) -> None:
    _ok(kernel, "%task start Outer", "%task start Inner --steps load", "%task step load")
    _task(kernel, "T-0002", "finish")

    told = kernel.run("first = 1")
    again = kernel.run("second = 2")

    assert (told.status, again.status, again.stderr) == ("ok", "ok", "")
    assert "task T-0002 was ended elsewhere (done)" in told.stderr
    cells = {cell["code"]: cell for cell in kernel.logs.records("cell")}
    found = [(cells[c]["task_id"], cells[c]["step"]) for c in ("first = 1", "second = 2")]
    assert found == [("T-0002", "load"), ("T-0001", None)]
    _ok(kernel, "%task reopen")
    assert [t["status"] for t in _tasks(kernel.home)] == ["doing", "doing"]


@promise("task.outside")
def test_a_task_that_was_begun_elsewhere_is_gone_on_with(kernel: Kernel) -> None:
    _ok(kernel, "%task start Mine")
    _task(kernel, "start", "Begun in a terminal")

    _ok(kernel, "%task reopen T-0002", "here = 1")
    refused = kernel.run("%task reopen T-0002")

    assert refused.stderr.startswith("UsageError: %task: task T-0002 is doing and cannot reopen")
    (cell,) = kernel.logs.records("cell", code="here = 1")
    assert (cell["task_id"], [t["status"] for t in _tasks(kernel.home)]) == (
        "T-0002",
        ["doing"] * 2,
    )


@promise("task.outside")
def test_a_block_outlives_its_task(kernel: Kernel) -> None:
    _ok(kernel, "%task start Long", "import flow_kernel; s = flow_kernel.current_session()")

    ran = kernel.run(
        "with s.step('load') as step:\n"
        "    flow_kernel.open_flow().finish_task('T-0001')\n"
        "    step.progress(1, 2); step.log('still here')\n"
        "done = 1"
    )

    assert (ran.status, "ended elsewhere" in ran.stderr) == ("ok", True)
    steps = [r for r in kernel.logs.records("step") if "state" in r]
    assert [(r["name"], r["state"]) for r in steps] == [("load", "doing"), ("load", "done")]


@promise("task.outside", "task.alike")
def test_a_terminal_steps_a_task_that_a_kernel_has_open(kernel: Kernel) -> None:
    _ok(kernel, "%task start Shared --steps load,check")
    _task(kernel, "T-0001", "step", "load")
    _task(kernel, "T-0001", "set", "rows=3")
    _ok(kernel, "x = 1", "%task step check", "%task finish")

    (task,) = _tasks(kernel.home)
    assert (task["status"], task["cells"]) == ("done", 3)
    states = [(r["name"], r["state"]) for r in kernel.logs.records("step")]
    assert states[2:] == [
        ("load", "doing"),
        ("check", "doing"),
        ("check", "done"),
        ("load", "done"),
    ]


@promise("task.resumed")
def test_a_step_that_a_kill_cut_off_is_interrupted_and_done_again(kernel: Kernel) -> None:
    _ok(kernel, "%task start Long work --steps load,check", "%task step load")
    kernel.process.kill()
    kernel.process.wait()
    kernel.restart()

    shown = kernel.run("%task status").result
    _ok(kernel, "%task step load", "%task step check", "%task finish")

    assert shown is not None
    assert "✗ load" in shown
    assert "interrupted" in shown
    steps = [(r["name"], r["state"]) for r in kernel.logs.records("step")]
    assert steps[2:] == [
        ("load", "doing"),
        ("load", "failed"),
        ("load", "doing"),
        ("load", "done"),
        ("check", "doing"),
        ("check", "done"),
    ]
