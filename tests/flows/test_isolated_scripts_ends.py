"""Scripts of bash in real kernels: asked for input, stopped, held to limits, killed."""

import os
import shutil
import signal
import sys
import uuid

import psutil
import pytest

from tests.isolating import is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash"),
]

SCRIPT = "%%isolated --worker script --shell"


@pytest.fixture
def worker(kernel: Kernel) -> int:
    """The process of the worker that the scripts run in, which has a variable."""
    return int(ok(kernel, "%%isolated --worker script\nimport os; kept = 5; os.getpid()"))


def lives_on(kernel: Kernel, worker: int) -> bool:
    return ok(kernel, "%%isolated --worker script\nos.getpid(), kept") == f"({worker}, 5)"


def pid_in(kernel: Kernel, name: str) -> int:
    path = kernel.cwd / name
    kernel.wait(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def prompt(kernel: Kernel) -> str:
    """What the cell asks next; nobody answers."""
    kernel.wait(lambda: bool(kernel.inputs))
    return str(kernel.inputs.pop()["content"]["prompt"])


@promise("isolated.scripts")
def test_whoever_reads_in_a_script_asks_in_the_cell(kernel: Kernel) -> None:
    ran = kernel.run(
        f'{SCRIPT}\nread name; echo "hello $name"\n{sys.executable} -c "print(input(\'age? \'))"',
        allow_stdin=True,
        answers=["Ada", "36"],
    )
    assert (ran.status, ran.stdout) == ("ok", "hello Ada\nage? 36\n")


@promise("isolated.scripts")
def test_the_end_of_a_file_at_the_prompt_ends_what_the_script_reads(kernel: Kernel) -> None:
    ran = kernel.run(f"{SCRIPT}\ncat; echo ended", allow_stdin=True, answers=["one", "\x04"])
    assert ran.stdout == "one\nended\n"


@promise("isolated.scripts")
def test_where_nobody_can_type_a_script_reads_the_end_of_its_input(kernel: Kernel) -> None:
    ran = kernel.run(f'{SCRIPT}\nread x; echo "$?[$x]"', allow_stdin=False)
    assert ran.stdout == "1[]\n"


@promise("isolated.scripts")
def test_a_question_that_nobody_waits_for_any_more_keeps_no_cell(kernel: Kernel) -> None:
    msg_id = kernel.send(
        f"{SCRIPT}\ncat <&0 & until [ -e asked ]; do sleep 0.01; done; exit 0", allow_stdin=True
    )
    assert prompt(kernel) == "cat reads: "
    (kernel.cwd / "asked").touch()
    assert kernel.collect(msg_id).status == "ok"
    assert ok(kernel, f"{SCRIPT}\nread x; echo $x", allow_stdin=True, answers=["new"]) == "new\n"


@promise("isolated.scripts", "isolated.interrupt")
def test_an_interrupt_stops_the_script_and_its_worker_goes_on(kernel: Kernel, worker: int) -> None:
    ran = kernel.interrupted(f"{SCRIPT}\ntouch begun; sleep 60; echo never")
    assert (ran.reply["ename"], ran.stdout) == ("KeyboardInterrupt", "")
    assert [m["content"]["traceback"] for m in ran.of("error")] == [["KeyboardInterrupt"]]
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.interrupt")
def test_a_script_may_clean_up_after_an_interrupt(kernel: Kernel, worker: int) -> None:
    ran = kernel.interrupted(f"{SCRIPT}\ntrap 'echo cleaned; exit 9' INT\ntouch begun; sleep 60")
    assert (ran.reply["ename"], ran.stdout) == ("KeyboardInterrupt", "cleaned\n")
    # Made by what sleeps: bash may not have begun it yet when a command before it is done.
    sleeps = "sh -c 'touch begun; exec sleep 60'"
    ran = kernel.interrupted(f"{SCRIPT}\ntrap 'echo on' INT\n{sleeps}; true")
    assert (ran.status, ran.stdout) == ("ok", "on\n")
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.interrupt")
def test_an_interrupt_while_a_script_asks_stops_it(kernel: Kernel, worker: int) -> None:
    msg_id = kernel.send(f"{SCRIPT}\nread x; echo never", allow_stdin=True)
    assert prompt(kernel) == "bash reads: "
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.limits")
def test_a_script_that_ignores_its_limit_is_killed_and_its_worker_lives_on(
    kernel: Kernel, worker: int
) -> None:
    ran = kernel.run(f"{SCRIPT} --timeout 0.2\ntrap '' INT TERM; while :; do sleep 0.1; done")
    assert ran.reply["ename"] == "CellTimeout"
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.limits")
@pytest.mark.parametrize(
    ("limit", "text", "told"),
    [
        ("--timeout 0.2", "sleep 60", "0.2 s that it may run"),
        ("--cpu 0.2", "while :; do :; done", "0.2 s of CPU time"),
        ("--output 1M", "yes", "said more than 1.0 MB"),
        ("--processes 6", "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; wait", "more than 6"),
    ],
)
def test_a_script_is_held_to_its_limits(
    kernel: Kernel, worker: int, limit: str, text: str, told: str
) -> None:
    ran = kernel.run(f"{SCRIPT} {limit}\n{text}")
    assert ran.reply["ename"] == "CellTimeout"
    assert told in ran.reply["evalue"]
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.limits")
def test_a_program_of_a_script_gets_no_more_memory_than_it_may_have(
    kernel: Kernel, worker: int
) -> None:
    ran = kernel.run(f"{SCRIPT} --memory 200M\n{sys.executable} -c 'bytearray(10**9)'")
    assert (ran.reply["ename"], "MemoryError" in ran.stderr) == ("ScriptFailed", True)
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.limits")
def test_programs_of_a_script_that_hold_too_much_together_are_killed_and_not_the_worker(
    kernel: Kernel, worker: int
) -> None:
    hog = f"{sys.executable} -c 'import time; hog = bytearray(120_000_000); time.sleep(60)'"
    ran = kernel.run(f"{SCRIPT} --memory 200M\nfor i in 1 2 3; do {hog} & done; wait")
    assert ran.reply["ename"] == "MemoryLimitExceeded"
    assert "its worker and the variables there live on" in ran.reply["evalue"]
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.orphans")
def test_a_script_goes_with_its_session(own: Kernel) -> None:
    own.send("%%isolated --shell\necho $$ > bash; sleep 60; true")
    bash = pid_in(own, "bash")
    own.kill()
    assert is_gone(bash)


@promise("isolated.scripts")
def test_a_thread_that_reads_asks_as_well(kernel: Kernel) -> None:
    code = "import threading; threading.Thread(target=lambda: print(input())).start()"
    ran = kernel.run(
        f"{SCRIPT}\n{sys.executable} -c '{code}'", allow_stdin=True, answers=["from a thread"]
    )
    assert ran.stdout == "from a thread\n"


@promise("isolated.scripts", "isolated.orphans")
def test_what_a_script_leaves_running_ends_with_it(kernel: Kernel) -> None:
    ran = kernel.run(
        f"{SCRIPT}\nsleep 60 & echo $!\n(setsid sh -c 'echo $$ > away; exec sleep 60' &)\n"
        "until [ -s away ]; do sleep 0.01; done\n"
    )
    assert ran.status == "ok"
    assert "2 processes that the script left running were ended" in ran.stderr
    assert all(map(is_gone, (int(ran.stdout), pid_in(kernel, "away"))))


@promise("isolated.scripts")
def test_what_a_cell_of_python_has_started_survives_a_script(kernel: Kernel, worker: int) -> None:
    code = "import subprocess; server = subprocess.Popen(['sleep', '60']); server.pid"
    ok(kernel, f"%%isolated --worker script\n{code}")
    assert ok(kernel, f"{SCRIPT}\necho done") == "done\n"
    code = "was_running = server.poll() is None; server.kill(); server.wait(); was_running"
    assert ok(kernel, f"%%isolated --worker script\n{code}") == "True"


@promise("isolated.scripts")
def test_bash_that_is_killed_from_outside_ends_the_cell(kernel: Kernel, worker: int) -> None:
    msg_id = kernel.send(f"{SCRIPT}\necho $$ > bash; sleep 60; true")
    os.kill(pid_in(kernel, "bash"), signal.SIGKILL)
    ran = kernel.collect(msg_id)
    assert ran.reply["evalue"] == "the script was ended by SIGKILL"
    assert lives_on(kernel, worker)


@promise("isolated.scripts", "isolated.survives", "isolated.orphans")
def test_a_script_goes_with_its_worker(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --fresh --shell\necho $$; kill -9 $PPID; sleep 60")
    assert ran.error is not None
    assert (ran.error["ename"], "SIGKILL" in ran.error["evalue"]) == ("WorkerDied", True)
    assert is_gone(int(ran.stdout))


@promise("isolated.scripts", "isolated.limits")
def test_a_script_that_forks_and_forks_dies_with_all_of_it_and_the_worker_does_not(
    kernel: Kernel, worker: int
) -> None:
    seconds = f"61.{uuid.uuid4().int % 10**9}"  # another test sleeps as well
    bomb = (
        "trap '' INT TERM\n"
        f"bomb() {{ (($1)) && {{ bomb $(($1 - 1)) & bomb $(($1 - 1)) & sleep {seconds}; }}; }}\n"
        "bomb 6"
    )
    ran = kernel.run(f"{SCRIPT} --processes 20\n{bomb}")
    assert ran.reply["ename"] == "CellTimeout"
    assert "started more than 20 processes" in ran.reply["evalue"]
    assert lives_on(kernel, worker)
    commands = [each.info["cmdline"] or () for each in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if seconds in command] == []


@promise("isolated.scripts", "isolated.interrupt")
def test_a_script_that_hears_nothing_is_killed_for_the_fourth_and_its_worker_is_not(
    kernel: Kernel, worker: int
) -> None:
    msg_id = kernel.send(f"{SCRIPT}\ntrap '' INT TERM; echo ready; while :; do sleep 61.5; done")
    kernel.wait(lambda: "ready" in kernel.stream("stdout", parent=msg_id))
    for _ in range(4):
        kernel.interrupt()
        kernel.pump(0.2)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert lives_on(kernel, worker)
