"""A kernel that starts where a runner of a workflow was killed has its run go on."""

import os
import subprocess
import sys
from pathlib import Path

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.workflow.service import Service
from tests.kernels import Kernel
from tests.promises import promise
from tests.workers.trees import until

RUN = [sys.executable, "-m", "flow_kernel.apps.cli", "run", "w.toml"]


def killed_run(directory: Path) -> Path:
    """A home whose one run was killed in its second step, and which goes on once `go` is there."""
    here = directory / "here"
    (directory / "w.toml").write_text(
        f"""name = "w"
[[steps]]
id = "first"
code = '''
open({str(directory / "trace")!r}, "a").write("1")
print("{{}}")
'''
[[steps]]
id = "second"
code = '''
import os, time
open({str(here)!r}, "w").close()
while not os.path.exists({str(directory / "go")!r}): time.sleep(0.01)
print('{{"done": true}}')
'''
"""
    )
    env = {**os.environ, "FLOW_HOME": str(directory / "home")}
    with subprocess.Popen(RUN, cwd=directory, env=env, stdout=subprocess.DEVNULL) as process:
        until(here.exists)
        process.kill()
    (directory / "go").touch()
    return directory / "home"


def status_of(home: Path) -> str:
    flow = flow_of(Home(home))
    try:
        return str(Service(flow).book.run("R-0001").status)
    finally:
        flow.close()


@promise("workflow.resumed")
def test_a_kernel_on_the_home_of_a_killed_run_has_it_go_on_and_says_so(tmp_path: Path) -> None:
    home = killed_run(tmp_path)

    with Kernel(home=home) as kernel:
        ran = kernel.run("1 + 1")
        until(lambda: status_of(home) == "success")
        again = kernel.run("2 + 2")

    assert "R-0001 of a workflow was interrupted and goes on in the background" in ran.stderr
    assert (ran.reply["status"], again.stderr) == ("ok", "")
    assert (tmp_path / "trace").read_text() == "1"


@promise("workflow.resumed")
def test_a_setting_leaves_killed_runs_alone(tmp_path: Path) -> None:
    home = killed_run(tmp_path)

    with Kernel(home=home, arguments=["--FlowKernel.resume_runs=False"]) as kernel:
        ran = kernel.run("1 + 1")

    assert (ran.stderr, status_of(home)) == ("", "running")
