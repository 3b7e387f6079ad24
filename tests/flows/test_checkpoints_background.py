"""A checkpoint is what it was at its moment, however long the way to the disk takes."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.checkpoint_kernels import flow, kernel_in_git, ran
from tests.forked import ForkedKernel, Zygote
from tests.kernels import Kernel
from tests.promises import promise

SLOW = (
    "import os, fractions\n"
    "class Slow(fractions.Fraction):\n"
    "    def __reduce__(self):\n"
    "        while not os.path.exists('go'): pass\n"
    "        return Slow, (1,)\n"
    "slow = Slow(1); n = [1]"
)


@pytest.fixture
def kernel(request: pytest.FixtureRequest, tmp_path: Path, lean: Zygote) -> Iterator[Kernel]:
    """Forked, but for the tests of its processes, which ask for one that was `started`."""
    is_started = getattr(request, "param", "") == "started"
    with kernel_in_git(tmp_path / "data", None if is_started else lean) as kernel:
        yield kernel


@pytest.fixture
def slow(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel with a variable that is saved only once a file `go` is there."""
    ran(kernel, "open('.gitignore', 'w').write('go\\n');", SLOW)
    yield kernel
    go(kernel)


def go(kernel: Kernel) -> None:
    (kernel.cwd / "go").touch()


def forked(kernel: Kernel) -> set[int]:
    """The kernel and whatever it has forked, children or not."""
    found = set()
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if str(kernel.root / "c.json") in one.cmdline():
                found.add(one.pid)
    return found


def names(kernel: Kernel) -> list[str]:
    return [
        one["name"] for one in json.loads(flow(kernel, "checkpoints", "--json").stdout)["items"]
    ]


@promise("checkpoint.background")
def test_it_holds_what_was_there_when_it_was_asked_for(slow: Kernel) -> None:
    ran(slow, "%checkpoint first --no-wait")
    ran(slow, "n.append(2); late = 1; open('made.txt', 'w').write('later');")
    assert names(slow) == []
    go(slow)
    ran(slow, "from flow_kernel import current_session; current_session().checkpoints.settle()")

    assert names(slow) == ["first"]
    ran(slow, "%rollback first")
    assert ran(slow, "print(n, 'late' in dir(), open('made.txt').read())") == "[1] False at first\n"


@promise("checkpoint.background")
def test_the_card_of_a_slow_one_is_drawn_again_when_it_is_on_the_disk(slow: Kernel) -> None:
    done = slow.run("%checkpoint first --no-wait")
    shown = [m for m in done.messages if m["msg_type"] == "display_data"]
    assert "is being written" in shown[0]["content"]["data"]["text/plain"]
    go(slow)
    slow.wait(lambda: any(m["msg_type"] == "update_display_data" for m in slow.iopub))
    update = next(m for m in slow.iopub if m["msg_type"] == "update_display_data")

    assert "checkpoint first" in update["content"]["data"]["text/plain"]
    assert update["content"]["transient"] == shown[0]["content"]["transient"]


@promise("checkpoint.background")
def test_an_interrupt_of_the_next_cell_leaves_it_alone(slow: Kernel) -> None:
    ran(slow, "%checkpoint first --no-wait")
    request = slow.send("print('at it', flush=True)\nwhile True: pass")
    slow.wait_for_text("at it")
    slow.interrupt()
    assert slow.collect(request).reply["ename"] == "KeyboardInterrupt"
    go(slow)

    ran(slow, "from flow_kernel import current_session; current_session().checkpoints.settle()")
    assert names(slow) == ["first"]


@promise("checkpoint.background")
def test_no_cell_finds_a_child_that_it_did_not_start(slow: Kernel) -> None:
    ran(slow, "%checkpoint first --no-wait")

    done = slow.run("import os\nos.wait()")
    assert done.reply["ename"] == "ChildProcessError"


