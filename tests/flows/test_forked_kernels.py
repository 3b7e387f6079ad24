"""Kernels that are forked because their kernelspec asks for it are those that would be started."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from flow_kernel.apps import kernelspec
from tests.environments import environment
from tests.kernels import DEADLINE_S
from tests.promises import promise

_IS_FORK: Final = (
    "import pathlib; 'kernel_zygote' in pathlib.Path('/proc/self/cmdline').read_text()"
)
_FACTS: Final = (
    "import sys, os; sys.argv[0], [a[:2] for a in sys.argv[1:]], sys.flags, len(sys.meta_path)",
    "sys.path, sys.orig_argv[0], sys.executable, sys._xoptions",
    "os.getcwd(), os.getsid(0) == os.getpid(), os.umask(0o22), sorted(os.environ)",
    "import signal; [signal.getsignal(n) for n in (2, 13, 15, 17)], signal.pthread_sigmask(0, [])",
    "import resource; [resource.getrlimit(n) for n in range(10)], os.sched_getaffinity(0)",
    "import gc; gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit()",
    "import threading; sorted(t.name for t in threading.enumerate())",
    "sys.stdin.read() if sys.stdin is None else sys.__stdout__.line_buffering, __name__",
    "import __main__; __main__ is sys.modules['__main__'], '_' in dir(__main__)",
    "get_ipython().kernel.implementation, get_ipython().config.IPKernelApp.keys()",
    "breakpoint()\n1",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    kernelspec.install("forked", prefix=str(tmp_path), is_forked=True)
    return tmp_path


def _served(place: Path, count: int, *cells: str, env: Mapping[str, str] | None = None) -> Any:
    with _server(place, count, *cells, env=env) as server:
        said, errors = server.communicate(timeout=100)
    assert server.returncode == 0, errors
    return json.loads(said)


def _server(
    place: Path, count: int, *cells: str, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.forking_server", str(count), *cells],
        env=environment(
            {
                "JUPYTER_PATH": str(place / "share" / "jupyter"),
                "FLOW_HOME": str(place / "home"),
                "IPYTHONDIR": str(place / "ipython"),
                "JUPYTER_RUNTIME_DIR": str(place / "run"),
                **(env or {}),
            }
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@promise("start.forked")
def test_a_forked_kernel_finds_what_a_new_interpreter_finds(place: Path) -> None:
    # What is read early is another one for the second kernel: it is left to a new interpreter.
    first, second = _served(place, 2, _IS_FORK, *_FACTS, env={"EARLY_1": "TZ=UTC", "TZ": ":UTC"})

    assert (first.pop(0), second.pop(0)) == ("True", "False")
    assert first == second


@promise("start.forked")
def test_forked_kernels_share_no_randomness_and_no_variables(place: Path) -> None:
    cells = (_IS_FORK, "'mine' in globals()", "mine = 1", "import random; random.random()")
    first, second = _served(place, 2, *cells, "import uuid; uuid.uuid4().hex")

    assert first[:3] == second[:3] == ["True", "False", None]
    assert set(first[3:]).isdisjoint(second[3:])


@promise("start.forked")
def test_a_forked_kernel_can_be_interrupted_restarted_and_killed(place: Path) -> None:
    sleep = "import time; print('sleeping', flush=True); time.sleep(60)"
    [results] = _served(place, 1, _IS_FORK, "x = 5", sleep, "x", "RESTART", _IS_FORK, "x", "DIE")

    assert results == [
        "True", None, "KeyboardInterrupt: ", "5", None, "True",
        "NameError: name 'x' is not defined", str(-signal.SIGKILL),
    ]  # fmt: skip


@promise("start.forked")
def test_a_forked_kernel_ends_as_a_program_does_and_leaves_its_processes(place: Path) -> None:
    mark, pid = place / "mark", place / "pid"
    cell = (
        f"import atexit, pathlib, subprocess; atexit.register(pathlib.Path({str(mark)!r}).touch)\n"
        "left = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(left.pid))"
    )
    _served(place, 1, cell)
    left = int(pid.read_text())

    assert mark.exists()
    os.kill(left, signal.SIGKILL)  # it was there


@promise("start.forked")
def test_a_forked_kernel_ends_when_the_program_that_started_it_is_killed(place: Path) -> None:
    with _server(place, 1, _IS_FORK, "HOLD") as server:
        assert server.stdout is not None
        kernel = os.pidfd_open(int(server.stdout.readline()))
        server.kill()

        ended, _, _ = select.select([kernel], [], [], DEADLINE_S)

    os.close(kernel)
    assert ended


@promise("start.forked")
def test_a_kernel_of_before_an_upgrade_is_not_forked(place: Path) -> None:
    loaded = place / "sitecustomize.py"
    loaded.touch()
    cell = f"import os; os.utime({str(loaded)!r}, (1, 1))"

    said = _served(place, 3, _IS_FORK, cell, env={"PYTHONPATH": str(place)})

    # The first one changes the file, the second one is a new interpreter, the third a new fork.
    assert [is_fork for is_fork, _ in said] == ["True", "False", "True"]
