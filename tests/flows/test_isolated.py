"""Isolated cells in real kernels: what they say, read, bring back, and what they die of."""

import itertools
import sys

import psutil
import pytest

from tests.isolating import DEAF, kinds, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@promise("isolated.variables")
def test_a_cell_reads_the_session_and_changes_nothing_of_it(kernel: Kernel) -> None:
    ok(kernel, "x = [1, 2]")
    assert ok(kernel, "%%isolated --worker reads\nx.append(3); y = len(x)\ny") == "3"
    assert ok(kernel, "x, 'y' in globals()") == "([1, 2], False)"


@promise("isolated.variables")
def test_a_parser_of_arguments_finds_the_program_first(kernel: Kernel) -> None:
    code = "import sys\nsys.argv[1], len(sys.argv) > 2"
    assert ok(kernel, f"%%isolated\n{code}") == ok(kernel, code) == "('-f', True)"


@promise("isolated.relay")
def test_a_worker_loads_no_debugger_before_it_is_asked_for(kernel: Kernel) -> None:
    code = "%%isolated --fresh\nimport sys\n"
    assert ok(kernel, f"{code}'debugpy' in sys.modules") == "False"
    ran = kernel.run(f"{code}breakpoint(); 'debugpy' in sys.modules")  # nobody debugs: it goes on
    assert (ran.result, ran.stdout, ran.stderr, ran.error) == ("True", "", "", None)


