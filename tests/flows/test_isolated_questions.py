"""Questions that code in a worker asks, in real kernels: who waits, who stops them, who dies."""

import os
import signal
import sys
import time

import pytest

from tests.isolating import IMPORT, ok, there, with_session
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

ASK = f"%%isolated\n{IMPORT}answer = s.request_approval('Go?', payload={{'n': 1}})\nprint(answer)"


@pytest.fixture(scope="module")
def kernel(kernel: Kernel) -> Kernel:
    return with_session(kernel)


@pytest.fixture
def own(own: Kernel) -> Kernel:
    return with_session(own)


@promise("isolated.session")
def test_a_question_is_asked_in_the_box_of_the_cell(kernel: Kernel) -> None:
    assert ok(kernel, ASK, allow_stdin=True, answers=["yes"]).endswith("True\n")
    assert ok(kernel, ASK, allow_stdin=True, answers=["no"]).endswith("False\n")
    # The box of `input()` is another one, and gets its own answer.
    both = f"%%isolated\n{IMPORT}print(s.request_approval('Go?'), input('name? '))"
    assert ok(kernel, both, allow_stdin=True, answers=["yes", "Ada"]).endswith("True Ada\n")


@promise("isolated.session")
def test_a_question_parks_and_a_rerun_goes_on(own: Kernel) -> None:
    parked = own.run(ASK)
    assert parked.error is not None
    assert parked.error["ename"] == "ApprovalPending"
    assert len(parked.error["traceback"]) == 1
    question = own.logs.one("approval", status="open")
    assert question["code_sha256"] == own.logs.one("cell", msg_id=parked.msg_id)["code_sha256"]
    ok(own, f"!{sys.executable} -m flow_kernel.apps.cli approve A-0001 --as ann")
    assert ok(own, ASK).endswith("True\n")
    caught = f"{ASK[: ASK.index('answer')]}from flow_kernel.errors import ApprovalPending\n"
    caught += "try: s.request_approval('Else?')\nexcept ApprovalPending as e: print(e.approval_id)"
    assert ok(own, caught) == "A-0002\n"


def wait_for_question(kernel: Kernel, approval_id: str) -> None:
    kernel.wait(lambda: bool(kernel.logs.records("approval", approval_id=approval_id)))


@promise("isolated.session", "isolated.interrupt")
def test_an_interrupt_ends_an_open_question_and_leaves_no_answer_behind(own: Kernel) -> None:
    msg_id = own.send(
        f"%%isolated\n{IMPORT}try: s.request_approval('Go?', park=False)\n"
        "except KeyboardInterrupt: print('stopped', input('name? '))",
        allow_stdin=True,
    )
    wait_for_question(own, "A-0001")
    own.wait(lambda: bool(own.inputs))
    own.inputs.clear()
    own.interrupt()
    ran = own.collect(msg_id, answers=["Ada"])
    assert ran.stdout.endswith("stopped Ada\n")
    assert own.logs.records("approval")[-1]["status"] == "cancelled"
    assert own.logs.records("approval")[-1]["channel"] == "interrupt"
    assert there(own, "s.current_task is None") == "True"


@promise("isolated.session", "isolated.survives")
def test_a_worker_that_is_killed_takes_its_question_back(own: Kernel) -> None:
    ok(own, "%task start Killed")
    msg_id = own.send(
        f"%%isolated\n{IMPORT}import os; open('pid', 'w').write(str(os.getpid()))\n"
        "with s.step('Ask'): s.request_approval('Go?', park=False)"
    )
    wait_for_question(own, "A-0001")
    os.kill(int((own.cwd / "pid").read_text()), signal.SIGKILL)
    ran = own.collect(msg_id)
    assert ran.reply["ename"] == "WorkerDied"
    question = own.logs.records("approval")[-1]
    assert (question["status"], question["channel"]) == ("cancelled", "gone")
    state = "[(x.state, x.reason) for x in current_session().tasks.show().steps]"
    assert ok(own, state) == "[('failed', 'WorkerDied')]"
    assert there(own, "s.current_task.name") == "'Killed'"


@promise("isolated.session", "isolated.limits")
def test_the_time_of_a_person_is_not_the_time_of_the_cell(kernel: Kernel) -> None:
    msg_id = kernel.send(ASK.replace("%%isolated", "%%isolated --timeout 2"), allow_stdin=True)
    kernel.wait(lambda: bool(kernel.inputs))
    thought_until_s = time.monotonic() + 2.5
    while time.monotonic() < thought_until_s:
        kernel.pump(0.1)
    ran = kernel.collect(msg_id, answers=["yes"])
    assert ran.status == "ok", ran.error


@promise("isolated.session", "isolated.interrupt")
def test_a_limit_that_ends_a_cell_in_a_call_leaves_no_answer_behind(kernel: Kernel) -> None:
    cell = f"%%isolated --worker hammer --timeout 0.2\n{IMPORT}while True: s.current_task"
    for _ in range(5):
        assert kernel.run(cell).reply["ename"] == "CellTimeout"
        both = "%%isolated --worker hammer\ninput('name? '), s.current_task is None"
        assert ok(kernel, both, allow_stdin=True, answers=["Ada"]) == "('Ada', True)"


@promise("isolated.session")
def test_a_call_within_a_call_is_refused_and_the_outer_one_is_answered(own: Kernel) -> None:
    said = there(
        own,
        "import signal\nsaid = []\n"
        "def again(*_):\n"
        "    try: s.current_task\n"
        "    except LookupError as error: said.append(str(error))\n"
        "signal.signal(signal.SIGALRM, again); signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "answer = s.request_approval('Go?', timeout_s=1, on_timeout='approve', park=False)\n"
        "signal.signal(signal.SIGALRM, signal.SIG_DFL)\nprint(answer, said)",
    )
    assert "True ['the session is at work on another call of this cell; call it" in said
