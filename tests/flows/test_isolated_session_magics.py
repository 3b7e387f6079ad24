"""Our magics inside an isolated cell, in real kernels: the session runs them, its log has them."""

import sys

import pytest

from tests.isolating import kinds, ok, with_session
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(scope="module")
def kernel(kernel: Kernel) -> Kernel:
    return with_session(kernel)


@pytest.fixture
def own(own: Kernel) -> Kernel:
    return with_session(own)


@promise("isolated.session")
def test_lines_of_magics_work_on_the_session(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nimport os\nname = 'Mixed'\n%task start $name --steps A,B\n%task step A\n"
        "there = os.getpid()\n%task log {1 + 1} of {{3}}\n%task step B\n%task set pid=$there"
    )
    assert ran.status == "ok", ran.error
    logged = [r for r in kernel.logs.records("step") if "log" in r]
    assert [(r["step"], r["log"]) for r in logged] == [("A", "2 of {3}")]
    assert ok(kernel, "current_session().current_task.name") == "'Mixed'"
    assert ok(kernel, f"current_session().context['pid'] != {kernel.pid}") == "True"
    ok(kernel, "%%isolated\n%task finish\nx = 1")


@promise("isolated.session")
def test_an_answer_shows_itself_and_is_text_where_it_is_assigned(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\nprint('above')\n%flow status")
    assert kinds(ran) == ["stdout", "execute_result"]
    assert "recording" in str(ran.result)
    assert "text/html" in ran.of("execute_result")[0]["content"]["data"]
    told = ok(kernel, "%%isolated\nx = %flow status\n'recording' in x, isinstance(x, str)")
    assert told == "(True, True)"
    assert ok(kernel, "%%isolated\nimport os\n%workers").startswith("id")


@promise("isolated.session", "isolated.relay")
def test_what_a_magic_says_stands_where_it_was_said(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nprint('one')\nok = %approve Go?\nprint('two', bool(ok))",
        allow_stdin=True,
        answers=["no"],
    )
    assert ran.status == "ok", ran.error
    first, *between, last = ran.stdout.strip().split("\n")
    assert (first, last) == ("one", "two False")
    assert any("Go?" in line for line in between)


@promise("isolated.session")
def test_an_error_of_a_magic_is_raised_in_the_worker(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\n%task nonsense\nprint('ran')")
    assert ran.reply["ename"] == "UsageError"
    assert 'there is no verb "nonsense"' in ran.stderr
    assert ran.stdout == ""
    ran = kernel.run("%%isolated\n%%isolated\nprint('ran')")
    assert ran.reply["ename"] == "UsageError"
    assert "is in a worker already" in ran.stderr


@promise("isolated.session")
def test_a_bare_question_ends_the_cell_unless_the_answer_is_yes(own: Kernel) -> None:
    cell = "%%isolated\n%approve Go?\nprint('ran')"
    assert ok(own, cell, allow_stdin=True, answers=["yes"]).endswith("ran\n")
    ran = own.run(cell, allow_stdin=True, answers=["no"])
    assert ran.error is not None
    assert ran.error["ename"] == "ApprovalRejected"
    assert len(ran.error["traceback"]) == 1
    assert "ran\n" not in ran.stdout
    parked = own.run(cell)
    assert parked.reply["ename"] == "ApprovalPending"


@promise("isolated.session")
def test_a_body_is_a_step_in_the_worker(kernel: Kernel) -> None:
    ok(kernel, "%task start Bodies")
    pid = ok(kernel, "%%isolated\n%%step Load\nimport os\nprint(os.getpid())")
    assert int(pid) != kernel.pid
    failed = kernel.run("%%isolated\n%%step Add\n1 / 0")
    assert failed.reply["ename"] == "ZeroDivisionError"
    steps = "[(x.name, x.state, x.reason) for x in current_session().tasks.show().steps]"
    assert ok(kernel, steps) == "[('Load', 'done', ''), ('Add', 'failed', 'ZeroDivisionError')]"
    ok(kernel, "%task cancel")
    ran = kernel.run("%%isolated\n%%step Load\nprint('ran')")
    assert "%%step: no task is open here" in ran.stderr


@promise("isolated.session")
def test_a_body_runs_in_the_worker_once_it_is_approved(own: Kernel) -> None:
    cell = "%%isolated\n%%approve Go?\nimport os\nprint('pid', os.getpid())"
    said = ok(own, cell, allow_stdin=True, answers=["yes"])
    assert int(said.rpartition("pid ")[2]) != own.pid
    assert "approved by" in said
    assert ok(own, cell, allow_stdin=True, answers=["skip"]).startswith("– A-0002 Go?")
    ran = own.run(cell, allow_stdin=True, answers=["no"])
    assert ran.reply["ename"] == "ApprovalRejected"
    assert "pid" not in ran.stdout


@promise("isolated.session")
def test_a_checkpoint_is_one_of_the_session(own: Kernel) -> None:
    ok(own, "x = 1")
    ok(own, "%%isolated\ny = x + 1\n%checkpoint here")
    ok(own, "x = 5")
    ok(own, "%%isolated\n%rollback here --state\ny")
    assert ok(own, "x") == "1"


@promise("isolated.session")
def test_arguments_are_kept_from_a_worker(own: Kernel) -> None:
    ok(own, "%task start Kept")
    said = ok(
        own,
        "%%isolated\nfrom flow_kernel import auto_context, legacy, open_flow\n"
        "@auto_context('a', 'b', result='sum')\ndef add(a, b=2): return a + b\n"
        "add(1); legacy.add_to_context('T-0001', old=True)\n"
        "print(open_flow().home.root, open_flow().get_task_context('T-0001'))",
    )
    context = "{'a': 1, 'b': 2, 'old': True, 'sum': 3}"
    assert said == f"{own.home} {context}\n"
    assert ok(own, "dict(sorted(current_session().context.items()))") == context


@promise("isolated.session")
def test_loading_the_extension_in_a_worker_changes_nothing(kernel: Kernel) -> None:
    code = "%%isolated\n%load_ext flow_kernel\nfrom flow_kernel import current_session as c\nc()"
    assert ok(kernel, code) == "<the session of this worker>"
