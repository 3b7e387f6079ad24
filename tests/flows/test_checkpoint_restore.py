"""Checkpoints in new kernels: another day, another machine, handed to whoever asked for it."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest
from jupyter_client import BlockingKernelClient

from tests.checkpoint_kernels import flow
from tests.ends import opened, still_alive
from tests.forked import ForkedKernel, Zygote
from tests.kernels import DEADLINE_S, Kernel
from tests.promises import promise

SESSION = (
    "import pandas as pd\nrows = [1, 2]; same = rows\ndf = pd.DataFrame({'x': [1, 2]})\n"
    "class Point:\n    def __init__(self, x): self.x = x\n"
    "p = Point(3)\ndef total(): return sum(rows) + p.x + int(df.x.sum())\ng = (i for i in rows)"
)
FACTS = "print(total(), same is rows, type(p) is Point)"


@pytest.fixture
def kernel(tmp_path: Path, zygote: Zygote) -> Iterator[Kernel]:
    env = {
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
    }
    with ForkedKernel(zygote, env=env) as kernel:
        kernel.ready()
        for cell in (SESSION, "%checkpoint first"):
            assert kernel.run(cell).status == "ok"
        yield kernel


def answered(connection_file: str, code: str) -> str:
    """What a cell prints in a kernel that somebody else has started."""
    client = BlockingKernelClient(connection_file=connection_file)
    client.load_connection_file()
    client.session.copy_threshold = 1 << 40
    client.start_channels()
    printed: list[str] = []

    def note(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    try:
        client.wait_for_ready(timeout=DEADLINE_S)
        client.execute_interactive(code, timeout=DEADLINE_S, output_hook=note)
    finally:
        client.stop_channels()
        client.context.destroy(0)
    return "".join(printed)


def ended(pid: int) -> None:
    """End a kernel that we have started through the command line."""
    os.kill(pid, signal.SIGKILL)
    still_alive(opened(pid), DEADLINE_S)


@promise("checkpoint.elsewhere")
def test_a_checkpoint_is_restored_into_a_new_kernel_that_goes_on_running(kernel: Kernel) -> None:
    kernel.kill()
    done = flow(kernel, "checkpoints", "restore", "first", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    try:
        assert told["ok"] is True
        assert told["restored"] == ["Point", "df", "p", "pd", "rows", "same", "total"]
        assert [left["name"] for left in told["lost"]] == ["g"]
        assert [cell["execution_count"] for cell in told["recipes"][0]["cells"]] == [1]
        assert psutil.pid_exists(told["pid"])
        assert answered(told["connection_file"], FACTS) == "9 True True\n"
    finally:
        ended(told["pid"])


@promise("checkpoint.elsewhere")
def test_without_a_terminal_it_says_how_to_attach_and_how_to_end_it(kernel: Kernel) -> None:
    done = flow(kernel, "checkpoints", "restore", "first")

    *_, attach, end = done.stdout.splitlines()
    pid = int(end.rpartition(" ")[2])
    try:
        assert "restored 7 variables (Point, df, p, pd, rows, same, total)" in done.stdout
        assert "not restored: g (generator)" in done.stdout
        assert "to rebuild g: run [1]" in done.stdout
        path = attach.rpartition(" ")[2]
        assert "jupyter console --existing" in attach
        assert answered(path, FACTS) == "9 True True\n"
    finally:
        ended(pid)


@promise("checkpoint.elsewhere")
def test_on_a_terminal_a_console_has_it_and_the_kernel_ends_with_that(kernel: Kernel) -> None:
    console = pexpect.spawn(
        sys.executable,
        ["-m", "flow_kernel.apps.cli", "checkpoints", "restore", "first"],
        encoding="utf-8",
        cwd=str(kernel.cwd),
        env={**kernel.env, "TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"},
        timeout=40,
    )
    try:
        console.expect("restored 7 variables")
        console.expect(r"In \[")
        console.sendline("print('sum', total() + 1)")
        console.expect("sum 10")
        [started] = [
            child
            for child in psutil.Process(console.pid).children(recursive=True)
            if "flow_kernel" in child.cmdline() and "-f" in child.cmdline()
        ]
        console.sendline("print('be' + 'gun'); import time; time.sleep(600)")
        console.expect("begun")
        console.sendintr()
        console.expect("KeyboardInterrupt")
        console.sendline("print('sum', total() + 2)")
        console.expect("sum 11")
        console.sendline("quit")
        console.expect(pexpect.EOF)
        console.wait()
        assert console.exitstatus == 0
        assert not started.is_running()
    finally:
        console.close(force=True)


@promise("checkpoint.elsewhere", "checkpoint.foreign")
def test_another_machine_restores_it_with_the_key_of_the_first_or_with_trust(
    kernel: Kernel, tmp_path: Path
) -> None:
    assert flow(kernel, "key", "export", "flow.key").returncode == 0
    kernel.kill()
    home = shutil.copytree(kernel.home, tmp_path / "elsewhere")
    other = {"JUPYTER_DATA_DIR": str(tmp_path / "data2"), "FLOW_HOME": str(home)}
    line = ("checkpoints", "restore", "first", "--json")

    refusal = flow(kernel, *line, **other)
    assert (refusal.returncode, "jupyter flow key import FILE" in refusal.stderr) == (4, True)
    trusted = flow(kernel, *line, "--trust", **other)
    assert trusted.returncode == 0, trusted.stderr
    ended(json.loads(trusted.stdout)["pid"])
    assert flow(kernel, "key", "import", "flow.key", **other).returncode == 2
    assert flow(kernel, "key", "import", "flow.key", "--force", **other).returncode == 0
    done = flow(kernel, *line, **other)
    told = json.loads(done.stdout)
    try:
        assert answered(told["connection_file"], FACTS) == "9 True True\n"
    finally:
        ended(told["pid"])


@promise("checkpoint.named")
def test_a_wrong_line_starts_no_kernel(kernel: Kernel, tmp_path: Path) -> None:
    for words, said in (
        ("", "name a checkpoint"),
        ("frist", "did you mean first?"),
        ("first --console --lab", "exclude one another"),
        ("first --state --all", "not allowed with"),
    ):
        done = flow(kernel, "checkpoints", "restore", *words.split())

        assert (done.returncode, done.stdout) == (2, ""), words
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert list((tmp_path / "run").glob("kernel-*")) == []


@promise("checkpoint.verified")
def test_a_damaged_checkpoint_starts_no_kernel(kernel: Kernel, tmp_path: Path) -> None:
    [path] = (kernel.home / "objects/segments").glob("*.seg")
    data = bytearray(path.read_bytes())
    for place in range(200, len(data), 100):  # checkpoints share the file
        data[place] ^= 4
    path.write_bytes(data)

    done = flow(kernel, "checkpoints", "restore", "first", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "CheckpointDamaged"
    assert list((tmp_path / "run").glob("kernel-*")) == []


@promise("checkpoint.elsewhere")
def test_functions_of_another_python_are_refused_and_the_rest_is_restored(kernel: Kernel) -> None:
    cells = (
        "import platform; platform.real = platform.python_version",
        "platform.python_version = lambda: '3.9.1'",
        "%checkpoint old",
        "platform.python_version = platform.real",
        "rows.append(3); df = 0\ndef total(): return 0\np = 1",
        "back = %rollback old --state",
    )
    for cell in cells:
        assert kernel.run(cell).status == "ok"

    shown = kernel.run("print(rows, len(df), sorted(left.name for left in back.rollback.lost))")
    assert shown.stdout == "[1, 2] 2 ['Point', 'p', 'total']\n"
    told = kernel.run("print(back)").stdout
    assert "it was taken on Python 3.9, this is Python 3." in told
    assert "to rebuild Point, p, total: run cell [1]" in told
    refusal = str(kernel.run("total()").reply["evalue"])
    assert "holds a function compiled by Python 3.9" in refusal


@promise("rollback.recipe")
def test_in_python_a_lost_value_says_as_well_how_it_is_made_again(kernel: Kernel) -> None:
    kernel.run("del g; import flow_kernel; flow_kernel.current_session().rollback('first');")

    assert str(kernel.run("next(g)").reply["evalue"]).endswith("run cell [1]")


@promise("checkpoint.elsewhere")
def test_versions_that_are_others_here_are_said(kernel: Kernel) -> None:
    kernel.run("back = %rollback first --state")
    assert kernel.run("print(back.remarks)").stdout == "[]\n"