@promise("isolated.variables")
def test_a_worker_keeps_its_variables_and_a_fresh_one_has_none(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker keeps\nonly_there = 1")
    assert ok(kernel, "%%isolated --worker keeps\nonly_there + 1") == "2"
    assert ok(kernel, "%%isolated --fresh\n'only_there' in globals()") == "False"


@promise("isolated.variables")
def test_what_the_session_changes_is_sent_again_and_nothing_else(kernel: Kernel) -> None:
    ok(kernel, "items = [1]")
    assert ok(kernel, "%%isolated --worker again\nitems.append(2); items") == "[1, 2]"
    assert ok(kernel, "%%isolated --worker again\nitems") == "[1, 2]"
    ok(kernel, "items.append(7)")
    assert ok(kernel, "%%isolated --worker again\nitems") == "[1, 7]"


@promise("isolated.variables")
def test_named_variables_come_back_with_what_they_share(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --out first,second\nfirst = [1]; second = {'same': first}")
    assert ok(kernel, "second['same'] is first, first") == "(True, [1])"


@promise("isolated.variables")
def test_what_came_back_is_not_sent_again_before_the_session_changes_it(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker both --out items\nitems = [1]; here = id(items)")
    assert ok(kernel, "%%isolated --worker both\nid(items) == here, items") == "(True, [1])"
    ok(kernel, "items.append(2)")
    assert ok(kernel, "%%isolated --worker both\nid(items) == here, items") == "(False, [1, 2])"


@promise("isolated.variables")
def test_what_cannot_come_back_is_named_and_the_rest_comes(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --out good,bad,missing\ngood = 1; bad = (i for i in 'ab')")
    assert ran.status == "ok"
    assert "bad did not come back from the worker: generator" in ran.stderr
    assert "missing did not come back from the worker: the worker has no such" in ran.stderr
    assert ok(kernel, "good, 'bad' in globals()") == "(1, False)"


@promise("isolated.variables")
def test_what_cannot_be_sent_is_named_before_the_cell_runs(kernel: Kernel) -> None:
    ok(kernel, "import threading; lock = threading.Lock()")
    ran = kernel.run("%%isolated\nprint('ran'); 'lock' in globals()")
    assert kinds(ran) == ["stderr", "stdout", "execute_result"]
    assert "lock (_thread.lock) was not sent to the worker" in ran.stderr
    assert (ran.stdout, ran.result) == ("ran\n", "False")


@promise("isolated.variables")
def test_a_name_that_is_not_there_stops_the_cell_before_it_runs(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --in nothing_of_that_name\nprint('ran')")
    assert ran.reply["ename"] == "UsageError"
    assert "the session has no variable nothing_of_that_name; nothing was run" in ran.stderr
    assert ran.stdout == ""


@promise("isolated.relay")
def test_output_comes_in_order_under_the_cell_that_made_it(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\n"
        "from IPython.display import display, clear_output, HTML\n"
        "print('one'); display(HTML('<b>two</b>')); handle = display('a', display_id='x')\n"
        "handle.update('b'); clear_output(wait=True); print('three'); 'four'"
    )
    # A text may come in two pieces, as anywhere.
    kinds = [kind for kind, _ in itertools.groupby(m["msg_type"] for m in ran.messages)]
    assert kinds == [
        "stream", "display_data", "update_display_data", "clear_output", "stream", "execute_result",
    ]  # fmt: skip
    assert ran.result == "'four'"
    assert ran.of("execute_result")[0]["content"]["execution_count"] == ran.reply["execution_count"]


@promise("isolated.relay")
def test_native_code_and_subprocesses_are_heard(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nimport os, subprocess\nos.write(1, b'native\\n')\n"
        "subprocess.run(['sh', '-c', 'echo out; echo err >&2'])\nNone"
    )
    assert ran.stdout == "native\nout\n"
    assert ran.stderr == "err\n"


@promise("isolated.relay")
def test_input_is_asked_and_answered(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\ninput('name? ')", allow_stdin=True, answers=["Ada"])
    assert ran.result == "'Ada'"


@promise("isolated.relay")
def test_what_a_thread_says_after_its_cell_arrives(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated --worker threads\nimport threading\ngo = threading.Event()\n"
        "def later():\n    go.wait(10); print('late', flush=True)\n"
        "threading.Thread(target=later).start()"
    )
    assert ran.status == "ok"
    ok(kernel, "%%isolated --worker threads\ngo.set()")
    kernel.wait_for_text("late")


@promise("isolated.relay")
def test_a_hundred_thousand_lines_arrive_whole(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\nfor i in range(100_000): print(i)", timeout=50)
    assert ran.stdout == "".join(f"{i}\n" for i in range(100_000))


WAYS_TO_DIE = [
    ("import os; os._exit(3)", "exit", 3, None),
    ("import os; os.abort()", "killed", None, "SIGABRT"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", None, "SIGKILL"),
    ("import ctypes; ctypes.string_at(0)", "segfault", None, "SIGSEGV"),
    ("import signal; signal.raise_signal(signal.SIGALRM)", "killed", None, "SIGALRM"),
    ("import os, sys; sys.stdout.close(); os._exit(1)", "exit", 1, None),
]


@promise("isolated.survives")
@pytest.mark.parametrize(("code", "reason", "exit_code", "name"), WAYS_TO_DIE)
def test_a_death_is_told_and_costs_the_session_nothing(
    kernel: Kernel, code: str, reason: str, exit_code: int | None, name: str | None
) -> None:
    ok(kernel, "x = {'kept': 1}; before = id(x)")
    ran = kernel.run(
        f"%%isolated --worker {reason}{exit_code}{name}\nprint('so far', flush=True)\n{code}"
    )
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert ran.stdout == "so far\n"
    assert "as they were" in ran.error["evalue"]
    if name is not None:
        assert name in ran.error["evalue"]
    died = kernel.logs.records("worker", state="dead")[-1]
    assert died["reason"] == reason
    assert (died["detail"]["exit_code"], died["detail"]["signal"]) == (exit_code, name)
    assert ok(kernel, "x, id(x) == before") == "({'kept': 1}, True)"
    assert ok(kernel, "%%isolated --fresh\n1 + 1") == "2"


@promise("isolated.survives")
def test_a_worker_that_closes_its_descriptors_is_told_of(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --fresh\nimport os; os.closerange(3, 200); os._exit(0)")
    assert ran.error is not None
    died = kernel.logs.records("worker", state="dead")[-1]
    # ZeroMQ aborts, if its thread looks before the exit.
    assert (died["reason"], died["detail"]["signal"]) in (("exit", None), ("killed", "SIGABRT"))
    assert ok(kernel, "1 + 1") == "2"


@promise("isolated.survives")
@pytest.mark.parametrize("end", ["os._exit(0)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_no_word_is_lost_however_suddenly_it_ends(kernel: Kernel, end: str) -> None:
    ran = kernel.run(
        "%%isolated --fresh\nimport os, sys\n"
        f"for i in range(2000): print(i)\nprint('é', file=sys.stderr)\n{end}"
    )
    assert ran.stdout == "".join(f"{i}\n" for i in range(2000))
    assert ran.stderr == "é\n"


@promise("isolated.survives")
def test_the_line_that_crashed_is_named(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --fresh\nimport ctypes\n\nctypes.string_at(0)")
    assert ran.error is not None
    assert "line 3 of the cell: ctypes.string_at(0)" in ran.error["evalue"]


OVERFLOW = (
    "import sys; sys.setrecursionlimit(10**7)\n"
    "def deeper(_=0): return sorted([0], key=deeper)\ndeeper()"
)


@promise("isolated.survives")
def test_a_stack_that_overflows_is_a_fault(kernel: Kernel) -> None:
    ran = kernel.run(f"%%isolated --fresh\n{OVERFLOW}")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "segmentation fault (SIGSEGV)" in ran.error["evalue"]


@promise("isolated.survives")
@pytest.mark.parametrize("code", ["sys.setrecursionlimit(60)", "sys.stdout = None", "In = _oh = 5"])
def test_a_session_outlives_what_breaks_its_worker(kernel: Kernel, code: str) -> None:
    ok(kernel, "safe = [1]")
    kernel.run(f"%%isolated --worker broken\nimport sys\n{code}")
    kernel.run("%%isolated --worker broken\n1 + 1")
    assert ok(kernel, "safe") == "[1]"
    assert ok(kernel, "%%isolated --fresh\nsafe + [2]") == "[1, 2]"


@promise("isolated.limits")
def test_code_that_holds_the_interpreter_is_killed_at_its_limit(kernel: Kernel) -> None:
    # Of CPU: by the clock, one that gets none for a while is interrupted before it holds it.
    ran = kernel.run("%%isolated --fresh --cpu 0.2\nsum(range(10**11))")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "used more than 0.2 s of CPU time" in ran.error["evalue"]


@promise("isolated.interrupt")
def test_a_worker_that_stands_still_is_ended_by_who_insists(kernel: Kernel) -> None:
    pid = ok(kernel, "%%isolated --worker still\nimport os, signal; os.getpid()")
    worker = psutil.Process(int(pid))
    msg_id = kernel.send("%%isolated --worker still\nos.kill(os.getpid(), signal.SIGSTOP)")
    kernel.wait(lambda: worker.status() == psutil.STATUS_STOPPED)
    for _ in range(4):
        kernel.interrupt()
        kernel.pump(0.3)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"


@promise("isolated.survives")
def test_three_deaths_in_a_minute_are_enough(own: Kernel) -> None:
    for _ in range(3):
        assert own.run("%%isolated\nimport os; os._exit(1)").error is not None
    stopped = own.run("%%isolated\n1")
    assert stopped.error is not None
    assert stopped.error["ename"] == "IsolationUnavailable"
    assert ok(own, "%%isolated\n1") == "1"


@promise("isolated.limits")
@pytest.mark.parametrize(
    ("line", "code", "ename", "words"),
    [
        ("--timeout 0.3", "while True: pass", "CellTimeout", "0.3 s"),
        ("--cpu 0.3", "while True: pass", "CellTimeout", "0.3 s of CPU"),
        ("--memory 200M", "z = bytearray(10**9)", "MemoryError", ""),
        ("--memory 200M", "z = []\nwhile True: z.append(bytearray(10**6))", "Memory", ""),
    ],
)
def test_a_cell_is_held_to_its_limits(
    kernel: Kernel, line: str, code: str, ename: str, words: str
) -> None:
    ran = kernel.run(f"%%isolated --fresh {line}\n{code}")
    assert ran.error is not None
    assert ran.error["ename"].startswith(ename)
    assert words in ran.error["evalue"]
    assert len(ran.of("error")) == 1
    if ename == "MemoryError":  # whose text is Python's, and names no limit
        assert "may have 200 MB of memory (--memory)" in ran.stderr


@promise("isolated.limits")
def test_who_ignores_the_interrupt_of_a_limit_is_killed(kernel: Kernel) -> None:
    # Of CPU: by the clock, one that gets none for a while is interrupted before it is deaf.
    ran = kernel.run(f"%%isolated --fresh --cpu 0.2\n{DEAF}while True: pass")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "used more than 0.2 s of CPU time" in ran.error["evalue"]
    assert "line 3 of the cell: while True: pass" in ran.error["evalue"]


@promise("isolated.interrupt")
def test_an_interrupt_stops_the_cell_and_its_worker_goes_on(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker stops\nkept = 5")
    ran = kernel.interrupted(
        "%%isolated --worker stops\nopen('begun', 'w').close()\nwhile True: pass"
    )
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert ok(kernel, "%%isolated --worker stops\nkept") == "5"
    assert ok(kernel, "1 + 1") == "2"


@promise("isolated.interrupt")
def test_a_person_who_insists_gets_a_worker_killed_that_ignores_them(kernel: Kernel) -> None:
    mark = kernel.cwd / "begun"
    mark.unlink(missing_ok=True)
    msg_id = kernel.send(f"%%isolated --fresh\n{DEAF}open('begun', 'w').close()\nwhile True: pass")
    kernel.wait(mark.exists)
    for _ in range(4):
        kernel.interrupt()
        kernel.pump(0.3)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert ok(kernel, "1 + 1") == "2"


@promise("isolated.recorded")
def test_the_record_tells_what_changed_in_the_worker(kernel: Kernel) -> None:
    ok(kernel, "base = 1")
    ran = kernel.run("%%isolated --worker tells\nimport colorsys\nnew = base + 1\nprint('said')")
    record = kernel.logs.one("cell", msg_id=ran.msg_id)
    assert record["added_vars"] == ["colorsys", "new"]
    assert "colorsys" in record["added_imports"]
    assert "base" in record["loads"]
    assert record["stdout"] == "said\n"
    assert record["worker"].startswith("w")
    assert ran.flow["execution"] == "worker"
    assert ran.flow["added_vars"] == ["colorsys", "new"]


@promise("isolated.survives")
def test_a_worker_that_is_busy_takes_no_second_cell(kernel: Kernel) -> None:
    code = (
        "import threading, time\nfound = []\n"
        "def other():\n"
        "    while not Path('begun').exists(): time.sleep(0.01)\n"
        "    try: get_ipython().run_cell_magic('isolated', '', '1')\n"
        "    except Exception as error: found.append(str(error))\n"
        "    Path('go').touch()\n"
        "from pathlib import Path\n"
        "thread = threading.Thread(target=other); thread.start()\n"
        "get_ipython().run_cell_magic('isolated', '--in none', 'from pathlib import Path\\n"
        'import time\\nPath("begun").touch()\\nwhile not Path("go").exists(): time.sleep(0.01)\')\n'
        "thread.join(); found"
    )
    for name in ("begun", "go"):
        (kernel.cwd / name).unlink(missing_ok=True)
    assert "is busy: it runs one cell at a time" in ok(kernel, code)
