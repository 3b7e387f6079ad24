"""What each executor promises; see `workflow.executors.contract`."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.executors.contract import Outcome
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.states import StepState
from tests.workflow.attempts import (
    HAS_CHILDREN,
    LEAVES_A_DAEMON,
    WAITS_FOR_A_FILE,
    Attempts,
    LeapingLoop,
    begin_what_dask_keeps,
    lives,
    made,
)

ISOLATING = ("fork", "subprocess", "kernel", pytest.param("dask", marks=pytest.mark.apart))
ALL = (*ISOLATING, "inline")


@pytest.fixture(scope="session", autouse=True)
def dask_keeps_what_it_keeps(pytestconfig: pytest.Config) -> None:
    if pytestconfig.option.markexpr == "apart":
        begin_what_dask_keeps()


@pytest.fixture(scope="module")
def loop() -> LeapingLoop:
    return LeapingLoop()


@pytest.fixture(scope="module")
def runner(loop: LeapingLoop) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def executors(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Attempts]]:
    """Those that were asked for, each made once."""
    found: dict[str, Attempts] = _Made(runner, tmp_path_factory.mktemp("executors"))
    yield found
    for each in found.values():
        each.wait(each.executor.close())


class _Made(dict[str, Attempts]):
    def __init__(self, runner: asyncio.Runner, directory: Path) -> None:
        super().__init__()
        self._runner = runner
        self._directory = directory

    def __missing__(self, name: str) -> Attempts:
        self[name] = made(self._runner, name, self._directory / name)
        return self[name]


@pytest.fixture(params=ISOLATING)
def steps(request: pytest.FixtureRequest, executors: dict[str, Attempts]) -> Attempts:
    """Executors that isolate."""
    return executors[request.param]


@pytest.fixture(params=ALL)
def any_steps(request: pytest.FixtureRequest, executors: dict[str, Attempts]) -> Attempts:
    """All of ours."""
    return executors[request.param]


def _facts(outcome: Outcome) -> tuple[StepState, bytes]:
    return outcome.state, outcome.stdout


def _error(outcome: Outcome) -> tuple[StepState, Any, Any]:
    error = outcome.error or {}
    return outcome.state, error.get("type"), error.get("exit_code")


# -- a script is run unmodified ------------------------------------------------------------------


def test_a_script_sees_what_a_program_of_its_own_would_see(any_steps: Attempts) -> None:
    order = any_steps.order(
        "import json, os, sys\n"
        "with open(sys.argv[2]) as file:\n"
        "    variables = json.load(file)\n"
        "print(json.dumps([__name__, __file__, sys.argv[0], sys.argv[1], os.getcwd(), variables,\n"
        "                  sys.path[0], sys.modules['__main__'].__dict__ is globals()]))\n",
        variables=b'{"x": 1}',
    )

    outcome, _ = any_steps.run(order)

    script, directory = order.filename, order.directory
    assert outcome.state == StepState.OK
    assert json.loads(outcome.stdout)[:7] == [
        "__main__", script, script, "--variables-file", directory, {"x": 1}, directory,
    ]  # fmt: skip


def test_a_script_is_the_main_module(steps: Attempts) -> None:
    outcome, _ = steps.run(
        "import sys\nprint(sys.modules['__main__'].__dict__ is globals())\n"
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)"
    )

    assert _facts(outcome) == (StepState.OK, b"True\nTrue\n")


def test_a_script_finds_the_modules_beside_it(any_steps: Attempts) -> None:
    (any_steps.directory / "beside_it.py").write_text("VALUE = 7\n")

    outcome, _ = any_steps.run("import beside_it\nprint(beside_it.VALUE)")
    sys.modules.pop("beside_it", None)  # inline, it is ours

    assert _facts(outcome) == (StepState.OK, b"7\n")


def test_what_a_script_registers_for_its_exit_and_its_threads_are_waited_for(
    steps: Attempts,
) -> None:
    outcome, _ = steps.run(
        "import atexit, threading, time\natexit.register(print, 'exit')\nend = threading.Event()\n"
        "def last():\n    end.wait()\n    time.sleep(0.05)\n    print('thread')\n"
        "threading.Thread(target=last).start()\nprint('end', end=' ')\nend.set()"
    )

    assert _facts(outcome) == (StepState.OK, b"end thread\nexit\n")


def test_five_megabytes_of_variables_arrive(any_steps: Attempts) -> None:
    variables = json.dumps({"text": "x" * 5_000_000}).encode()

    outcome, _ = any_steps.run(
        any_steps.order(
            "import json, sys\nprint(len(json.load(open(sys.argv[2]))['text']))"
            if any_steps.executor.__class__.__name__ != "InlineExecutor"
            else "import json, sys\nwith open(sys.argv[2]) as f: print(len(json.load(f)['text']))",
            variables=variables,
        )
    )

    assert _facts(outcome) == (StepState.OK, b"5000000\n")


def test_its_stdin_has_ended(steps: Attempts) -> None:
    outcome, _ = steps.run("input()")

    assert _error(outcome) == (StepState.ERROR, "EOFError", 1)


def test_a_command_is_run_by_a_shell(steps: Attempts) -> None:
    order = steps.order(
        'echo "$1"; cat "$2"; echo log >&2; exit 4',
        step_type=StepType.COMMAND, variables=b'{"x": 1}',
    )  # fmt: skip

    outcome, said = steps.run(order)

    assert (outcome.state, outcome.stdout, said) == (
        StepState.ERROR, b'--variables-file\n{"x": 1}', "log\n",
    )  # fmt: skip


# -- stdout and stderr ---------------------------------------------------------------------------


def test_five_megabytes_of_stdout_come_back_whole(any_steps: Attempts) -> None:
    outcome, _ = any_steps.run("for i in range(50_000): print(f'{i:099d}')")

    assert _facts(outcome) == (
        StepState.OK, b"".join(b"%099d\n" % number for number in range(50_000)),
    )  # fmt: skip


def test_stdout_comes_back_byte_by_byte(steps: Attempts) -> None:
    outcome, _ = steps.run(
        "import os, sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stdout.flush()\n"
        "os.write(1, b'\\xff\\n')\nimport subprocess\nsubprocess.run(['printf', '\\\\376'])"
    )

    assert _facts(outcome) == (StepState.OK, bytes(range(256)) + b"\xff\n\xfe")


def test_stderr_is_told_while_the_step_runs(steps: Attempts, tmp_path: Path) -> None:
    path = tmp_path / "go"

    def log(text: str) -> None:
        if "begun" in text:
            path.touch()

    outcome, said = steps.run(WAITS_FOR_A_FILE.format(path=str(path)), log)

    assert (*_facts(outcome), said) == (StepState.OK, b"seen\n", "begun\n")


def test_more_output_than_is_allowed_ends_the_step(steps: Attempts) -> None:
    order = steps.order("while True: print('x' * 9999)", limits=Limits(output_bytes=1_000_000))

    outcome, _ = steps.run(order)

    assert (outcome.state, len(outcome.stdout)) == (StepState.ERROR, 1_000_000)


# -- ends ----------------------------------------------------------------------------------------


def test_an_exit_code_is_told(any_steps: Attempts) -> None:
    outcome, _ = any_steps.run("print('before')\nraise SystemExit(3)")

    assert (*_error(outcome), outcome.stdout) == (
        StepState.ERROR, "ScriptFailed", 3, b"before\n",
    )  # fmt: skip


def test_exit_with_0_or_nothing_is_no_failure(any_steps: Attempts) -> None:
    ends = [any_steps.run(f"import sys\nsys.exit({code})")[0] for code in ("", "0", "None")]

    assert [_facts(each) for each in ends] == [(StepState.OK, b"")] * 3


def test_the_text_of_an_exit_is_the_message_of_the_error(any_steps: Attempts) -> None:
    outcome, said = any_steps.run("raise SystemExit('no such table')")

    assert (*_error(outcome), said) == (StepState.ERROR, "ScriptFailed", 1, "no such table\n")
    assert outcome.error is not None
    assert outcome.error["message"] == "it ended with exit code 1: no such table"


def test_an_exception_comes_with_its_traceback(any_steps: Attempts) -> None:
    order = any_steps.order("def half(x):\n    return 1 / x\n\nhalf(0)\n")

    outcome, said = any_steps.run(order)

    frames = [line for line in said.splitlines() if line.startswith("  File ")]
    assert (*_error(outcome), frames, said.splitlines()[-1]) == (
        StepState.ERROR, "ZeroDivisionError", 1,
        [f'  File "{order.filename}", line 4, in <module>',
         f'  File "{order.filename}", line 2, in half'],
        "ZeroDivisionError: division by zero",
    )  # fmt: skip
    assert "return 1 / x" in said


def test_a_script_with_a_syntax_error_says_where(steps: Attempts) -> None:
    order = steps.order("x = 1\ndef:\n")

    outcome, said = steps.run(order)

    assert (outcome.state, said.splitlines()) == (
        StepState.ERROR,
        [
            f'  File "{order.filename}", line 2',
            "    def:",
            "       ^",
            "SyntaxError: invalid syntax",
        ],
    )


def test_a_segmentation_fault_is_told_as_one_and_the_next_step_runs(steps: Attempts) -> None:
    outcome, _ = steps.run("import ctypes\nctypes.string_at(0)")
    after, _ = steps.run("print('alive')")

    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"], outcome.error["reason"]) == (
        StepState.ERROR, "WorkerDied", "segfault",
    )  # fmt: skip
    assert _facts(after) == (StepState.OK, b"alive\n")


def test_an_exit_without_a_word_is_an_exit_code(steps: Attempts) -> None:
    outcome, _ = steps.run("import os\nos._exit(5)")

    assert _error(outcome) == (StepState.ERROR, "ScriptFailed", 5)


def test_a_signal_is_told_by_its_name(steps: Attempts) -> None:
    outcome, _ = steps.run("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")

    assert outcome.error is not None
    assert (outcome.state, outcome.error["reason"]) == (StepState.ERROR, "killed")
    assert signal.SIGTERM.name in outcome.error["message"]


# -- limits --------------------------------------------------------------------------------------


def test_a_timeout_ends_a_step_and_all_that_it_has_started(
    steps: Attempts, loop: LeapingLoop
) -> None:
    is_timed_here = steps.executor.__class__.__name__ != "DaskExecutor"
    timeout_s = 20.0 if is_timed_here else 1.5

    def log(text: str) -> None:
        if is_timed_here and "\n" in text:
            loop.leap(timeout_s)

    outcome, said = steps.run(steps.order(HAS_CHILDREN, limits=Limits(timeout_s=timeout_s)), log)

    pids = [int(each) for each in said.split()]
    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"], len(pids)) == (
        StepState.TIMEOUT, "CellTimeout", 3,
    )  # fmt: skip
    assert [pid for pid in pids if lives(pid)] == []


def test_a_step_that_takes_more_memory_than_it_may_is_ended(steps: Attempts) -> None:
    limits = Limits(timeout_s=20.0, memory_bytes=200_000_000)

    outcome, _ = steps.run(
        steps.order("x = b'x' * 500_000_000\nimport time\ntime.sleep(20)", limits=limits)
    )

    assert outcome.error is not None
    assert (outcome.state, outcome.error["type"]) == (StepState.ERROR, "MemoryLimitExceeded")


# -- isolation -----------------------------------------------------------------------------------


def test_a_step_that_is_cancelled_has_ended_with_all_that_it_has_started(steps: Attempts) -> None:
    said = asyncio.Event()
    text: list[bytes] = []

    def log(data: bytes) -> None:
        text.append(data)
        if b"\n" in data:
            said.set()

    async def cancel() -> list[int]:
        running = asyncio.ensure_future(steps.executor.run(steps.order(HAS_CHILDREN), log))
        await said.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return [int(each) for each in b"".join(text).split()]

    pids = steps.wait(cancel())

    assert (len(pids), [pid for pid in pids if lives(pid)]) == (3, [])


def test_what_a_step_leaves_behind_is_gone_when_it_is_over(steps: Attempts) -> None:
    outcome, _ = steps.run(LEAVES_A_DAEMON)

    assert (outcome.state, lives(int(outcome.stdout))) == (StepState.OK, False)


def test_two_steps_run_at_once(steps: Attempts, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    def order(mine: Path, theirs: Path) -> Any:
        touch = f"open({str(mine)!r}, 'w').close()\n"
        source = touch + WAITS_FOR_A_FILE.format(path=str(theirs))
        return steps.executor.run(steps.order(source), lambda _: None)

    async def both() -> list[Outcome]:
        return await asyncio.gather(order(one, other), order(other, one))

    assert [_facts(each) for each in steps.wait(both())] == [(StepState.OK, b"seen\n")] * 2


def test_what_a_step_does_to_its_process_no_other_step_sees(steps: Attempts) -> None:
    steps.run(
        "import builtins, json, os, sys\nos.environ['FLOW_TEST_MARK'] = '1'\nos.chdir('/')\n"
        "builtins.mark = json.mark = 1\nsys.path.insert(0, 'mark')\nos.umask(0o777)\n"
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))"
    )
    look = (
        "import builtins, json, os, resource, sys\n"
        "print('FLOW_TEST_MARK' in os.environ, os.getcwd(), hasattr(builtins, 'mark'),\n"
        "      hasattr(json, 'mark'), 'mark' in sys.path, os.umask(0) == 0o777,\n"
        "      resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 16)"
    )

    outcomes = [steps.run(look)[0] for _ in range(3)]

    expected = f"False {steps.directory} False False False False False\n".encode()
    assert [_facts(each) for each in outcomes] == [(StepState.OK, expected)] * 3
