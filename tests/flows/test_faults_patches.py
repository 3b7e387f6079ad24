"""A cell that ruins the session or Python itself ruins no cell after the next one.

Stock ipykernel hangs, ends, or fails from then on. Sabotage that stock ipykernel survives is in
`test_transparency_sabotage.py`, and harms no more than there.
"""

from typing import Final

import pytest

from tests.kernels import Kernel
from tests.promises import promise

BOUND_S: Final = 10.0
_ALL: Final = "In, Out, _dh, _ih, _oh, exit, get_ipython, quit"
_CHECK: Final = "import asyncio; await asyncio.sleep(0.01); print('ok'); [1]"

LOST: Final[dict[str, tuple[str, str]]] = {
    "all_names": ("globals().clear()", _ALL),
    "the_namespace": ("get_ipython().user_ns.clear()", _ALL),
    "the_results": ("_oh = None", "_oh"),
    "what_is_its_own": ("In = 5; Out = _oh = None", "_oh"),
    "the_inputs": ("del _ih", "_ih"),
    "get_ipython": ("del get_ipython", "get_ipython"),
}
PATCHED: Final = [
    *("builtins.len", "builtins.isinstance", "builtins.__import__", "builtins.getattr"),
    *("time.time", "time.monotonic", "time.perf_counter", "time.sleep"),
    *("os.getpid", "signal.signal", "threading.Thread", "json.dumps", "asyncio.get_event_loop"),
]
HARMLESS: Final[dict[str, str]] = {
    "clocks_that_stand_still": (
        "import time; time.time = time.monotonic = time.perf_counter = lambda: 0.0"
    ),
    "modules_that_are_gone": "import sys; sys.modules.clear()",
    "a_trace_function_that_fails": (
        "import sys\ndef trace(*_): raise RuntimeError('trace')\nsys.settrace(trace)"
    ),
    "a_profiler_that_fails": (
        "import sys\ndef trace(*_): raise RuntimeError('trace')\nsys.setprofile(trace)"
    ),
    "warnings_as_errors": "import warnings; warnings.simplefilter('error')",
    "no_logging": "import logging; logging.disable(100)",
    "no_patience_with_sockets": "import socket; socket.setdefaulttimeout(0.001)",
    "no_garbage_collection": "import gc; gc.disable()",
    "five_hundred_threads": (
        "import threading; go = threading.Event()\n"
        "for _ in range(500): threading.Thread(target=go.wait, args=(60,), daemon=True).start()"
    ),
    "a_directory_that_is_gone": (
        "import os, tempfile; _d = tempfile.mkdtemp(); os.chdir(_d); os.rmdir(_d)"
    ),
    "a_child_that_falls_through": "import os; _pid = os.fork()",
}


@promise("faults.names")
@pytest.mark.parametrize("name", LOST)
def test_names_that_ipython_needs_are_back_in_the_next_cell(flow: Kernel, name: str) -> None:
    code, lost = LOST[name]
    flow.run(code)
    first, second = flow.run("2 + 2"), flow.run("_ + 1")

    assert (first.result, second.result) == ("4", "5")
    assert first.stderr == f"flow: {lost} of IPython had gone from the session; back again\n"
    assert second.stderr == ""
    assert flow.run("get_ipython().__class__.__name__").result == "'ZMQInteractiveShell'"


@promise("faults.names")
def test_a_result_is_shown_by_the_very_cell_that_lost_the_names(flow: Kernel) -> None:
    assert flow.run("globals().clear()\n2 + 2").result == "4"
    assert flow.run("_oh = 5\n2 + 2").result == "4"
    assert flow.run("1").result == "1"


@promise("faults.names")
def test_a_name_that_is_a_variable_of_the_users_stays(flow: Kernel) -> None:
    flow.run("In, Out = [1], {2}")
    shown = flow.run("In, Out")
    flow.run("del In, Out")

    assert (shown.result, shown.stderr) == ("([1], {2})", "")


@promise("faults.patches")
@pytest.mark.parametrize("name", PATCHED)
def test_a_function_that_fails_costs_a_cell_at_most(name: str) -> None:
    module, _, function = name.rpartition(".")
    with Kernel() as kernel:
        kernel.run(
            f"import {module} as m\ndef bad(*_, **__): raise RuntimeError('bad')\n"
            f"m.{function} = bad",
            timeout=BOUND_S,
        )
        for _ in range(2):
            kernel.run(_CHECK, timeout=BOUND_S, stop_on_error=False)
        last = kernel.run(_CHECK, timeout=BOUND_S)

        assert (last.stdout, last.result) == ("ok\n", "[1]")


@promise("faults.patches")
@pytest.mark.parametrize("answer", ["builtins.isinstance = lambda *_: False", "builtins.len = int"])
def test_a_builtin_that_lies_costs_a_cell_at_most(answer: str) -> None:
    with Kernel() as kernel:
        kernel.run(f"import builtins; {answer}", timeout=BOUND_S, stop_on_error=False)
        kernel.run(_CHECK, timeout=BOUND_S, stop_on_error=False)
        last = kernel.run(_CHECK, timeout=BOUND_S)

        assert (last.stdout, last.result) == ("ok\n", "[1]")


@promise("faults.patches")
def test_a_builtin_that_works_is_left_to_the_cells(flow: Kernel) -> None:
    flow.run(
        "import builtins; real, seen = builtins.len, []\n"
        "def watched(thing):\n    seen.append(1)\n    return real(thing)\n"
        "builtins.len = watched"
    )
    shown = flow.run("len('abc'), len is watched")
    back = flow.run("builtins.len = real; real(seen) > 0")

    assert (shown.result, shown.stderr, back.result) == ("(3, True)", "", "True")


@promise("faults.patches")
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_changed_for_the_whole_process_costs_no_cell(name: str) -> None:
    with Kernel() as kernel:
        kernel.run(HARMLESS[name], timeout=BOUND_S, stop_on_error=False)
        runs = [kernel.run(_CHECK, timeout=BOUND_S) for _ in range(2)]

        assert [(ran.stdout, ran.result) for ran in runs] == [("ok\n", "[1]")] * 2
