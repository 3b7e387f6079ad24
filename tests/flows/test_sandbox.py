"""Commands and cells over the WebSocket of a real Jupyter Server: run, heard, asked, ended."""

import getpass
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from flow_kernel.errors import UsageError
from flow_kernel.sandbox import Message, Sandbox, SandboxTask, TaskResult
from tests.promises import promise
from tests.sandboxes import DEADLINE_S, Raw, SandboxServer, wait_for

WHO: Final = f"sandbox:{getpass.getuser()}"
_COMMON: Final = ("taskId", "workerId", "seq", "timestamp")
_TEXT: Final = ("stdout", "stderr")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[SandboxServer]:
    root = tmp_path_factory.mktemp("sandbox") / "s"
    with SandboxServer(root, "--FlowSandboxApp.heartbeat_s=0.2") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: SandboxServer) -> Iterator[Sandbox]:
    with server.connect() as client:
        yield client


def _bare(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what is another one each time: numbers, and where a text was cut."""
    left_out = (*_COMMON, "elapsedMs")
    bare: list[dict[str, Any]] = []
    for each in messages:
        told = {k: v for k, v in each.items() if k not in left_out}
        last = bare[-1] if bare else {}
        if last.keys() == told.keys() and last.get("stream") == told.get("stream") in _TEXT:
            last["output"] += told["output"]
        else:
            bare.append(told)
    return bare


def _ended(result: TaskResult) -> tuple[int | None, str, str]:
    return result.exit_code, result.reason, result.error


def _hear(task: SandboxTask, kind: str, text: str = "") -> Message:
    """Take messages until one is of that kind, and the task has said that text by then.

    A line that is printed may come in two messages.
    """
    said = ""
    while True:
        message = task.next(DEADLINE_S)
        assert message is not None, f"the task has ended: {said!r}, {task.end}"
        said += message.output
        if message.kind == kind and text in said:
            return message


@promise("sandbox.runs")
def test_a_command_is_heard_while_it_runs_and_ends_with_its_exit_code(
    server: SandboxServer,
) -> None:
    (server.work / "sub").mkdir()
    command = "pwd; echo begun >&2; until [ -e go ]; do sleep 0.01; done; exit 7"
    with Raw(server) as raw:
        raw.say({
            "type": "execute_command", "taskId": "t.1", "command": command, "workspace": "sub",
            "timeout": 20_000,
        })  # fmt: skip
        heard = [raw.hear() for _ in range(3)]
        (server.work / "sub" / "go").touch()
        heard += raw.hear_until("task_complete")

    assert [each["seq"] for each in heard] == [1, 2, 3, 4]
    assert {each["taskId"] for each in heard} == {"t.1"}
    assert len({each["workerId"] for each in heard}) == 1
    told = _bare(heard)
    assert told[0] == {
        "type": "execution_started", "language": "bash", "timeout": 20_000,
        "workspace": str(server.work / "sub"),
    }  # fmt: skip
    assert sorted(told[1:3], key=lambda each: each["stream"]) == [
        {"type": "task_output", "stream": "stderr", "output": "begun\n"},
        {"type": "task_output", "stream": "stdout", "output": f"{server.work / 'sub'}\n"},
    ]
    assert told[3] == {
        "type": "task_complete", "exitCode": 7,
        "error": {"name": "ScriptFailed", "message": "the script ended with exit code 7"},
    }  # fmt: skip


@promise("sandbox.runs")
def test_a_cell_is_heard_with_its_result_its_displays_and_its_error(server: SandboxServer) -> None:
    code = (
        "from IPython.display import HTML, display\nprint('out')\ndisplay(HTML('<b>x</b>'))\n6 * 7"
    )
    with Raw(server) as raw:
        shown = _bare(raw.run(code=code))
        failed = _bare(raw.run(code="print('so far')\n1 / 0"))
        left = _bare(raw.run(code="import sys; sys.exit(5)"))

    assert shown[1:] == [
        {"type": "task_output", "stream": "stdout", "output": "out\n"},
        {
            "type": "task_output", "stream": "display",
            "output": "<IPython.core.display.HTML object>",
            "mimetypes": ["text/html", "text/plain"], "data": {"text/html": "<b>x</b>"},
        },
        {"type": "task_output", "stream": "result", "output": "42", "mimetypes": ["text/plain"]},
        {"type": "task_complete", "exitCode": 0},
    ]  # fmt: skip
    assert failed[1]["output"] == "so far\n"
    assert "ZeroDivisionError: division by zero" in failed[2]["output"]
    assert "\x1b" not in failed[2]["output"]
    assert failed[3] == {
        "type": "task_complete", "exitCode": 1,
        "error": {"name": "ZeroDivisionError", "message": "division by zero"},
    }  # fmt: skip
    assert left[-1]["exitCode"] == 5


@promise("sandbox.runs")
def test_what_is_too_long_or_too_deep_is_shown_as_far_as_it_goes(server: SandboxServer) -> None:
    code = (
        "from IPython.display import display\ndeep = []\nfor _ in range(500): deep = [deep]\n"
        "display({'application/json': deep, 'text/plain': 'deep'}, raw=True)\ninput('x' * 100_000)"
    )
    with Raw(server) as raw:
        raw.say({"type": "execute_command", "taskId": "deep", "code": code})
        _, shown, asked = (raw.hear() for _ in range(3))
        raw.say({"type": "send_input", "taskId": "deep", "eof": True})
        raw.hear_until("task_complete")
    assert (shown["output"], "data" in shown) == ("deep", False)
    assert asked["output"] == "x" * 32 * 1024


@promise("sandbox.runs")
def test_a_task_that_reads_is_sent_lines_and_the_end_of_its_input(client: Sandbox) -> None:
    cell = client.run(code="name = input('Who? ')\nprint('hello', name)\ninput()")
    for message in cell:
        if message.output == "Who? ":
            cell.send("Ada")
        elif message.stream == "stdin":
            cell.close_input()
    script = client.run('read -r a; echo "got $a"; cat')
    said = []
    for message in script:
        said.append(message.output)
        if message.stream == "stdin":
            script.send("x y") if len(said) < 3 else script.close_input()

    assert _ended(cell.wait()) == (1, "", "EOFError")
    assert "got x y\n" in said
    assert _ended(script.wait()) == (0, "", "")


@promise("sandbox.runs")
def test_a_task_is_terminated_from_another_connection_and_leaves_nothing(
    server: SandboxServer, client: Sandbox
) -> None:
    task = client.run("sleep 1000 & echo $!; wait", task_id="long")
    message = _hear(task, "task_output")
    with server.connect() as other:
        other.terminate("long")
    result = task.wait()

    assert _ended(result) == (None, "terminated", "")
    wait_for(lambda: not psutil.pid_exists(int(message.output)))
    with pytest.raises(UsageError, match="not_running: the task has ended"):
        client.terminate("long")


@promise("sandbox.runs")
def test_a_cell_that_ignores_interrupts_is_killed_when_it_is_terminated(client: Sandbox) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\n"
        "while True: time.sleep(1)"
    )
    task = client.run(code=code)
    _hear(task, "task_output", "deaf\n")
    task.terminate()

    assert _ended(task.wait(DEADLINE_S)) == (None, "terminated", "")


@promise("sandbox.runs")
def test_a_task_ends_at_its_timeout_also_while_it_waits_for_input(client: Sandbox) -> None:
    result = client.run("echo begun; sleep 100", timeout_s=0.3).wait()
    waiting = client.run(code="input()", timeout_s=0.3).wait()

    assert (_ended(result), result.stdout) == ((None, "timeout", ""), "begun\n")
    assert result.message == "the cell was interrupted after the 0.3 s that it may run"
    assert _ended(waiting) == (None, "timeout", "")


@promise("sandbox.runs")
def test_a_loop_that_does_not_go_on_is_told_with_its_stack_and_goes_on_until_it_is_ended(
    client: Sandbox,
) -> None:
    task = client.run(code="while True:\n    pass")
    message = _hear(task, "block_detected")
    task.terminate()

    assert {key: message.fields[key] for key in ("reason", "confidence", "recoverable")} == {
        "reason": "infinite_loop", "confidence": "certain", "recoverable": True,
    }  # fmt: skip
    assert all(line.startswith("line ") for line in message.fields["stack"])
    assert _ended(task.wait()) == (None, "terminated", "")


@promise("sandbox.survives")
def test_the_death_of_a_worker_is_told_with_its_reason_and_the_next_task_runs(
    server: SandboxServer, client: Sandbox
) -> None:
    code = "import os\nprint('last', flush=True)\nos.kill(os.getpid(), 9)"
    killed = client.run(code=code).wait()
    left = client.run(code="import os; os._exit(3)")
    last = list(left)[-1]
    crashed = client.run(code="import ctypes; ctypes.string_at(0)").wait()
    outside = client.run(code="import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)")
    os.kill(int(_hear(outside, "task_output").output), signal.SIGKILL)

    assert (_ended(killed), killed.stdout) == ((None, "killed", ""), "last\n")
    assert (last.kind, last.fields["reason"], last.fields["exitCode"]) == ("task_error", "exit", 3)
    assert _ended(crashed) == (None, "segfault", "")
    assert _ended(outside.wait()) == (None, "killed", "")
    assert client.run("echo on").wait().stdout == "on\n"


@promise("sandbox.survives")
def test_a_task_is_held_to_the_memory_that_it_requires(client: Sandbox) -> None:
    code = "held = []\nwhile True: held.append(bytearray(10_000_000))"
    task = client.run(code=code, requirements={"memory": "200M", "cpu": 0.5})

    result = task.wait()
    assert result.error == "MemoryError" or result.reason == "memory_limit"
    impossible = client.run("echo", requirements={"memory": "500T"}).wait()
    assert impossible.reason == "refused"


@promise("sandbox.runs")
def test_the_task_with_the_greatest_priority_is_next(client: Sandbox) -> None:
    whole = {"cpu": len(os.sched_getaffinity(0))}
    first = client.run("read -r line", requirements=whole)
    first.next()
    late = client.run("date +%s%N", requirements=whole, priority=-1)
    early = client.run("date +%s%N", requirements=whole, priority=5)
    wait_for(lambda: client.health()["queue"] == 2)
    first.send("go")

    assert int(early.wait().stdout) < int(late.wait().stdout)
    assert first.wait().exit_code == 0


@promise("sandbox.runs")
def test_a_workspace_is_below_the_root_and_its_modules_are_found(
    server: SandboxServer, client: Sandbox, tmp_path: Path
) -> None:
    place = server.work / "place"
    place.mkdir()
    (place / "lib_of_place.py").write_text("value = 11")
    (server.work / "out").symlink_to(tmp_path)
    (server.work / "link").symlink_to(place)

    found = client.run(
        code="import os, lib_of_place\nprint(os.getcwd(), lib_of_place.value)", workspace="link"
    )
    assert found.wait().stdout == f"{place} 11\n"
    for name in ("..", "../..", "out", "/", "/etc", str(tmp_path), "place/../..", "none", "a\0b"):
        with pytest.raises(UsageError, match="bad_message: "):
            client.run("pwd", workspace=name).wait()


@promise("sandbox.runs")
def test_a_task_runs_in_its_workspace_or_nowhere(server: SandboxServer, client: Sandbox) -> None:
    def says(*sources: dict[str, str]) -> list[str]:
        return [client.run(**each, workspace="moved").wait(DEADLINE_S).stdout for each in sources]

    moved = server.work / "moved"
    moved.mkdir()
    where = {"code": "import os; print(os.getcwd())", "worker": "roams"}
    before = says({"command": "pwd"}, where, {"code": "os.chdir('/')", "worker": "roams"})
    moved.rmdir()
    moved.mkdir()
    (moved / "new").touch()
    after = says({"command": "ls"}, where)
    whole = {"cpu": len(os.sched_getaffinity(0))}
    first = client.run("read -r line", requirements=whole)
    first.next()
    late = [
        client.run(**each, workspace="moved", requirements=whole)
        for each in ({"command": "pwd"}, where, {"code": where["code"]})
    ]
    wait_for(lambda: client.health()["queue"] == 3)
    (moved / "new").unlink()
    moved.rmdir()
    moved.symlink_to("/")
    first.send("go")
    ends = [each.wait(DEADLINE_S) for each in late]

    assert before == [f"{moved}\n", f"{moved}\n", ""]
    assert after == ["new\n", f"{moved}\n"]
    assert [(*_ended(end), end.stdout) for end in ends] == [(None, "refused", "", "")] * 3
    assert "is gone by now; nothing was run" in ends[0].message


@promise("sandbox.runs")
@pytest.mark.parametrize("source", [{"command": "echo $PPID"}, {"code": "print(os.getpid())"}])
def test_a_workspace_that_goes_when_its_task_has_begun_is_named_and_nothing_is_run(
    server: SandboxServer, client: Sandbox, source: dict[str, str]
) -> None:
    going = server.work / "going"
    going.mkdir()
    order = {"workspace": "going", "worker": "stays"}
    client.run(code="import os", **order).wait(DEADLINE_S)
    worker = psutil.Process(int(client.run(**source, **order).wait(DEADLINE_S).stdout))

    worker.suspend()
    task = client.run(**source, **order)
    _hear(task, "execution_started")
    going.rmdir()
    worker.resume()
    end = task.wait(DEADLINE_S)

    why = f'the workspace "{going}" cannot be entered: No such file or directory; nothing was run'
    assert (*_ended(end), end.stdout, end.message) == (None, "refused", "", "", why)


@promise("sandbox.runs")
def test_variables_are_kept_only_for_tasks_that_name_a_worker_in_the_same_workspace(
    server: SandboxServer, client: Sandbox
) -> None:
    (server.work / "other").mkdir()
    client.run(code="x = 1", worker="mine").wait()

    again = client.run(code="x += 1; print(x)", worker="mine").wait()
    elsewhere = client.run(code="x", worker="mine", workspace="other").wait()
    without = client.run(code="x").wait()

    assert again.stdout == "2\n"
    assert (elsewhere.error, without.error) == ("NameError", "NameError")


@promise("sandbox.recorded")
def test_a_task_is_in_the_log_as_an_isolated_cell_of_its_user(
    server: SandboxServer, client: Sandbox
) -> None:
    client.run("echo out; echo err >&2", task_id="logged.1").wait()
    client.run(code="y = 5\nimport os\nos.abort()", task_id="logged.2").wait()
    logs = server.logs
    done, died = (logs.wait("cell", cell_id=f"logged.{n}")[0] for n in (1, 2))

    assert {key: done[key] for key in ("actor", "code", "stdout", "stderr", "status")} == {
        "actor": WHO, "code": "%%bash\necho out; echo err >&2", "stdout": "out\n",
        "stderr": "err\n", "status": "ok",
    }  # fmt: skip
    assert logs.one("cell_started", cell_id="logged.1")["actor"] == WHO
    assert (died["error"]["ename"], died["actor"]) == ("WorkerDied", WHO)
    death = logs.one("worker", state="dead", worker_id=died["worker"])
    assert (death["reason"], death["detail"]["signal"]) == ("killed", "SIGABRT")


@promise("sandbox.runs")
def test_a_cell_that_asks_for_a_session_is_told_that_there_is_none(client: Sandbox) -> None:
    code = "import flow_kernel\nflow_kernel.current_session().start_task('x')"

    result = client.run(code=code).wait()

    assert (result.exit_code, result.error) == (1, "IsolationUnavailable")


@promise("sandbox.runs")
def test_signs_of_life_health_and_pings_are_answered_while_tasks_run(
    server: SandboxServer,
) -> None:
    with Raw(server) as raw:
        raw.say({"type": "execute_command", "taskId": "beats", "code": "input()"})
        raw.hear_until("task_output")
        beat = raw.hear_until("heartbeat")[-1]
        pong = raw.ask({"type": "ping", "id": "p"})
        health = raw.ask({"type": "getHealth", "id": "h"})
        raw.say({"type": "terminate_task", "taskId": "beats"})
        raw.hear_until("task_error")

    worker_id = beat["tasks"][0]["workerId"]
    assert beat["tasks"] == [
        {"taskId": "beats", "workerId": worker_id, "state": "running", "seq": 2},
    ]
    assert (pong["type"], pong["id"]) == ("pong", "p")
    assert (health["type"], health["id"], health["tasks"], health["ok"]) == ("health", "h", 1, True)