@promise("checkpoint.background")
@pytest.mark.parametrize("kernel", ["started"], indirect=True)
def test_a_process_that_a_cell_forks_meanwhile_keeps_nothing_of_a_checkpoint(slow: Kernel) -> None:
    ran(slow, "%checkpoint first --no-wait")
    ran(slow, "import multiprocessing; pool = multiprocessing.get_context('fork').Pool(1)")
    pid = int(ran(slow, "print(pool.apply(os.getpid))"))
    with (slow.home / "objects/segments/lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ran(slow, "import flow_kernel; flow_kernel.current_session().checkpoints.pending.give_up()")
        slow.wait(lambda: forked(slow) == {slow.pid, pid})

        def is_free() -> bool:
            """A process that ends has no command line any more, and its files for a moment yet."""
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        slow.wait(is_free)
    ran(slow, "pool.terminate(); pool.join()")


@promise("checkpoint.background")
@pytest.mark.parametrize("kernel", ["started"], indirect=True)
def test_a_kernel_that_is_killed_leaves_no_process_and_no_half_checkpoint(slow: Kernel) -> None:
    ran(slow, "%checkpoint whole --no-wait")
    go(slow)
    ran(slow, "from flow_kernel import current_session; current_session().checkpoints.settle()")
    (slow.cwd / "go").unlink()
    ran(slow, "%checkpoint half --no-wait")
    slow.kill()  # what it leaves behind fails the fixture

    assert names(slow) == ["whole"]
    assert flow(slow, "checkpoints", "verify").returncode == 0


@promise("checkpoint.background")
def test_a_kernel_that_is_shut_down_finishes_what_is_nearly_there(kernel: Kernel) -> None:
    ran(kernel, "import numpy as np; big = np.random.rand(4_000_000)", "%checkpoint big --no-wait")
    kernel.shutdown()
    kernel.restart()

    assert names(kernel) == ["big"]
    assert ran(kernel, "%rollback big --state", "print(big.shape)") == "(4000000,)\n"


@promise("checkpoint.background")
def test_one_that_fails_says_so_and_leaves_nothing(slow: Kernel) -> None:
    manifests = slow.home / "objects/checkpoints"
    ran(slow, "from flow_kernel import current_session", "%checkpoint first --no-wait")
    # Once it goes on it may have failed, and be pending no more, before the next cell begins.
    ran(slow, "first = current_session().checkpoints.pending")
    manifests.write_text("in the way")
    go(slow)

    done = slow.run("first.wait()")
    assert "cannot be written" in done.reply["evalue"]
    manifests.unlink()
    assert ran(slow, "del first", "!git for-each-ref refs/mcp") == ""
    assert ran(slow, "%checkpoint again --wait", "n = 0", "%rollback again", "print(n)") == "[1]\n"


@promise("checkpoint.named")
def test_a_handle_in_a_variable_is_kept_as_the_checkpoint_that_it_stands_for(
    kernel: Kernel,
) -> None:
    ran(kernel, "from flow_kernel import current_session", "k = current_session().checkpoint('a')")
    assert "not kept" not in ran(kernel, "n = 1", "%checkpoint b --wait")
    ran(kernel, "del k", "%rollback b --state")
    assert ran(kernel, "print(k.name, k.wait().name, k)").startswith("a a <checkpoint a [")


@promise("checkpoint.automatic")
def test_steps_and_tasks_end_with_a_checkpoint(kernel: Kernel) -> None:
    ran(
        kernel,
        "%task start work",
        "%task step load",
        "rows = [1]",
        "%task step train",
        "rows.append(2)",
        "%task finish",
        "rows.append(3)",
    )
    settle = "from flow_kernel import current_session; current_session().checkpoints.settle()"
    ran(kernel, settle)
    assert names(kernel) == ["step load", "task work"]
    ran(kernel, "%rollback step load")
    assert ran(kernel, "print(rows)") == "[1]\n"


@promise("checkpoint.automatic")
def test_what_was_approved_runs_after_a_checkpoint_and_its_step_gets_a_tag(
    kernel: Kernel,
) -> None:
    ran(kernel, "%task start work", "%task step deploy", "n = 1")
    kernel.run("%%approve Deploy it? --park\nn = 2")
    assert flow(kernel, "approve", "A-0001").returncode == 0
    ran(kernel, "%%approve Deploy it? --park\nn = 2", "%task finish")
    ran(kernel, "from flow_kernel import current_session; current_session().checkpoints.settle()")

    assert names(kernel) == ["before A-0001", "task work"]
    assert "/task-work" in ran(kernel, "!git tag -l 'mcp/*'")
    ran(kernel, "%rollback before A-0001")
    assert ran(kernel, "print(n)") == "1\n"


@promise("checkpoint.automatic")
def test_checkpoints_at_steps_can_be_switched_off(tmp_path: Path, lean: Zygote) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_flow_config.py").write_text("c.FlowKernel.checkpoint_steps = False\n")
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_CONFIG_DIR": str(config)}
    with ForkedKernel(lean, env=env) as other:
        other.ready()
        ran(other, "%task start work", "%task step load", "rows = [1]", "%task finish")
        assert names(other) == []


@promise("checkpoint.automatic")
def test_every_so_many_cells_a_checkpoint_is_taken_where_something_changed(
    tmp_path: Path, lean: Zygote
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_flow_config.py").write_text("c.FlowKernel.checkpoint_every_cells = 2\n")
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_CONFIG_DIR": str(config)}
    settle = "__import__('flow_kernel').current_session().checkpoints.settle()"
    with ForkedKernel(lean, env=env) as other:
        other.ready()
        for cell in ("a = [1]", "a.append(2)", "a.append(3)", "a.append(4)"):
            ran(other, cell)
            other.run(settle, store_history=False)
        listed = json.loads(flow(other, "checkpoints", "--json").stdout)["items"]
        assert {one["reason"] for one in listed} == {"cells"}
        ran(other, "a.clear()", f"%rollback {listed[0]['checkpoint_id']} --state")
        assert ran(other, "print(a)") == "[1, 2]\n"


@promise("checkpoint.automatic")
def test_what_nobody_asked_for_makes_room_when_the_budget_is_exceeded(
    tmp_path: Path, lean: Zygote
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_flow_config.py").write_text(
        "c.FlowKernel.checkpoint_every_cells = 1\n"
        "c.FlowKernel.checkpoint_budget_bytes = 4_000_000\n"
    )
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_CONFIG_DIR": str(config)}
    settle = "__import__('flow_kernel').current_session().checkpoints.settle()"
    with ForkedKernel(lean, env=env) as other:
        other.ready()
        ran(other, "import numpy as np", "a = np.random.rand(100_000)", "%checkpoint kept --wait")
        for _ in range(12):
            ran(other, "a = np.random.rand(100_000)")
            other.run(settle, store_history=False)

        listed = json.loads(flow(other, "checkpoints", "--json").stdout)["items"]
        assert [one["name"] for one in listed].count("kept") == 1
        assert 2 < len(listed) < 8
        total = sum(path.stat().st_size for path in (other.home / "objects/segments").glob("*.seg"))
        assert total < 6_000_000
        assert flow(other, "checkpoints", "verify").returncode == 0


def taken_by_itself(kernel: Kernel, count: int) -> None:
    """Wait for so many checkpoints; asking the kernel would be a cell that reaches everything."""
    where = kernel.home / "objects/checkpoints"
    kernel.wait(lambda: len(list(where.glob("*.json"))) >= count)


@promise("checkpoint.survives")
def test_what_another_process_threw_away_is_saved_again_by_the_next_checkpoint(
    tmp_path: Path,
    lean: Zygote,
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_flow_config.py").write_text("c.FlowKernel.checkpoint_every_cells = 1\n")
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_CONFIG_DIR": str(config)}
    with (
        ForkedKernel(lean, env=env) as one,
        ForkedKernel(lean, env=env, home=one.home) as other,
    ):
        one.ready()
        other.ready()
        ran(one, "kept = list(range(1000)); n = 0", "%checkpoint first", "n = 1")
        ran(other, "%checkpoint second")
        assert flow(other, "checkpoints", "prune", "--keep", "1", "--yes").returncode == 0
        ran(one, "n = 2")
        taken_by_itself(one, 2)
        listed = json.loads(flow(one, "checkpoints", "--json").stdout)["items"]
        assert [item["reason"] for item in listed] == ["asked", "cells"]
        verified = flow(one, "checkpoints", "verify", "--json")
        assert (verified.returncode, json.loads(verified.stdout)["damaged"]) == (0, [])


@promise("checkpoint.automatic")
def test_each_reason_for_which_none_is_taken_is_said_once_until_one_is_taken(
    tmp_path: Path,
    lean: Zygote,
) -> None:
    settle = "from flow_kernel import current_session; current_session().checkpoints.settle()"
    said: list[str] = []
    every = "--FlowKernel.checkpoint_every_cells=1"
    env = {"JUPYTER_DATA_DIR": str(tmp_path)}
    with ForkedKernel(lean, arguments=(every,), env=env) as kernel:

        def cells() -> int:
            """Run some; returns how many failures one has heard by then."""
            for _ in range(2):
                said.append(kernel.run("n = globals().get('n', 0) + 1").stderr)
                kernel.run(settle, store_history=False)
            said.append(kernel.run("pass").stderr)
            return "".join(said).count("an automatic checkpoint was not taken")

        manifests, segments = kernel.home / "objects/checkpoints", kernel.home / "objects/segments"
        assert cells() == 0
        shutil.rmtree(manifests)
        manifests.write_text("in the way")
        assert cells() == 1
        shutil.rmtree(segments)
        segments.write_text("in the way")
        both = cells()
        assert both > 1
        segments.unlink()
        assert cells() == both
        manifests.unlink()
        assert cells() == both
        shutil.rmtree(manifests)
        manifests.write_text("in the way")
        assert cells() == both + 1


@promise("checkpoint.automatic")
def test_of_many_steps_in_one_cell_the_first_and_the_last_leave_one(kernel: Kernel) -> None:
    ran(kernel, "%task start work", "from flow_kernel import current_session")
    ran(
        kernel,
        "done = []\nfor n in range(30):\n    with current_session().step(f's{n}'): done.append(n)",
    )
    ran(kernel, "current_session().checkpoints.settle()")

    assert names(kernel) == ["step s0", "step s29"]
    ran(kernel, "%rollback step s0 --state")
    assert ran(kernel, "print(done)") == "[0]\n"


@promise("checkpoint.background")
def test_a_small_change_of_known_values_forks_nothing_and_can_be_undone(
    tmp_path: Path, lean: Zygote
) -> None:
    every = "--FlowKernel.checkpoint_every_cells=1"
    env = {"JUPYTER_DATA_DIR": str(tmp_path)}
    with ForkedKernel(lean, arguments=(every,), env=env) as kernel:
        ran(
            kernel,
            "import os; os.register_at_fork(before=lambda: open('forks', 'a').write('.'))",
            "import numpy as np; rows = [1]; X = np.arange(1000.)\ndef f(): pass",
            "%checkpoint --wait before",
        )
        log = kernel.cwd / "forks"
        taken, forks = len(names(kernel)), len(log.read_text())
        ran(kernel, "rows.append(2); X[0] = 7")
        taken_by_itself(kernel, taken + 1)
        assert len(log.read_text()) == forks
        # None is taken while the one before is not quite over: the next cell takes it.
        where = kernel.home / "objects/checkpoints"
        kernel.wait(
            lambda: (
                ran(kernel, "f.note = rows") == "" and len(list(where.glob("*.json"))) >= taken + 2
            )
        )
        assert len(log.read_text()) > forks
        ran(kernel, "%rollback before --state")
        assert ran(kernel, "print(rows, X[0])") == "[1] 0.0\n"
