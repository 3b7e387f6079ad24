"""Steps in processes of their own: what they do to themselves, the run tells and survives."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from flow_kernel.workflow import events
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.states import RunStatus
from flow_kernel.workflow.views import Run
from tests.workers.trees import all_gone, until
from tests.workflow.attempts import LeapingLoop
from tests.workflow.homes import READ, opened, run, script, states, workflow

BESIDE = {"id": "beside", "needs": [], "code": script(ok="True")}


def one(tmp_path: Path, code: str, **more: object) -> Run:
    """A step beside one that behaves, in forked processes."""
    step = {"id": "a", "needs": [], "code": code, **more}
    return run(tmp_path, workflow(tmp_path, step, BESIDE), executor="fork")


@pytest.mark.parametrize(
    ("code", "state", "kind", "says"),
    [
        ("import os; os._exit(3)", "error", "ScriptFailed", "it ended with exit code 3"),
        ("import sys; sys.exit('no data')", "error", "ScriptFailed", "no data"),
        ("import os; os.kill(os.getpid(), 11)", "error", "WorkerDied", "segmentation fault"),
        ("import os; os.abort()", "error", "WorkerDied", "SIGABRT"),
        ("raise KeyError('k')", "error", "KeyError", "'k'"),
        ("print('\\ud800')", "error", "UnicodeEncodeError", "surrogates"),
        ("print('{\"a\": NaN}')", "error", "OutputInvalid", "a is nan"),
        ("import os; os.write(1, b'\\xff')", "error", "OutputInvalid", "not UTF-8"),
    ],
)
def test_a_step_that_goes_wrong_says_how_and_the_others_are_unharmed(
    tmp_path: Path, code: str, state: str, kind: str, says: str
) -> None:
    found = one(tmp_path, code)

    error = found.step("a").error or {}
    assert states(found) == {"a": state, "beside": "ok"}
    assert error["type"] == kind
    assert says in error["message"]


def test_a_step_that_takes_too_long_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(os.getpid(), child.pid, file=sys.stderr)\n"
        "time.sleep(60)\n"
    )
    step = {"id": "a", "needs": [], "code": code, "timeout": 30}
    said: list[str] = []
    loop = LeapingLoop()

    def tell(event: events.Event) -> None:
        if isinstance(event, events.StepLogged):
            said.append(event.text)
            loop.leap(30 * ("\n" in event.text))  # a line may come in pieces

    with (
        opened(tmp_path) as (_, service),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        row = service.begin(workflow(tmp_path, step, BESIDE), options=RunOptions(executor="fork"))
        found = runner.run(service.go(row, tell))

    error, pids = found.step("a").error or {}, [*map(int, "".join(said).split())]
    assert (states(found), len(pids)) == ({"a": "timeout", "beside": "ok"}, 2)
    assert (error["type"], error["reason"]) == ("CellTimeout", "timeout")
    until(lambda: all_gone(*pids))


def test_a_step_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    code = "import time\nx = []\nwhile True:\n    x.append(b'x' * 1_000_000); time.sleep(0.001)\n"

    found = one(tmp_path, code, resources={"memory": "150M"}, timeout=30)

    error = found.step("a").error or {}
    assert (states(found)["a"], error["type"]) == ("error", "MemoryLimitExceeded")


def test_a_flood_on_stdout_is_stopped_at_its_limit(tmp_path: Path) -> None:
    code = "import os\nwhile True: os.write(1, b'x' * 1_000_000)\n"
    found = run(
        tmp_path,
        workflow(tmp_path, {"id": "a", "needs": [], "code": code}, BESIDE),
        executor="fork",
        output_bytes=3_000_000,
    )

    error = found.step("a").error or {}
    assert states(found) == {"a": "error", "beside": "ok"}
    assert "3.0 MB of output" in error["message"]


def test_what_outlives_a_step_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        open({str(pids)!r}, 'w').write(str(os.getpid()))\n"
        "        time.sleep(60)\n"
        "    os._exit(0)\n"
        f"while not os.path.exists({str(pids)!r}) or not os.path.getsize({str(pids)!r}): pass\n"
        "print('{}')\n"
    )

    found = one(tmp_path, code)

    assert states(found) == {"a": "ok", "beside": "ok"}
    until(lambda: all_gone(int(pids.read_text())))


def test_what_a_step_writes_to_stderr_is_told_while_it_runs(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    code = (
        "import os, sys, time\n"
        "print('here', file=sys.stderr)\n"
        f"while not os.path.exists({str(heard)!r}): time.sleep(0.005)\n"
        "print('{}')\n"
    )
    with opened(tmp_path) as (_, service):
        row = service.begin(
            workflow(tmp_path, {"id": "a", "code": code, "timeout": 20}),
            options=RunOptions(executor="fork"),
        )
        found = service.run(
            row, lambda event: heard.touch() if isinstance(event, events.StepLogged) else None
        )

    assert (found.status, found.step("a").logs) == (RunStatus.SUCCESS, "here\n")


def test_independent_steps_run_at_the_same_time_and_never_more_than_there_are_places(
    tmp_path: Path,
) -> None:
    meet = (
        f"import os, pathlib, time\n{READ}"
        "here = pathlib.Path(v['dir'])\n"
        "(here / v['_flow']['step_id']).touch()\n"
        "while len(list(here.iterdir())) < 2: time.sleep(0.002)\n"
        "print('{}')\n"
    )
    (tmp_path / "met").mkdir()
    count = script(n="1")
    steps = [
        {"id": "a", "needs": [], "code": meet, "timeout": 20},
        {"id": "b", "needs": [], "code": meet, "timeout": 20},
        *({"id": f"c{at}", "needs": ["a"], "code": count} for at in range(4)),
    ]
    running: list[int] = [0, 0]

    def tell(event: events.Event) -> None:
        running[0] += isinstance(event, events.StepBegan) - isinstance(event, events.StepEnded)
        running[1] = max(running)

    with opened(tmp_path) as (_, service):
        row = service.begin(
            workflow(tmp_path, *steps),
            {"dir": str(tmp_path / "met")},
            options=RunOptions(executor="fork", workers=2),
        )
        found = service.run(row, tell)

    assert (found.status, running) == (RunStatus.SUCCESS, [0, 2])


def test_a_run_that_is_stopped_ends_its_steps_and_can_go_on(tmp_path: Path) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    code = (
        "import os, sys, time\n"
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "print('here', file=sys.stderr)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "print('{}')\n"
    )
    with opened(tmp_path) as (_, service):
        steps = [{"id": "a", "code": code, "timeout": 30}, {"id": "b", "code": "print('{}')"}]
        row = service.begin(workflow(tmp_path, *steps), options=RunOptions(executor="fork"))

        def tell(event: events.Event) -> None:
            if isinstance(event, events.StepLogged) and not go.exists():
                service.stop(row.run_id)

        first = service.run(row, tell)
        until(lambda: all_gone(int(pid.read_text())))
        go.touch()
        second = service.run(service.book.claim(row.run_id, again=True))

    assert (first.status, states(first)) == (
        RunStatus.CANCELLED,
        {"a": "cancelled", "b": "cancelled"},
    )
    assert (second.status, states(second)) == (RunStatus.SUCCESS, {"a": "ok", "b": "ok"})


RUN = [sys.executable, "-m", "flow_kernel.apps.cli"]


def test_ctrl_c_ends_what_runs_and_says_how_to_go_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "w.toml").write_text(
        f"""name = "w"
