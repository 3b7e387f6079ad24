"""Each way to die has its reason, and one sentence that says what happened."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.death import (
    Death,
    Evidence,
    FaultLine,
    Killer,
    Reason,
    decide,
    last_line_of,
)
from flow_kernel.workers.limits import Limits

NO_LIMITS = Limits()
GB = 1_000_000_000
LIMITED = Limits(timeout_s=30, memory_bytes=2 * GB, cpu_s=60, processes=8, output_bytes=5_000_000)
NO_CORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
CELL = "/tmp/ipykernel_4711/1234567890.py"

WAYS = {
    "segfault": (
        "import ctypes; ctypes.string_at(0)",
        ("segfault", "SIGSEGV", None),
        "segmentation fault (SIGSEGV)",
    ),
    "bus_error": (
        "import mmap, os; f = os.memfd_create('x'); os.ftruncate(f, 4096);"
        " m = mmap.mmap(f, 4096); os.ftruncate(f, 0); m[0]",
        ("segfault", "SIGBUS", None),
        "bus error (SIGBUS)",
    ),
    "bad_arithmetic": (
        "import os, signal; os.kill(os.getpid(), signal.SIGFPE)",
        ("segfault", "SIGFPE", None),
        "floating-point exception (SIGFPE)",
    ),
    "abort": ("import os; os.abort()", ("killed", "SIGABRT", None), "abort (SIGABRT)"),
    "os_exit": ("import os; os._exit(3)", ("exit", None, 3), "it exited with code 3"),
    "kill": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        ("killed", "SIGKILL", None),
        "killed by SIGKILL",
    ),
    "terminate": (
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        ("killed", "SIGTERM", None),
        "killed by SIGTERM",
    ),
    "unnamed_signal": (
        "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)",
        ("killed", f"signal {signal.SIGRTMIN + 3}", None),
        f"killed by signal {signal.SIGRTMIN + 3}",
    ),
    "cpu_time": (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass",
        ("timeout", "SIGXCPU", None),
        "it used more than 60 s of CPU time",
    ),
    "memory": (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (2**27, 2**27))\n"
        "block = bytearray(2**30)",
        ("memory_limit", None, 1),
        "it needed more memory than the 2.0 GB that it may have and gave up",
    ),
}


def die(code: str, tmp_path: Path) -> Evidence:
    """What is known of a process that has run `code`, from its status as the system gave it."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{NO_CORE}\n{code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=20,
        check=False,
    )
    status = done.returncode
    return Evidence(
        exit_code=status if status >= 0 else None,
        signal=-status if status < 0 else None,
        limits=LIMITED,
        last_output=done.stderr,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_real_death_has_its_reason(way: str, tmp_path: Path) -> None:
    code, expected, what = WAYS[way]

    death = decide(die(code, tmp_path))

    assert (death.reason, death.signal_name, death.exit_code) == expected
    assert death.sentence == f"the worker died: {what}"
    assert death.hint


def test_the_sentence_tells_the_last_line_and_the_peak_against_the_limit() -> None:
    evidence = Evidence(
        signal=signal.SIGSEGV,
        limits=LIMITED,
        peak_rss_bytes=1_500_000_000,
        last_line="cell line 3: lib.crash(x)\n\x1b[31m",
    )

    assert decide(evidence) == Death(
        reason="segfault",
        signal=11,
        signal_name="SIGSEGV",
        exit_code=None,
        sentence="the worker died: segmentation fault (SIGSEGV);"
        " the last line running was cell line 3: lib.crash(x);"
        " peak memory 1.5 GB of the 2.0 GB it may have",
        hint="compiled code crashed: look at the call on that line, its arguments and the version"
        " of its library",
    )


def test_a_peak_without_a_limit_stands_alone() -> None:
    evidence = Evidence(exit_code=1, limits=NO_LIMITS, peak_rss_bytes=80_000_000)

    assert (
        decide(evidence).sentence == "the worker died: it exited with code 1; peak memory 80.0 MB"
    )


@pytest.mark.parametrize(
    ("killer", "reason", "what"),
    [
        ("memory", "memory_limit", "it needed more memory than the 2.0 GB that it may have"),
        ("timeout", "timeout", "it ran longer than 30 s"),
        ("cpu", "timeout", "it used more than 60 s of CPU time"),
        ("processes", "killed", "killed for more than 8 processes"),
        ("output", "killed", "killed for more than 5.0 MB of output"),
        ("user", "killed", "killed on request"),
        ("lost", "lost", "it gave no sign of life any more"),
    ],
)
@pytest.mark.parametrize("end", [{"signal": 9}, {"signal": 15}, {"exit_code": 1}, {}])
def test_our_own_kill_is_the_reason_whatever_the_status(
    killer: Killer, reason: str, what: str, end: dict[str, int]
) -> None:
    evidence = Evidence(
        limits=LIMITED,
        was_killed_by=killer,
        oom_kills_before={"cgroup": 0},
        oom_kills_after={"cgroup": 1},
        exit_code=end.get("exit_code"),
        signal=end.get("signal"),
    )

    death = decide(evidence)

    assert (death.reason, death.sentence) == (reason, f"the worker died: {what}")


def test_a_fault_was_there_before_our_kill() -> None:
    evidence = Evidence(signal=signal.SIGSEGV, limits=LIMITED, was_killed_by="timeout")

    assert decide(evidence).reason == "segfault"


def test_a_fault_near_the_memory_limit_is_said_to_be_near() -> None:
    near = Evidence(signal=signal.SIGSEGV, limits=LIMITED, peak_rss_bytes=2 * GB - 1)
    far = Evidence(signal=signal.SIGSEGV, limits=LIMITED, peak_rss_bytes=GB)

    assert ["memory limit" in decide(each).hint for each in (near, far)] == [True, False]


@pytest.mark.parametrize(
    ("number", "counter", "peak", "reason"),
    [
        (9, "cgroup", None, "oom_kernel"),
        (9, "machine", None, "killed"),
        (9, "machine", 3 * GB, "oom_kernel"),
        (9, "machine", GB, "killed"),
        (15, "cgroup", 3 * GB, "killed"),
        (11, "cgroup", 3 * GB, "segfault"),
        (None, "cgroup", None, "oom_kernel"),
        (None, "machine", GB, "lost"),
    ],
)
def test_a_kill_for_memory_is_the_kernels_when_its_counter_says_so(
    number: int | None, counter: str, peak: int | None, reason: str
) -> None:
    """The kernel cannot be made to run out of memory here: its counters are given."""
    evidence = Evidence(
        signal=number,
        limits=LIMITED,
        peak_rss_bytes=peak,
        machine_bytes=16 * GB,
        oom_kills_before={counter: 4},
        oom_kills_after={counter: 5},
    )

    assert decide(evidence).reason == reason


def test_a_counter_that_was_not_read_before_is_no_evidence() -> None:
    evidence = Evidence(signal=9, limits=NO_LIMITS, oom_kills_after={"cgroup": 7, "machine": 7})

    assert decide(evidence).reason == "killed"


@pytest.mark.parametrize(
    ("end", "said", "reason"),
    [
        ({"exit_code": 1}, "MemoryError", "memory_limit"),
        ({"exit_code": 1}, "numpy._core._exceptions._ArrayMemoryError: Unable", "memory_limit"),
        ({"exit_code": 1}, "pyarrow.lib.ArrowMemoryError: malloc of size 9", "memory_limit"),
        ({"exit_code": 1}, "\x1b[31mMemoryError\x1b[0m: \n\n", "memory_limit"),
        ({"exit_code": 1}, "MemoryError\nhandled, going on", "exit"),
        ({"exit_code": 1}, "torch.OutOfMemoryError: CUDA out of memory", "exit"),
        ({"exit_code": 0}, "MemoryError", "exit"),
        ({"signal": 6}, "what():  std::bad_alloc\n", "memory_limit"),
        ({"signal": 6}, "memory allocation of 4096 bytes failed\n", "memory_limit"),
        ({"signal": 6}, "double free or corruption (out)\n", "killed"),
        ({"signal": 9}, "MemoryError", "killed"),
    ],
)
def test_a_process_that_gives_up_for_memory_died_of_its_limit(
    end: dict[str, int], said: str, reason: str
) -> None:
    evidence = Evidence(
        exit_code=end.get("exit_code"),
        signal=end.get("signal"),
        limits=LIMITED,
        last_output=f"working\n{said}",
    )

    assert decide(evidence).reason == reason


def test_without_a_limit_nothing_dies_of_one() -> None:
    no_memory = Evidence(exit_code=1, limits=NO_LIMITS, last_output="MemoryError")
    no_time = Evidence(signal=signal.SIGXCPU, limits=NO_LIMITS)

    assert [decide(each).reason for each in (no_memory, no_time)] == ["exit", "killed"]


@pytest.mark.parametrize(
    ("fault", "reason", "name"),
    [
        ("Fatal Python error: Segmentation fault\n\nCurrent", "segfault", "SIGSEGV"),
        ("Fatal Python error: Bus error", "segfault", "SIGBUS"),
        ("Fatal Python error: Aborted", "killed", "SIGABRT"),
        ("Fatal Python error: none_dealloc: deallocating None", "killed", "SIGABRT"),
        ("", "lost", None),
        ("Timeout (0:00:05)!", "lost", None),
    ],
)
def test_where_nobody_learned_the_status_the_report_decides(
    fault: str, reason: str, name: str | None
) -> None:
    death = decide(Evidence(limits=NO_LIMITS, fault=fault))

    assert (death.reason, death.signal_name) == (reason, name)


def test_an_error_of_the_interpreter_is_quoted() -> None:
    fault = "Fatal Python error: none_dealloc: deallocating None\nPython runtime state: initialized"

    sentence = decide(Evidence(signal=6, limits=NO_LIMITS, fault=fault)).sentence

    assert sentence == (
        "the worker died: abort (SIGABRT), Fatal Python error: none_dealloc: deallocating None"
    )


counts = st.none() | st.integers()
seconds = st.none() | st.floats()
texts = st.text() | st.sampled_from(["MemoryError", "std::bad_alloc", "Fatal Python error: x"])
oom_kills = st.dictionaries(st.sampled_from(["cgroup", "machine", "else"]), st.integers())


@given(
    st.builds(
        Evidence,
        exit_code=counts,
        signal=counts,
        limits=st.builds(
            Limits,
            timeout_s=seconds,
            memory_bytes=counts,
            cpu_s=seconds,
            processes=counts,
            output_bytes=counts,
        ),
        peak_rss_bytes=counts,
        was_killed_by=st.none() | st.sampled_from(get_args(Killer)),
        oom_kills_before=oom_kills,
        oom_kills_after=oom_kills,
        last_line=texts,
        last_output=texts,
        fault=texts,
        machine_bytes=counts,
    )
)
def test_every_evidence_has_a_reason_and_one_line(evidence: Evidence) -> None:
    death = decide(evidence)

    assert death.reason in get_args(Reason)
    assert death.sentence.startswith("the worker died: ")
    assert len(death.sentence.splitlines()) == len(death.hint.splitlines()) == 1


@pytest.mark.parametrize("source", [CELL, "<ipython-input-3-abc>", "cell é of “me”.py"])
@pytest.mark.parametrize("end", ["ctypes.string_at(0)", "os.abort()"])
def test_the_innermost_line_of_the_cell_is_found_in_a_real_report(
    source: str, end: str, tmp_path: Path
) -> None:
    cell = (
        f"import ctypes, os, json\ndef f(x):\n    {end}\n\njson.loads('1', object_hook=f)\nf(1)\n"
    )
    code = (
        f"import faulthandler; faulthandler.enable()\nexec(compile({cell!r}, {source!r}, 'exec'))"
    )

    fault = die(code, tmp_path).last_output

    assert last_line_of(fault, source) == FaultLine(line=3, function="f", is_current=True)
    assert last_line_of(fault, "another.py") is None


def test_a_cell_that_waits_for_the_thread_that_failed_is_found(tmp_path: Path) -> None:
    code = f"""
import ctypes, faulthandler, threading
faulthandler.enable()
exec(compile("t = threading.Thread(target=ctypes.string_at, args=(0,))\\nt.start()\\nt.join()",
             {CELL!r}, "exec"))
"""

    found = last_line_of(die(code, tmp_path).last_output)

    assert found is not None
    assert (found.function, found.is_current) == ("<module>", False)
    assert found.line in (2, 3)


REPORT = f"""Timeout (0:00:05)!
Thread 0x1 (most recent call first):
  File "{CELL}", line 9 in old

Fatal Python error: Segmentation fault

Thread 0x2 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 320 in wait
  File "{CELL}", line 1 in run

Current thread 0x3 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "{CELL}", line 12 in inner
  File "{CELL}", line 345 in <module>
  File "/usr/lib/python3.11/site-packages/IPython/core/interactiveshell.py", line 3577 in run_code

Extension modules: numpy (total: 1)
"""


def test_the_thread_that_failed_comes_before_the_others() -> None:
    assert last_line_of(REPORT) == FaultLine(line=12, function="inner", is_current=True)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("12 in inn", FaultLine(line=12, function="inn", is_current=True)),
        ("12 i", FaultLine(line=1, function="run", is_current=False)),
        ("1", FaultLine(line=1, function="run", is_current=False)),
        ("", FaultLine(line=1, function="run", is_current=False)),
    ],
)
def test_a_report_that_is_cut_off_never_gives_half_a_number(end: str, expected: FaultLine) -> None:
    whole, _, _ = REPORT.partition("12 in inner")

    assert last_line_of(whole + end) == expected


def test_a_report_without_its_beginning_still_has_its_frames() -> None:
    start = REPORT.index("string_at")

    assert last_line_of(REPORT[start:]) == FaultLine(line=12, function="inner", is_current=False)


@given(st.text() | st.lists(st.sampled_from(REPORT.splitlines())).map("\n".join), st.text())
def test_any_text_can_be_asked_for_a_line(text: str, source: str) -> None:
    found = last_line_of(text, source)

    assert found is None or found.line >= 0
