"""The end of a session of `jupyter flow repl`: nothing unanswered, and no process left behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ends import still_alive
from tests.environments import environment
from tests.kernels import DEADLINE_S, STOCK
from tests.promises import promise
from tests.repl import Repl


@pytest.fixture
def repl() -> Iterator[Repl]:
    with Repl() as repl:
        yield repl


@promise("repl.ends")
def test_the_end_of_stdin_lets_queued_cells_finish_and_the_last_line_needs_no_newline(
    repl: Repl,
) -> None:
    repl.run("the kernel is there")
    for number in range(20):
        repl.say(id=number, code=f"{number}")
    repl.raw(b'{"id":"last","code":"y = input()"}')
    kernels = repl.kernels()
    code = repl.end()
    said = repl.rest()

    assert ([each["id"] for each in said], code) == ([*range(20), "last"], 0)
    assert said[-1]["error"]["ename"] in ("EOFError", "StdinNotImplementedError")
    _gone(kernels)


@promise("repl.ends")
def test_the_end_of_stdin_ends_input_but_not_a_cell_that_works(repl: Repl) -> None:
    repl.say(
        id=1, code="try: input()\nexcept EOFError: print('no more')\nimport time; time.sleep(.1)"
    )
    repl.until("input_request")
    code = repl.end()

    assert ([each["stdout"] for each in repl.rest()], code) == (["no more\n"], 0)


@promise("repl.ends")
def test_a_question_that_comes_after_the_end_of_stdin_is_parked(repl: Repl) -> None:
    repl.say(id=1, code="input()")
    repl.until("input_request")
    repl.say(id=2, code="%approve Go?")
    code = repl.end()
    first, parked = (said for said in repl.rest() if "success" in said)

    assert (first["error"]["ename"], code) == ("EOFError", 0)
    assert parked["error"]["ename"] == "ApprovalPending"


@promise("repl.ends", "repl.asks")
def test_a_question_that_waits_outlives_stdin_and_is_answered_from_elsewhere(repl: Repl) -> None:
    repl.say(id=1, code="bool(get_ipython().run_line_magic('approve', 'Go?'))")
    repl.until("input_request")
    repl.close_input()
    subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "approve", "A-0001", "--home", repl.home],
        env=environment({}),
        capture_output=True,
        check=True,
    )
    said = repl.until("success")

    assert (said["result"], repl.process.wait(DEADLINE_S)) == ("True", 0)


@promise("repl.answers")
def test_a_kernel_that_records_nothing_serves_too() -> None:
    with Repl("--kernel", STOCK) as repl:
        said = repl.run("x = 1; x")
        assert (said["result"], said["debug_info"]["seq"], said["success"]) == ("1", None, True)
        assert repl.end() == 0


@promise("repl.ends")
def test_a_file_of_requests_runs_to_its_end_and_parks_what_needs_a_person(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    codes = ["x = 1", "%approve Go?", *(f"x + {n}" for n in range(300)), "#" * 100_000, "x"]
    requests.write_text("".join(json.dumps({"code": code}) + "\n" for code in codes))
    with requests.open("rb") as stdin, Repl(stdin=stdin) as repl:
        said = [each for each in repl.rest() if "success" in each]

        assert repl.process.wait(DEADLINE_S) == 0
    assert [each["success"] for each in said] == [n != 1 for n in range(len(codes))]
    assert said[1]["error"]["ename"] == "ApprovalPending"
    assert said[-1]["result"] == "1"


@promise("repl.ends")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_ends_a_busy_session_and_its_kernel(repl: Repl, number: int) -> None:
    repl.say(code="print('on', flush=True)\nimport time\nwhile True: time.sleep(0.01)", stream=True)
    repl.until("stream")
    kernels = repl.kernels()
    repl.process.send_signal(number)

    assert repl.process.wait(DEADLINE_S) == 130
    _gone(kernels)
    assert list((repl.root / "tmp").iterdir()) == []


@promise("repl.ends")
def test_a_client_that_stops_reading_ends_the_session_and_its_kernel() -> None:
    with Repl(reads=False) as repl:
        repl.say(code="print('on', flush=True)\nimport time; time.sleep(60)", stream=True)
        said = ""
        while said != "on\n":  # a print is two writes: it may come in two pieces
            said += json.loads(repl.stdout.readline())["text"]
        kernels = repl.kernels()
        repl.stdout.close()

        assert repl.process.wait(DEADLINE_S) == 0
        _gone(kernels)


@promise("repl.ends")
def test_no_kernel_outlives_a_session_that_was_killed(repl: Repl) -> None:
    repl.say(code="print('on', flush=True)\nimport time\nwhile True: time.sleep(0.01)", stream=True)
    repl.until("stream")
    kernels = repl.kernels()
    repl.process.kill()

    assert len(kernels) == 1
    _gone(kernels)


@promise("repl.ends")
def test_a_client_that_does_not_read_keeps_us_from_no_signal() -> None:
    with Repl(reads=False) as repl:
        repl.say(code="print('x' * 3_000_000)", stream=True)
        repl.wait_for(lambda: repl.unread() > 60_000)
        kernels = repl.kernels()
        repl.process.send_signal(signal.SIGTERM)

        assert repl.process.wait(DEADLINE_S) == 130
        _gone(kernels)


@promise("repl.ends")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--kernel", "no-such-kernel"), 2, 'Jupyter knows no kernel "no-such-kernel"'),
        (("--timeout", "soon"), 2, "is no duration"),
        (("--timeout", "0"), 2, '"timeout" is a number'),
        (("--task", " "), 2, "a task needs a name"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: Any, code: int, says: str) -> None:
    with Repl(*arguments) as repl:
        assert repl.process.wait(DEADLINE_S) == code
        assert says in repl.remarks()
        assert repl.rest() == []


def _gone(processes: list[psutil.Process]) -> None:
    assert processes
    assert still_alive(processes, DEADLINE_S) == []