[[steps]]
id = "a"
code = '''
import os, time
open({str(pid)!r}, "w").write(str(os.getpid()))
time.sleep(60)
'''
"""
    )
    env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}
    with subprocess.Popen(
        [*RUN, "run", "w.toml"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "R-0001 w: cancelled (it was stopped), 0 of 1 steps ok" in out
    assert "jupyter flow resume R-0001 --failed" in out
    until(lambda: all_gone(int(pid.read_text())))


def test_a_runner_that_is_killed_leaves_nothing_and_another_goes_on(tmp_path: Path) -> None:
    pid, count = tmp_path / "pid", tmp_path / "count"
    once = f"open({str(count)!r}, 'a').write('x')\nprint('{{}}')\n"
    code = (
        "import os, time\n"
        f"open({str(pid)!r}, 'a').write(f'{{os.getpid()}} ')\n"
        f"if len(open({str(pid)!r}).read().split()) < 2: time.sleep(60)\n"
        "print('{}')\n"
    )
    (tmp_path / "w.toml").write_text(
        f"""name = "w"
[[steps]]
id = "once"
code = '''{once}'''
[[steps]]
id = "a"
code = '''{code}'''
"""
    )
    env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}
    with subprocess.Popen([*RUN, "run", "w.toml"], cwd=tmp_path, env=env) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.wait(20)
    until(lambda: all_gone(*below))

    done = subprocess.run(
        [*RUN, "resume", "--json"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"status": "success"' in done.stdout
    assert count.read_text() == "x"
    assert not (tmp_path / ".flow/run/steps/R-0001").exists()
    with opened(tmp_path) as (_, service):
        found = service.book.run("R-0001")
    assert [(step.state, step.attempt) for step in found.steps] == [("ok", 1), ("ok", 2)]


def test_two_processes_never_work_on_one_run(tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    (tmp_path / "w.toml").write_text(f"name = 'w'\n[[steps]]\nid = 'a'\ncode = '''{code}'''\n")
    env = {**os.environ, "FLOW_HOME": str(tmp_path / ".flow")}
    with subprocess.Popen(
        [*RUN, "run", "w.toml"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    ) as process:
        until((tmp_path / ".flow/run/steps/R-0001").exists)
        second = subprocess.run(
            [*RUN, "resume", "R-0001"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        go.touch()
        process.wait(20)

    assert (second.returncode, process.returncode) == (2, 0)
    assert f"process {process.pid} works on R-0001" in second.stderr


def test_a_run_inside_a_running_loop_goes_on_in_a_thread(tmp_path: Path) -> None:
    async def main() -> Run:
        return run(
            tmp_path,
            workflow(tmp_path, {"id": "a", "code": script(n="1")}),
            executor="fork",
            told=None,
        )

    found = asyncio.run(main())
    threads = [each.name for each in threading.enumerate() if each.name == "flow-workflow"]

    assert (found.status, threads) == (RunStatus.SUCCESS, [])


def test_a_step_that_makes_no_progress_for_certain_is_ended_with_its_stack(tmp_path: Path) -> None:
    code = "x = 1\nwhile x:\n    pass\n"

    found = one(tmp_path, code, timeout=30)

    error = found.step("a").error or {}
    assert states(found) == {"a": "blocked", "beside": "ok"}
    assert error["type"] == "WorkerBlocked"
    block = error["block"]
    assert (block["job_id"], block["reason"], block["confidence"]) == (
        "R-0001/a/1",
        "infinite_loop",
        "certain",
    )
    assert block["stack"] == ["line 2 of the script: while x:"]
    assert error["message"] == (
        "it made no progress: infinite loop; repeats; line 2 of the script: while x:"
    )
