"""What isolates a cell, and what is left of its worker: nothing."""

import signal
import sys

import pytest

from tests.isolating import is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@promise("isolated.marks")
@pytest.mark.parametrize(
    "metadata", [{"flow": {"isolated": True}}, {"tags": ["isolated"]}, {"tags": ["x", "isolated"]}]
)
def test_metadata_and_tags_isolate_a_cell(kernel: Kernel, metadata: dict[str, object]) -> None:
    ran = kernel.run("import os; os.getpid()", metadata=metadata)
    assert ran.result != str(kernel.pid)
    assert kernel.logs.one("cell", msg_id=ran.msg_id)["code"] == "import os; os.getpid()"


@promise("isolated.marks")
def test_a_comment_isolates_a_cell_and_a_higher_mark_wins(kernel: Kernel) -> None:
    code = "# flow: isolated timeout=30\nimport os; os.getpid()"
    assert ok(kernel, code) != str(kernel.pid)
    assert ok(kernel, code, metadata={"flow": {"isolated": False}}) == str(kernel.pid)
    assert ok(kernel, "%%isolated --no\n" + code) == str(kernel.pid)


@promise("isolated.marks")
@pytest.mark.parametrize("line", ["--memroy 2G", "--memory 0", "--timeout never", "word"])
def test_a_mark_that_is_not_understood_stops_the_cell(kernel: Kernel, line: str) -> None:
    ran = kernel.run(f"%%isolated {line}\nprint('ran')")
    assert ran.status == "error"
    assert ran.stdout == ""


@promise("isolated.marks")
def test_every_cell_is_isolated_where_the_session_says_so() -> None:
    with Kernel(env={"USE_SUBPROCESS_WORKER": "1"}) as kernel:
        assert ok(kernel, "import os; os.getpid()") != str(kernel.pid)
        ok(kernel, "value = 1")
        assert ok(kernel, "value + 1") == "2"
        assert ok(kernel, "os.environ.get('USE_SUBPROCESS_WORKER')") == ""
        assert "task" in ok(kernel, "%task status")


@promise("isolated.marks")
def test_completion_and_inspection_follow_every_cell_to_its_worker() -> None:
    with Kernel(env={"USE_SUBPROCESS_WORKER": "1"}) as kernel:
        ok(kernel.ready(), "def far_away():\n    'Lives in the worker.'")
        ok(kernel, "1")
        found = kernel.ask("complete_request", {"code": "far_a", "cursor_pos": 5})
        assert found["matches"] == ["far_away"]
        told = kernel.ask(
            "inspect_request", {"code": "far_away", "cursor_pos": 3, "detail_level": 0}
        )
        assert "Lives in the worker." in told["data"]["text/plain"]
        asked = kernel.ask("is_complete_request", {"code": "for x in y:"})
        assert asked["status"] == "incomplete"


@promise("isolated.orphans")
def test_nothing_is_left_when_the_kernel_is_killed(own: Kernel) -> None:
    pids = ok(
        own,
        "%%isolated\nimport os, subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "far = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "print(os.getpid(), os.getppid(), child.pid, far.pid)",
    )
    own.kill()
    assert all(is_gone(int(pid)) for pid in pids.split())


@promise("isolated.orphans")
@pytest.mark.parametrize("which", [0, 1])
def test_nothing_is_left_when_a_worker_or_the_zygote_is_killed(own: Kernel, which: int) -> None:
    pids = ok(
        own,
        "%%isolated\nimport os, subprocess\n"
        "far = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "print(os.getpid(), os.getppid(), far.pid)",
    ).split()
    ok(own, f"import os; os.kill({pids[which]}, {int(signal.SIGKILL)})")
    assert is_gone(int(pids[0]))
    assert is_gone(int(pids[2]))
    assert ok(own, "%%isolated\n1 + 1") == "2"


@promise("isolated.marks")
def test_a_task_of_such_a_type_isolates_its_cells_but_those_that_stay(kernel: Kernel) -> None:
    ok(kernel, "import os")
    ok(kernel, "%task start Compile --type build")
    assert ok(kernel, "os.getpid()") != str(kernel.pid)
    assert ok(kernel, "# flow: local\nos.getpid()") == str(kernel.pid)
    ok(kernel, "%task finish")
    assert ok(kernel, "os.getpid()") == str(kernel.pid)


@promise("isolated.marks")
@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ({"cpu": 10_000}, "10000 processors"),
        ({"disk": "900P"}, "TB on the disk of the working directory, where "),
        ({"memory": "900P"}, "all workers together may take"),
    ],
)
def test_what_a_cell_requires_and_the_machine_has_not_is_told_before_it_runs(
    kernel: Kernel, needs: dict[str, object], reason: str
) -> None:
    marks = {"flow": {"isolated": True, "requirements": needs}}
    ran = kernel.run("print('ran')", metadata=marks)
    assert ran.error is not None
    assert (ran.error["ename"], ran.stdout) == ("IsolationUnavailable", "")
    assert reason in ran.error["evalue"]


@promise("isolated.marks")
def test_a_cell_begins_where_what_it_requires_is_there(kernel: Kernel) -> None:
    marks = {"flow": {"isolated": True, "requirements": {"cpu": 1, "memory": "1M", "disk": 1}}}
    assert ok(kernel, "6 * 7", metadata=marks) == "42"
