"""Full disks, meddling steps, hostile files: each is told, and the rest goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.states import RunStatus
from tests.mounting import NAMESPACE
from tests.source import ROOT
from tests.workflow.homes import opened, run, script, states, workflow

BESIDE: Final = {"id": "beside", "needs": [], "code": script(ok="True")}


def test_a_step_that_meddles_with_the_files_of_the_runner_harms_itself_alone(
    tmp_path: Path,
) -> None:
    code = (
        "import glob, os, shutil, sys\n"
        "here = os.path.dirname(sys.argv[2])\n"
        "for name in ('x', '2-1.json', 'sub/'):\n"
        "    path = os.path.join(here, name)\n"
        "    os.makedirs(path) if name.endswith('/') else open(path, 'w').write('{broken')\n"
        "os.unlink(sys.argv[2])\n"
        "print('{}')\n"
    )
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "needs": [], "code": code},
            {"id": "b", "needs": ["a"], "code": script(n="v['n']")},
            BESIDE,
            variables={"n": 3},
        ),
        executor="fork",
        workers=1,
    )

    assert states(found) == {"a": "ok", "b": "ok", "beside": "ok"}
    assert not (tmp_path / ".flow/run/steps").exists()


def test_a_step_that_removes_the_directory_of_the_runner_harms_itself_alone(
    tmp_path: Path,
) -> None:
    code = "import os, shutil, sys\nshutil.rmtree(os.path.dirname(sys.argv[2]))\nprint('{}')\n"
    found = run(
        tmp_path,
        workflow(
            tmp_path,
            {"id": "a", "needs": [], "code": code},
            {"id": "b", "needs": ["a"], "code": script(n="1")},
        ),
        executor="fork",
    )

    assert states(found) == {"a": "ok", "b": "ok"}


def test_a_gigabyte_on_stdout_is_told_and_not_kept(tmp_path: Path) -> None:
    code = "import os\nfor _ in range(1000): os.write(1, b'x' * 1_000_000)\n"

    found = run(
        tmp_path,
        workflow(tmp_path, {"id": "a", "needs": [], "code": code}, BESIDE),
        executor="fork",
    )

    assert states(found) == {"a": "error", "beside": "ok"}
    assert "64.0 MB of output" in (found.step("a").error or {})["message"]


def test_a_gigabyte_on_stderr_keeps_its_head_and_its_tail(tmp_path: Path) -> None:
    code = (
        "import os\nos.write(2, b'first\\n')\n"
        "for _ in range(300): os.write(2, b'y' * 1_000_000)\n"
        "os.write(2, b'\\nlast\\n')\nprint('{}')\n"
    )

    found = run(tmp_path, workflow(tmp_path, {"id": "a", "code": code}), executor="fork")

    logs = found.step("a").logs
    assert found.status == RunStatus.SUCCESS
    assert (logs[:6], logs[-6:], len(logs) < 70_000) == ("first\n", "\nlast\n", True)
    assert "characters are not kept here" in logs


FULL: Final = """
import os, sys
from pathlib import Path
from flow_kernel.errors import StoreError
from tests.workflow.homes import opened, script, states, workflow
from flow_kernel.workflow.options import RunOptions
here = Path(sys.argv[1])
fill = here / "fill"
big = {"id": "big", "code": script(big="'x' * 3_000_000")}
after = {"id": "after", "code": script(n="len(v['big']['big'])")}
first = {"id": "first", "code": script(n="1")}
with opened(here) as (_, service):
    row = service.begin(workflow(here, first, big, after), options=RunOptions(executor="inline"))
    room = os.statvfs(here)
    fill.write_bytes(bytes(room.f_bavail * room.f_bsize - 1_500_000))
    try:
        service.run(row)
    except StoreError as error:
        print(str(error))
with opened(here) as (_, service):
    before = service.book.run("R-0001")
    print(before.status, states(before))
    fill.unlink()
    done = service.run(service.book.claim("R-0001"))
    print(done.status, states(done))
"""


@pytest.mark.skipif(not NAMESPACE, reason="this system lets nobody mount")
def test_a_full_disk_stops_the_run_which_goes_on_once_there_is_room(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=6m none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", mount, FULL],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.stderr == ""
    told, before, after = done.stdout.splitlines()
    assert "the disk" in told or "No space left" in told
    assert before == "running {'first': 'ok', 'big': 'running', 'after': 'pending'}"
    assert after == "success {'first': 'ok', 'big': 'ok', 'after': 'ok'}"


def test_a_store_that_refuses_leaves_no_process_and_a_run_that_can_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as (flow, service):
        row = service.begin(
            workflow(tmp_path, {"id": "a", "code": script(n="1")}, {"id": "b", "code": "print(2)"}),
            options=RunOptions(executor="fork"),
        )
        path = flow.home.store_path
        moved = path.with_suffix(".moved")
        path.rename(moved)
        with pytest.raises(StoreError):
            service.run(row)
        moved.rename(path)

    with opened(tmp_path) as (_, service):
        done = service.run(service.book.claim("R-0001"))

    assert done.status == RunStatus.SUCCESS
    assert json.dumps(done.output_data) == '{"a": {"n": 1}, "b": {"result": 2}}'


def test_a_listener_that_fails_is_heard_no_more_and_the_run_goes_on(tmp_path: Path) -> None:
    told = []

    def tell(event: object) -> None:
        told.append(event)
        raise BrokenPipeError

    with opened(tmp_path) as (_, service):
        found = workflow(tmp_path, {"id": "a", "code": script(n="1")}, {"id": "b", "code": "1"})
        done = service.run(service.begin(found, options=RunOptions(executor="inline")), tell)

    assert (done.status, len(told)) == (RunStatus.SUCCESS, 1)


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        'name = "w"\n[[steps]]\nid = "a"\ncode = "import time; time.sleep(0.3)"\n'
        '[[steps]]\nid = "b"\ncode = "print(1)"\n'
    )
    env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}
    with subprocess.Popen(
        [sys.executable, "-m", "flow_kernel.apps.cli", "run", "w.toml"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(20)

    with opened(tmp_path) as (_, service):
        assert service.book.run("R-0001").status == RunStatus.SUCCESS
