"""Steps, and what runs them, that do what nobody would: the run says so and goes on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.errors import UsageError
from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.attempt import attempt, attempt_now
from flow_kernel.workflow.executors.contract import Context, Log, Order, Outcome
from flow_kernel.workflow.model import Step, StepType
from flow_kernel.workflow.output import OutputInvalid, parsed
from flow_kernel.workflow.registry import Executors
from flow_kernel.workflow.single import execute_step
from flow_kernel.workflow.states import StepState
from tests.workers.trees import all_gone, until
from tests.workflow.homes import run, script, states, workflow

RUN = [sys.executable, "-m", "flow_kernel.apps.cli", "run"]


class Broken:
    """An executor of another package, with a mistake in it."""

    def run_now(self, order: Order, log: Log) -> Outcome:
        raise OSError(24, "Too many open files")

    async def run(self, order: Order, log: Log) -> Outcome:
        return self.run_now(order, log)

    async def close(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize("is_now", [False, True])
def test_an_executor_that_fails_itself_fails_the_step_and_not_the_run(
    tmp_path: Path, is_now: bool
) -> None:
    order = Order(
        run_id="R-0001",
        step_id="a",
        number=1,
        attempt=1,
        step_type=StepType.PYTHON_SCRIPT,
        source="",
        filename="a.py",
        beside=str(tmp_path),
        variables=b"{}",
        directory=str(tmp_path),
        limits=Limits(),
    )
    more: Any = {"is_strict": True, "on_text": lambda _: None}

    if is_now:
        found = attempt_now(Broken().run_now, order, Step(id="a", name="a"), **more)
    else:
        found = asyncio.run(attempt(Broken(), order, Step(id="a", name="a"), **more))

    error = {**(found.error or {})}
    assert "run_now" in error.pop("traceback")
    assert (found.state, error) == (
        StepState.ERROR,
        {
            "type": "OSError",
            "message": "its executor failed: OSError: [Errno 24] Too many open files",
        },
    )


def test_an_executor_without_a_name_is_refused(tmp_path: Path) -> None:
    context = Context(run_id="R-0001", files=tmp_path, workers=1)

    with pytest.raises(UsageError) as caught:
        Executors(context).get("=there")
    done = subprocess.run(
        [*RUN, "w.json", "--on", "=there"],
        cwd=_written(tmp_path, "print('{}')"),
        env={**os.environ, "FLOW_HOME": str(tmp_path / ".flow")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'there is no executor "=there"' not in caught.value.message
    assert 'there is no executor ""' in caught.value.message
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("print('\\ud800')", "OutputInvalid", "stdout is not UTF-8"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd", "x"),
        ("raise GeneratorExit", "GeneratorExit", "GeneratorExit"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError", "CancelledError"),
        ("raise SystemExit(-1)", "ScriptFailed", "exit code 255"),
        ("raise ValueError('\\ud800')", "ValueError", "ValueError"),
    ],
)
def test_a_step_in_the_process_of_the_runner_may_raise_and_write_anything(
    tmp_path: Path, code: str, kind: str, says: str
) -> None:
    beside = {"id": "b", "needs": [], "code": script(ok="True")}

    found = run(tmp_path, workflow(tmp_path, {"id": "a", "needs": [], "code": code}, beside))

    error = found.step("a").error or {}
    assert states(found) == {"a": "error", "b": "ok"}
    assert error["type"] == kind
    assert says in error["message"]


@pytest.mark.parametrize("code", ["import sys\nprint('{}')\nsys.stdout.close()", "exit(256)"])
def test_what_is_no_failure_of_a_process_is_none_of_an_inline_step(
    tmp_path: Path, code: str
) -> None:
    found = run(tmp_path, workflow(tmp_path, {"id": "a", "code": code}))

    assert states(found) == {"a": "ok"}


def _inline(tmp_path: Path, code: str) -> "subprocess.Popen[str]":
    """A run of the command line whose one step is in its own process."""
    return subprocess.Popen(
        [*RUN, "w.json", "--on", "inline"],
        cwd=_written(tmp_path, code),
        env={**os.environ, "FLOW_HOME": str(tmp_path / ".flow")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_ctrl_c_ends_a_run_whose_inline_step_never_ends(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\nwhile True: pass\n"
    with _inline(tmp_path, code) as process:
        until(mark.exists)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        said = process.stderr.read() if process.stderr else ""

    assert (process.returncode, said) == (130, "")


def test_a_third_ctrl_c_does_not_break_off_the_end_that_the_second_has_begun(
    tmp_path: Path,
) -> None:
    mark, ends, go = tmp_path / "mark", tmp_path / "ends", tmp_path / "go"
    code = (
        "import atexit, os, time\n"
        "def end():\n"
        f"    open({str(ends)!r}, 'w').close()\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "atexit.register(end)\n"
        f"open({str(mark)!r}, 'w').close()\nwhile True: pass\n"
    )
    with _inline(tmp_path, code) as process:
        until(mark.exists)
        while not ends.exists() and process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        process.send_signal(signal.SIGINT)
        go.touch()
        _, said = process.communicate(timeout=20)

    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_an_integer_that_would_become_another_number_is_an_error_or_stays_text(
    number: int,
) -> None:
    with pytest.raises(OutputInvalid) as caught:
        parsed(b'{"a": {"n": [%d]}}' % number)

    assert "a.n[0] has more than 64 bits" in caught.value.message
    assert parsed(b"%d" % number) == {"result": str(number)}
    assert parsed(b"[1, %d]" % number) == {"result": f"[1, {number}]"}


def test_the_largest_integers_and_long_digits_in_texts_come_back(tmp_path: Path) -> None:
    said = {"most": 2**64 - 1, "least": -(2**63), "text": "9" * 50}

    assert parsed(str(said).replace("'", '"').encode()) == said


def test_a_single_step_with_an_input_that_is_not_there_says_so() -> None:
    found = execute_step("PYTHON_SCRIPT", {"input_mapping": {"a": "gone"}}, {}, "print(1)")

    assert found == {
        "success": False,
        "output": None,
        "logs": "",
        "error": {"type": "InputMissing", "message": 'there is no variable "gone"'},
    }


def test_a_single_step_that_cannot_be_run_raises() -> None:
    with pytest.raises(UsageError) as caught:
        execute_step("PYTHON_SCRIPT", {"resources": {"isolation": "nope"}}, {}, "print(1)")

    assert 'there is no executor "nope"' in caught.value.message


def test_ctrl_c_ends_a_single_step_with_its_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    step = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    code = (
        "from flow_kernel.workflow.single import execute_step\n"
        f"execute_step('PYTHON_SCRIPT', {{}}, {{}}, {step!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as found:
        until(lambda: pid.exists() and pid.read_text() != "")
        found.send_signal(signal.SIGINT)
        _, said = found.communicate(timeout=20)

    assert (found.returncode, said.strip().rpartition("\n")[2]) == (
        -signal.SIGINT,
        "KeyboardInterrupt",
    )
    until(lambda: all_gone(int(pid.read_text())))


def _written(directory: Path, code: str) -> Path:
    document = {"name": "w", "steps": [{"id": "a", "code": code}]}
    (directory / "w.json").write_text(json.dumps(document))
    return directory
