"""Checkpoints where every cell runs in a worker: its variables are kept and come back."""

import ast
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.checkpoint_kernels import flow, kernel_in_git, ran, refused
from tests.ends import opened, still_alive
from tests.forked import Zygote
from tests.isolating import IMPORT
from tests.kernels import DEADLINE_S, Kernel
from tests.promises import promise
from tests.rest import Settled

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

SLOW = (
    "import os, time\nclass Slow:\n    def __reduce__(self):\n"
    "        open('begun', 'w').close()\n        time.sleep(1000)\nslow = Slow()"
)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Iterator[Kernel]:
    data = tmp_path_factory.mktemp("data")
    with kernel_in_git(data, zygote, USE_SUBPROCESS_WORKER="1") as kernel:
        yield kernel


def names(kernel: Kernel) -> list[tuple[str, str]]:
    """Name and reason of each checkpoint on the disk, as the worker lists them."""
    told = ran(kernel, "from flow_kernel import current_session", "%checkpoint list")
    code = "[(one.name, one.reason) for one in current_session().checkpoints.shelf.all()]"
    found: list[tuple[str, str]] = ast.literal_eval(ran(kernel, code))
    assert all(name in told for name, _ in found)
    return found


def text_in(path: Path) -> str:
    """What a file holds; nothing while Git has removed it and not yet written it anew."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


@promise("isolated.checkpoints")
def test_variables_of_the_worker_come_back_with_what_they_share(kernel: Kernel) -> None:
    pid = ran(kernel, "import os\na = [1, 2]; b = a; keep = object()\nos.getpid()")
    assert pid != str(kernel.pid)
    ran(kernel, "mark = id(os)", "%checkpoint shared")
    (kernel.cwd / "made.txt").write_text("later", encoding="utf-8")
    ran(kernel, "a.append(3); born = 1")
    assert "~ a" in ran(kernel, "%checkpoint diff shared")
    back = kernel.run("%rollback shared")
    assert "removed: -born" in str(back.result)
    facts = back.metadata["flow"]
    assert facts["removed_vars"] == ["born"]
    assert facts["changed_vars"] == ["a", "b"]
    assert facts["added_imports"] == []
    assert ran(kernel, "a, b is a, 'born' in globals(), id(os) == mark, os.getpid()") == (
        f"([1, 2], True, False, True, {pid})"
    )
    assert (kernel.cwd / "made.txt").read_text(encoding="utf-8") == "at first"
    record = kernel.logs.records("rollback")[-1]
    assert record["restored"] == ["a", "b"]
    kept = kernel.logs.records("checkpoint")
    assert [one["reason"] for one in kept[-2:]] == ["asked", "safety"]
    assert kept[-1]["checkpoint_id"] == record["safety_id"]
    ran(kernel, f"%rollback {record['safety_id']}")
    assert ran(kernel, "a, born") == "([1, 2, 3], 1)"


@promise("isolated.checkpoints", "checkpoint.foreign")
def test_a_name_as_typed_is_no_expression_in_a_worker_either(kernel: Kernel) -> None:
    name = "{seen.append(1)}"
    ran(kernel, "seen = []; at = 'as a variable'", "%checkpoint {at}")
    ran(
        kernel,
        "from flow_kernel import current_session",
        f"_ = current_session().checkpoint({name!r})",
    )

    assert name in ran(kernel, f"%rollback {name} --dry-run")
    assert "as a variable" in ran(kernel, "%checkpoint show '{at}'")
    assert ran(kernel, "seen") == "[]"


@promise("isolated.checkpoints")
def test_code_keeps_and_goes_back_as_in_a_session_of_its_own(kernel: Kernel) -> None:
    ran(kernel, f"{IMPORT}value = {{'deep': [1]}}")
    assert ran(kernel, "kept = s.checkpoint('by code')\n(kept.name, kept.is_done)") == (
        "('by code', True)"
    )
    ran(kernel, "value['deep'].append(2)")
    assert ran(kernel, "s.rollback('by code', dry_run=True).restored") == "['value']"
    assert ran(kernel, "value['deep']") == "[1, 2]"
    assert ran(kernel, "back = s.rollback('by code')\nback.restored, value['deep']") == (
        "(['value'], [1])"
    )
    assert ran(kernel, "s.checkpoints.shelf.find('by code').reason") == "'asked'"
    assert "there is no checkpoint" in refused(kernel, "%rollback nowhere")
    assert "is not understood" in refused(kernel, "%checkpoint list x")


@promise("isolated.checkpoints")
def test_steps_tasks_and_approved_cells_leave_checkpoints_of_the_worker(kernel: Kernel) -> None:
    ran(kernel, f"{IMPORT}rows = []", "%task start Steps --steps A,B,C")
    ran(kernel, "with s.step('A'):\n    rows.append(1)")
    ran(kernel, "for name in 'BC':\n    with s.step(name):\n        rows.append(name)")
    ran(kernel, "rows.clear()", "%task finish")
    found = names(kernel)
    assert [one for one in found if one[1] in ("step", "task")] == [
        ("step A", "step"),
        ("step B", "step"),
        ("step C", "step"),
        ("task Steps", "task"),
    ]
    steps = [one for one in kernel.logs.records("checkpoint") if one["reason"] == "step"]
    assert {one["task_id"] for one in steps} == {"T-0001"}
    for name, rows in (("step A", [1]), ("step B", [1, "B"]), ("step C", [1, "B", "C"])):
        ran(kernel, f"%rollback {name!r} --state")
        assert ran(kernel, "rows") == repr(rows)
    ran(kernel, "%rollback 'task Steps' --state")
    assert ran(kernel, "rows") == "[]"


@promise("isolated.checkpoints")
def test_an_approved_cell_leaves_what_was_there_before_it(kernel: Kernel) -> None:
    ran(kernel, "level = 1")
    asked = kernel.run("%%approve Sure? --park\nlevel = 2")
    assert asked.status == "error"
    said = kernel.logs.records("approval")[-1]
    assert flow(kernel, "approve", said["approval_id"]).returncode == 0
    assert kernel.run("%%approve Sure? --park\nlevel = 2").status == "ok"
    assert ran(kernel, "level") == "2"
    ran(kernel, f"%rollback 'before {said['approval_id']}' --state")
    assert ran(kernel, "level") == "1"


@promise("isolated.checkpoints")
def test_what_a_worker_has_lost_comes_back_in_the_next_one(kernel: Kernel) -> None:
    ran(kernel, "import os\nlost = [os.getpid()]", "%checkpoint before death")
    killed = kernel.run("os.kill(os.getpid(), 9)")
    assert killed.error is not None
    assert killed.error["ename"] == "WorkerDied"
    kept = kernel.logs.records("checkpoint")[-1]["checkpoint_id"]
    assert f"come back with: %rollback {kept} --state" in killed.stderr
    assert kernel.run("lost").status == "error"
    ran(kernel, f"%rollback {kept} --state")
    assert ran(kernel, "lost[0] != os.getpid(), len(lost)") == "(True, 1)"
    numbers = [one["git"]["ref"] for one in kernel.logs.records("checkpoint") if one["git"]]
    ran(kernel, "%checkpoint after death")
    assert kernel.logs.records("checkpoint")[-1]["git"]["ref"] not in numbers


@promise("isolated.checkpoints")
def test_an_interrupt_gives_a_checkpoint_up_and_leaves_worker_and_list_as_they_were(
    kernel: Kernel,
) -> None:
    before = names(kernel)
    pid = ran(kernel, SLOW, "os.getpid()")
    ended = kernel.interrupted("%checkpoint never")
    assert ended.error is not None
    assert ended.error["ename"] == "KeyboardInterrupt"
    assert names(kernel) == before
    assert ran(kernel, "del slow, Slow\nos.getpid()") == pid
    ran(kernel, "%checkpoint now it is")
    assert names(kernel)[-1] == ("now it is", "asked")


@promise("isolated.checkpoints")
def test_a_way_back_is_in_the_log_though_its_cell_was_interrupted_while_it_was_noted(
    kernel: Kernel,
) -> None:
    ran(kernel, "level = 1", "%checkpoint noted", "level = 2")
    made = kernel.cwd / "made.txt"
    before = made.read_text(encoding="utf-8")
    made.write_text("not this", encoding="utf-8")
    with closing(sqlite3.connect(kernel.home / "flow.db", isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        sent = kernel.send("%rollback noted")
        kernel.wait(lambda: text_in(made) == before)
        kernel.wait(Settled(kernel.pid))
        kernel.interrupt()
    ended = kernel.collect(sent)
    assert ended.error is not None
    assert ended.error["ename"] == "KeyboardInterrupt"
    assert ran(kernel, "level") == "1"
    record = kernel.logs.records("rollback")[-1]
    assert record["restored"] == ["level"]
    assert kernel.logs.records("checkpoint")[-1]["checkpoint_id"] == record["safety_id"]


@promise("isolated.checkpoints")
def test_a_way_back_that_could_not_be_noted_says_so_and_what_it_did(kernel: Kernel) -> None:
    ran(kernel, "level = 1", "%checkpoint unnoted", "level = 2")
    with closing(sqlite3.connect(kernel.home / "flow.db", isolation_level=None)) as store:
        store.execute("ALTER TABLE outbox RENAME TO elsewhere")
        back = kernel.run("%rollback unnoted --state")
        store.execute("ALTER TABLE elsewhere RENAME TO outbox")
    assert (back.status, "restored: ~level" in str(back.result)) == ("ok", True)
    assert back.stderr.startswith("flow: the log could not note it: ")
    assert "nothing was changed" not in back.stderr
    assert ran(kernel, "level") == "1"


@promise("isolated.checkpoints")
def test_workers_of_one_session_and_the_session_itself_count_on(
    tmp_path: Path, zygote: Zygote
) -> None:
    with kernel_in_git(tmp_path, zygote, USE_SUBPROCESS_WORKER="1") as kernel:
        ran(kernel, "%task start Twice", "%task finish")  # before there is a worker
        ran(kernel, "a = 1", "%checkpoint", "%%isolated --worker other\nb = 2\n%checkpoint")
        (kernel.cwd / "made.txt").write_text("later", encoding="utf-8")
        ran(kernel, "%checkpoint", "%%isolated --worker other\n%checkpoint", "%rollback asked-2")
        assert ran(kernel, "a") == "1"
        kernel.run("import os; os.kill(os.getpid(), 9)")
        ran(kernel, "%task start Twice", "%task finish")
        kernel.wait(lambda: len(kernel.logs.records("checkpoint")) == 6)  # that one is its own
        refs = [one["git"]["ref"] for one in kernel.logs.records("checkpoint")]
        assert sorted(ref.rpartition("/")[2] for ref in refs) == [
            "1-task-twice", "2-asked-2", "3-asked-3", "4-asked-4", "5-asked-5", "6-task-twice",
        ]  # fmt: skip


@promise("isolated.checkpoints")
def test_an_interrupt_gives_up_what_the_session_wants_and_the_next_cell_waits_for_nothing(
    tmp_path: Path, zygote: Zygote
) -> None:
    with kernel_in_git(tmp_path, zygote, USE_SUBPROCESS_WORKER="1") as kernel:
        for last in (f"{IMPORT}with s.step('A'):\n    pass", "%task finish"):
            ran(kernel, "%task start Given --steps A", SLOW)
            ended = kernel.interrupted(last)
            assert ended.error is not None
            assert ended.error["ename"] == "KeyboardInterrupt"
            ran(kernel, "del slow, Slow", "%checkpoint at once")
        assert names(kernel) == [("at once", "asked")] * 2


@promise("isolated.checkpoints")
def test_a_cell_in_the_background_keeps_nothing(kernel: Kernel) -> None:
    before = names(kernel)
    ran(kernel, f"%%isolated --bg\n{IMPORT}s.checkpoint('behind')")
    assert "error" in ran(kernel, "%workers wait")
    assert names(kernel) == before


@promise("isolated.checkpoints")
def test_a_new_kernel_restores_into_its_worker(kernel: Kernel, tmp_path: Path) -> None:
    ran(kernel, "gone = 'and back'", "%checkpoint elsewhere")
    env = {"JUPYTER_RUNTIME_DIR": str(tmp_path / "run"), "USE_SUBPROCESS_WORKER": "1"}
    done = flow(kernel, "checkpoints", "restore", "elsewhere", "--json", **env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "gone" in told["restored"]
    os.kill(told["pid"], signal.SIGKILL)
    still_alive(opened(told["pid"]), DEADLINE_S)
