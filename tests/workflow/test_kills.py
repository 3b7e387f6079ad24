"""kill -9 of a runner at any moment: no finished step runs again, none is lost, nothing is left."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.workers.trees import ROOT, until
from tests.workflow.homes import opened, script

# A few random moments for each executor; `make soak` draws thousands.
KILLS: Final = {"inline": 25, "fork": 15}
MANY: Final = {"inline": 7000, "fork": 3000}


class Program:
    """The program beside this file, spoken to in lines."""

    def __init__(self) -> None:
        path = Path(__file__).with_name("runner_program.py")
        self.process = subprocess.Popen(
            [sys.executable, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def ask(self, **said: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    found = Program()
    yield found
    assert found.process.stdin is not None
    assert found.process.stdout is not None
    found.process.stdin.close()
    found.process.wait(20)
    found.process.stdout.close()


def document(trace: Path) -> dict[str, Any]:
    """A diamond, each of whose steps leaves a letter when it has done its work."""
    mark = f"fd = os.open({str(trace)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
    step = "import os\n{}" + mark + "os.write(fd, v['_flow']['step_id'].encode())\nos.close(fd)\n"
    said = {"a": "1", "b": "v['x_a'] + 1", "c": "v['x_a'] + 2", "d": "v['x_b'] + v['x_c']"}
    needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    return {
        "name": "diamond",
        "steps": [
            {
                "id": name,
                "needs": needs[name],
                "code": step.format(script(x=value)),
                "output_mapping": {f"x_{name}": "x"},
            }
            for name, value in said.items()
        ],
    }


def finished(home: Path) -> dict[str, int]:
    """The attempts of the steps that are stored as over."""
    if not (home / ".flow/flow.db").exists():
        return {}
    with opened(home) as (flow, _), flow.store.read() as view:
        return {row.step_id: row.attempt for row in view.run_steps("R-0001") if row.ended_at}


def left_of(home: Path) -> list[int]:
    """Processes that work in a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(home)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def kill_and_go_on(program: Program, home: Path, executor: str, after_s: float) -> bool:
    """One kill, and the run after it. True where it came before the end."""
    home.mkdir()
    trace = home / "trace"
    pid = program.ask(op="run", home=str(home), document=document(trace), executor=executor)
    threading.Event().wait(after_s)  # the moment of the kill is what this is about
    os.kill(pid, signal.SIGKILL)
    was_killed = program.ask(op="wait", pid=pid) == -signal.SIGKILL
    until(lambda: not left_of(home))
    before = finished(home)

    pid = program.ask(op="resume", home=str(home))
    assert program.ask(op="wait", pid=pid) == 0

    with opened(home) as (_, service):
        runs = service.book.runs()
    if not runs:  # it was killed before there was a run
        assert was_killed
        return True
    assert [run.status for run in runs] == ["success"]
    assert runs[0].output_data == {"x_a": 1, "x_b": 2, "x_c": 3, "x_d": 5}
    attempts = {step.id: step.attempt for step in runs[0].steps}
    assert {name: attempts[name] for name in before} == before
    marks = trace.read_text()
    assert all(marks.count(name) == count for name, count in before.items() if count == 1)
    assert all(1 <= marks.count(name) <= attempts[name] for name in attempts)
    assert not (home / ".flow/run/steps").exists()
    until(lambda: not left_of(home))
    return was_killed


def duration_of(program: Program, home: Path, executor: str) -> float:
    home.mkdir()
    began = time.monotonic()
    pid = program.ask(
        op="run", home=str(home), document=document(home / "trace"), executor=executor
    )
    assert program.ask(op="wait", pid=pid) == 0
    return time.monotonic() - began


def kill_often(program: Program, tmp_path: Path, executor: str, count: int) -> None:
    longest = min(duration_of(program, tmp_path / f"whole{at}", executor) for at in range(3))
    draw = random.Random()
    killed = 0
    for at in range(count * 5):
        home = tmp_path / f"home{at}"
        after_s = draw.uniform(0, longest)
        try:
            killed += kill_and_go_on(program, home, executor, after_s)
        except AssertionError as error:
            error.add_note(f"killed after {after_s * 1000:.3f} ms; see {home}")
            raise
        if killed == count:
            break
    assert killed == count


@pytest.mark.timeout(120)
@pytest.mark.parametrize("executor", [*KILLS])
def test_a_runner_that_is_killed_at_a_random_moment_costs_no_finished_step(
    program: Program, tmp_path: Path, executor: str
) -> None:
    kill_often(program, tmp_path, executor, KILLS[executor])


@pytest.mark.soak
@pytest.mark.parametrize("executor", [*MANY])
def test_ten_thousand_kills_cost_no_finished_step(
    program: Program, tmp_path: Path, executor: str
) -> None:
    kill_often(program, tmp_path, executor, MANY[executor])
