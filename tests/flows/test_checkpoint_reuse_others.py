"""Memory of the session comes back only as it was, whoever else writes to it during a way back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoint_kernels import kernel_in_git, ran, refused
from tests.forked import Zygote
from tests.kernels import Kernel
from tests.promises import promise

ARRAY = (
    "import numpy as np\nX = np.arange(2_000_000.)\n"
    "def place(): return X.__array_interface__['data'][0]\n"
    "before = place()"
)
EXACT = "print(bool((X == np.arange(2_000_000.)).all()))"
MOVED = "print(place() != before)"
# A class whose values, once `meanwhile` is set, do something when they are loaded.
HOOK = """
meanwhile = None
class Hook:
    def __init__(self, n): self.n = n
    def __setstate__(self, state):
        vars(self).update(state)
        if meanwhile is not None: meanwhile()
"""
# What a thread waits for: until then it is alive, and does nothing.
GO = "import threading, sys, hook; sys.go = threading.Event(); wait = lambda: sys.go.wait(60)\n"
IN_A_CELL = "get_ipython().run_line_magic('rollback', 'first --state');"
BEGUN = {
    "Thread": "threading.Thread(target=wait).start()",
    "_thread": "import _thread; _thread.start_new_thread(wait, ())",
    "the shell": "threading.Thread(target=get_ipython().ex, args=('wait()',)).start()",
    "a cell": "threading.Thread(target=get_ipython().run_cell, args=('wait()',)).start()",
    "_thread and the shell": (
        "import _thread; _thread.start_new_thread(get_ipython().ex, ('wait()',))"
    ),
    "a job": (
        "from IPython.lib.backgroundjobs import BackgroundJobManager\n"
        "BackgroundJobManager().new(wait)"
    ),
}


@pytest.fixture
def kernel(tmp_path: Path, lean: Zygote) -> Iterator[Kernel]:
    with kernel_in_git(tmp_path / "data", lean) as kernel:
        (kernel.cwd / "hook.py").write_text(HOOK)
        yield kernel


@promise("checkpoint.exact")
def test_what_code_of_a_value_writes_while_it_is_loaded_does_not_come_back(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "import hook; e = hook.Hook(1)", "%checkpoint first --wait")
    ran(kernel, "def spoil(): X[-1] = -7", "hook.meanwhile = spoil")
    ran(kernel, "X[0] = -1; e.n = 2", "%rollback first --state")

    assert ran(kernel, EXACT) == "True\n"
    assert ran(kernel, "print(place() == before)") == "True\n"


@promise("checkpoint.exact")
def test_where_too_much_was_written_meanwhile_it_is_read_anew(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "import hook; e = hook.Hook(1)", "%checkpoint first --wait")
    ran(kernel, "def spoil(): X[::100] = -7", "hook.meanwhile = spoil")
    ran(kernel, "X[0] = -1; e.n = 2", "%rollback first --state")

    assert ran(kernel, EXACT, MOVED) == "True\n"
    assert ran(kernel, EXACT) == "True\n"


@promise("checkpoint.exact")
@pytest.mark.parametrize("back", ["%rollback first --state", IN_A_CELL])
def test_it_is_taken_over_where_nothing_else_runs(kernel: Kernel, back: str) -> None:
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = -1", GO, back)
    assert ran(kernel, EXACT, "print(place() == before)") == "True\n"


@promise("checkpoint.exact")
@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
@pytest.mark.parametrize("is_same_cell", [True, False])
def test_nothing_is_taken_over_while_a_thread_runs_whoever_began_it(
    kernel: Kernel, begun: str, is_same_cell: bool
) -> None:
    back = IN_A_CELL if is_same_cell else ""
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = -1")
    kernel.run(f"{GO}{begun}\n{back}")
    ran(kernel, "" if is_same_cell else "%rollback first --state")
    facts = ran(kernel, EXACT, MOVED)
    ran(kernel, "import sys; sys.go.set()")

    assert facts == "True\n"


@promise("checkpoint.exact", "checkpoint.elsewhere")
def test_nothing_is_taken_over_from_a_thread_that_a_new_kernel_has_begun(
    kernel: Kernel, tmp_path: Path
) -> None:
    ran(kernel, ARRAY, "%checkpoint first --wait")
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "FLOW_HOME": str(kernel.home)}
    with Kernel(env=env) as other:
        ran(other.ready(), ARRAY, "import sys; sys.place = before; X[0] = -1")
        ran(other, "import threading, sys; sys.go = threading.Event()")
        ran(other, "threading.Thread(target=sys.go.wait, args=(60,)).start()")
        ran(other, "%rollback first --state")
        facts = ran(other, "import sys; print(place() != sys.place)")
        ran(other, "sys.go.set()")

        assert facts == "True\n"
        assert ran(other, EXACT) == "True\n"


@promise("checkpoint.exact")
def test_nothing_is_taken_over_while_a_thread_runs_that_a_load_has_begun(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "import hook; e = hook.Hook(1)", "%checkpoint first --wait")
    ran(kernel, "import threading, sys; sys.go = threading.Event()")
    ran(kernel, "def begin(): threading.Thread(target=sys.go.wait, args=(60,)).start()")
    ran(kernel, "hook.meanwhile = begin", "X[0] = -1; e.n = 2", "%rollback first --state")
    facts = ran(kernel, EXACT, MOVED)
    ran(kernel, "import sys, hook; hook.meanwhile = None; sys.go.set()")

    assert facts == "True\n"


@promise("checkpoint.exact")
def test_nothing_is_taken_over_while_the_notebook_handles_a_signal(kernel: Kernel) -> None:
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = -1")
    ran(
        kernel,
        f"import signal; signal.signal(signal.SIGALRM, lambda *_: None)\n{IN_A_CELL}",
    )
    facts = ran(kernel, EXACT, MOVED)
    ran(kernel, "import signal; signal.signal(signal.SIGALRM, signal.SIG_DFL)")

    assert facts == "True\n"


@promise("checkpoint.exact")
def test_no_finalizer_is_run_by_chance_during_a_way_back(kernel: Kernel) -> None:
    ran(kernel, "import hook; e = hook.Hook(1)", "%checkpoint first --wait")
    ran(kernel, "def look():\n    import gc, sys; sys.was_on = gc.isenabled()")
    ran(kernel, "hook.meanwhile = look", "e.n = 2", "%rollback first --state")

    assert ran(kernel, "import gc, sys; print(sys.was_on, gc.isenabled())") == "False True\n"


@promise("checkpoint.exact", "rollback.undoable")
def test_nothing_of_the_session_is_written_before_the_files_are_back(kernel: Kernel) -> None:
    """Git is made to refuse by a patch that looks at the session in the same moment."""
    (kernel.cwd / "refusing.py").write_text(
        "from flow_kernel.errors import StoreError\n"
        "from flow_kernel.session.checkpoints.project_files import ProjectFiles\n"
        "import __main__\n"
        "seen = []\n"
        "def refuse(*_, **__):\n"
        "    seen.append(float(__main__.X[0]))\n"
        "    raise StoreError('git says no; nothing was changed')\n"
        "def patch(): ProjectFiles.restore = refuse\n"
    )
    ran(kernel, ARRAY, "%checkpoint first --wait", "X[0] = -1", "import refusing; refusing.patch()")

    assert "git says no" in refused(kernel, "%rollback first")
    assert ran(kernel, "print(refusing.seen, X[0], place() == before)") == "[-1.0] -1.0 True\n"


@promise("checkpoint.exact")
def test_arrays_whose_bytes_look_like_our_own_come_back(kernel: Kernel) -> None:
    ran(
        kernel,
        "import numpy as np\n"
        "A = np.zeros((4, 5, 6), [('flag', '?')]).transpose(1, 0, 2).copy(order='K')\n"
        "A['flag'][1, 2, 3] = True",
        "%checkpoint first --wait",
        "del A",
        "%rollback first --state",
    )
    assert ran(kernel, "print(A['flag'].sum(), A['flag'][1, 2, 3], A.strides)") == (
        "1 True (6, 30, 1)\n"
    )
