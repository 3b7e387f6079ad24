"""What goes wrong between an agent and its session: bad calls, dead kernels, closed pipes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from mcp.shared.exceptions import MCPError

from flow_kernel.apps.control_client import find_kernel
from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from tests.agents import LEGACY, Agent
from tests.ends import still_alive
from tests.environments import environment
from tests.kernels import Kernel
from tests.promises import promise
from tests.workers.trees import until

_COUNTS = "counts = globals().get('counts', 0) + 1\ncounts"
_UNTIL = "import os, time\nwhile not os.path.exists({!r}): time.sleep(0.01)\n"
_LONG = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.01)"


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """A server with a kernel of its own."""
    with Agent("--new") as agent:
        yield agent


@promise("mcp.survives")
@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("run_cell", {}, "code is missing"),
        ("run_cell", {"code": "1", "cody": 1}, "there is no argument 'cody'"),
        ("run_cell", {"code": 5}, "code is of type string, not 5"),
        ("run_cell", {"code": "1", "isolated": "yes"}, "isolated is of type boolean, not 'yes'"),
        ("run_cell", {"code": "1", "timeout": True}, "timeout is of type number, not True"),
        ("run_cell", {"code": "1", "wait_s": -1}, "wait_s is between 0 and 86400, not -1"),
        ("run_cell", {"code": "1", "expect_rev": 1.5}, "expect_rev is of type integer, not 1.5"),
        ("run_cell", {"code": "1", "task": "T-0099"}, "the open task is T-0000, not T-0099"),
        ("run_cell", {"code": "x" * 10_000_000}, "code has 10000000 characters, at most 1000000"),
        ("run_cell", {"code": "1", "idempotency_key": "k" * 6000}, "idempotency_key has 6000 char"),
        ("run_status", {"run": "nothing"}, "no run 'nothing' is known"),
        ("run_status", {"run": "A-9999"}, "there is no approval A-9999"),
        ("task", {"action": "approve"}, "action is one of start, step, log, set, finish, fail"),
        ("task", {"action": "start", "name": "x", "steps": "a,b"}, "steps is of type array"),
        ("task", {"action": "start", "name": "x", "steps": [1]}, "an item of steps is of type str"),
        ("task", {"action": "start", "name": "x", "steps": ["a,b"]}, "the name of a step has no"),
        ("task", {"action": "step"}, "step takes a name"),
        ("request_approval", {"message": " "}, "a question needs a message"),
        ("request_approval", {"message": "m" * 5001}, "message has 5001 characters"),
        ("checkpoint", {"name": "list"}, "a checkpoint cannot be named 'list'"),
        ("rollback", {"to": "--trust"}, "'--trust' is no checkpoint"),
        ("get_history", {"kinds": "cell"}, "kinds is of type array, not 'cell'"),
        ("get_history", {"limit": 0}, "limit is between 1 and 50, not 0"),
        ("get_variable", {"name": "a.b; c"}, "'a.b; c' is no name of a variable"),
        ("get_variable", {"name": "nothing_of_the_kind"}, "there is no variable"),
        ("run_workflow", {}, "give a file or a spec"),
        ("kernel", {"action": "attach", "name": "nobody"}, "no kernel named 'nobody' runs"),
    ],
)
def test_a_call_that_cannot_be_followed_is_told_what_is_wrong(
    agent: Agent, tool: str, arguments: dict[str, Any], message: str
) -> None:
    answer = agent.call(tool, **arguments)

    assert answer.is_error
    assert answer.said["err"]["msg"].startswith(message)


@promise("mcp.survives")
def test_an_unknown_tool_or_resource_is_an_error_of_the_protocol(agent: Agent) -> None:
    with pytest.raises(MCPError, match="there is no tool 'approve'"):
        agent.call("approve", approval_id="A-0001")
    for uri in ("flow://run/x", "file:///etc/passwd", "flow://run/..%2F..%2Fetc/stdout"):
        with pytest.raises(MCPError, match=r"there is no resource|no run"):
            agent.read(uri)
    with pytest.raises(MCPError, match="start is a number"):
        agent.read(f"flow://run/{agent.run('1')['run']}/stdout?start=-1")


@promise("mcp.survives")
def test_text_that_is_no_unicode_and_hostile_values_cost_nothing_but_themselves(
    agent: Agent,
) -> None:
    odd = agent.run(r"print('\ud800 \x00 \u202e'); 10**100")
    raising = agent.run("class Bad:\n    def __repr__(self): raise ValueError('no')\nbad = Bad()")
    shown = agent.call("get_variable", name="bad")

    assert (odd["ok"], raising["ok"]) == (True, True)
    assert shown.is_error
    assert "ValueError: no" in shown.said["err"]["msg"]


@promise("mcp.survives")
@pytest.mark.parametrize(
    ("number", "reason"),
    [(11, "segfault by SIGSEGV"), (40, "killed by signal 40")],
    ids=["fault", "nameless"],
)
def test_the_death_of_the_kernel_is_told_with_its_reason_and_a_new_one_goes_on(
    agent: Agent, number: int, reason: str
) -> None:
    agent.run("lost = 1")
    died = agent.call(
        "run_cell", code=f"print('last', flush=True)\nimport os; os.kill(os.getpid(), {number})"
    )
    following = agent.run("'lost' in globals()")

    assert died.is_error
    assert died.said["err"]["type"] == "KernelDied"
    assert reason in died.said["err"]["msg"]
    assert "last output: last" in died.said["err"]["msg"]
    assert following["result"] == "False"
    assert "this is a new kernel" in following["notes"][0]


@promise("mcp.survives")
def test_all_calls_in_flight_end_when_the_kernel_is_killed(agent: Agent) -> None:
    running = agent.begin("run_cell", code=_LONG)
    pid = agent.kernel_pid()
    until(lambda: agent.call("run_status").said["busy"])
    queued = [agent.begin("run_cell", code="1") for _ in range(5)]
    os.kill(pid, signal.SIGKILL)

    answers = [each.result(20).said for each in (running, *queued)]
    kinds = [answer["err"]["type"] for answer in answers if not answer["ok"]]
    assert kinds[0] == "KernelDied"
    assert "SIGKILL" in answers[0]["err"]["msg"]
    assert set(kinds) == {"KernelDied"}
    assert agent.run("1 + 1")["result"] == "2"


@promise("mcp.beside")
def test_an_agent_that_works_elsewhere_comes_back_to_its_own_kernel(agent: Agent) -> None:
    own = str(agent.kernel_pid())
    with pytest.raises(NotFound, match="no kernel runs on"):
        find_kernel(Home(agent.home))
    with Kernel(home=agent.home) as other:
        other.ready()
        assert find_kernel(Home(agent.home)).process.pid == other.pid
        attached = agent.cwd / "attached"
        code = f"{_UNTIL.format(str(attached))}mine = 1"
        running = agent.begin("run_cell", code=code)
        until(lambda: agent.call("run_status").said["busy"])
        agent.call("kernel", action="attach", name=str(other.pid))
        left = running.result(20).said
        attached.touch()
        elsewhere = agent.run("'mine' in globals()")["result"]
        agent.call("kernel", action="attach", name=own)

        assert left["err"]["type"] == "KernelLeft"
        assert (elsewhere, agent.run("mine")["result"]) == ("False", "1")
        assert agent.kernel_pid() == int(own)


@promise("mcp.survives")
def test_a_hundred_calls_in_flight_are_all_answered(agent: Agent) -> None:
    calls = [agent.begin("run_cell", code=f"{n} * 2") for n in range(100)]

    assert [each.result(30).said["result"] for each in calls] == [str(n * 2) for n in range(100)]


@promise("mcp.once", "mcp.survives")
def test_a_new_server_knows_what_the_killed_one_has_begun(flow: Kernel) -> None:
    go = flow.cwd / "go"
    code = _UNTIL.format(str(go)) + "runs = globals().get('runs', 0) + 1\nprint('out')\nruns"
    with Agent(home=flow.home) as first:
        done = first.run("done = 'once'; done", idempotency_key="a")
        begun = first.run(code, idempotency_key="b", wait_s=0)
        until(lambda: first.call("run_status", run=begun["run"]).said["state"] == "running")
        queued = first.run(_COUNTS, idempotency_key="c", wait_s=0)
        first.kill()
    with Agent(home=flow.home, mode=LEGACY) as second:
        again = second.run("done = 'once'; done", idempotency_key="a")
        early = second.begin("run_cell", code=_COUNTS, idempotency_key="c")
        joining = second.begin("run_cell", code=code, idempotency_key="b")
        until(lambda: second.call("run_status", run=begun["run"]).said["state"] == "running")
        go.touch()
        joined, late = (each.result(20).said for each in (joining, early))

        assert (again["run"], again["result"]) == (done["run"], "'once'")
        assert (queued["state"], late["run"], late["result"]) == ("queued", queued["run"], "1")
        assert second.run("counts")["result"] == "1"
        assert (joined["run"], joined["result"], joined["out"]) == (begun["run"], "1", "out\n")
        assert second.run("runs")["result"] == "1"
        assert second.read(f"flow://run/{begun['run']}/stdout") == "out\n"


@promise("mcp.survives")
def test_the_kernel_of_a_notebook_that_dies_is_not_replaced_but_found_again() -> None:
    with Kernel() as notebook, Agent(home=notebook.ready().home) as agent:
        notebook.run("x = 1")
        assert agent.run("x")["result"] == "1"
        running = agent.begin("run_cell", code=_LONG)
        until(lambda: agent.call("run_status").said["busy"])
        notebook.kill()
        died = running.result(20).said
        gone = agent.call("run_cell", code="x")
        notebook.restart().ready()
        back = agent.run("'x' in globals()")

        assert died["err"]["type"] == "KernelDied"
        assert gone.said["err"]["type"] == "KernelGone"
        assert back["result"] == "False"
        assert "this is a new kernel" in back["notes"][0]


@promise("mcp.survives")
def test_a_client_that_vanishes_leaves_no_process_and_its_cell_runs_on(flow: Kernel) -> None:
    with Agent(home=flow.home) as agent:
        agent.run("import time; time.sleep(0.5); outlived = 1", wait_s=0)
        agent.close()

        assert not agent.server.is_running()
    assert flow.run("outlived").result == "1"


@promise("mcp.survives")
def test_bytes_that_are_no_message_and_a_closed_stdout_end_nothing_else() -> None:
    with Agent("--new") as agent:
        root = agent.root
        server = subprocess.Popen(
            [sys.executable, "-m", "flow_kernel.apps.cli", "mcp", "--new"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env=environment(
                {"FLOW_HOME": str(root / "other"), "IPYTHONDIR": str(root / "ipython")}
            ),
        )
        assert server.stdin is not None
        assert server.stdout is not None
        children: list[psutil.Process] = []
        until(lambda: children.extend(psutil.Process(server.pid).children()) or bool(children))
        server.stdin.write(b"no json\n\xff\xfe\n{}\n[1]\n" + b"x" * 100_000 + b"\n")
        server.stdin.flush()
        server.stdout.close()
        server.stdin.close()

        assert server.wait(20) in (0, 1)
        assert still_alive(children, 20) == []
        assert agent.run("1")["ok"]
