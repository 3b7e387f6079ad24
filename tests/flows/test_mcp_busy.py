"""An agent beside a cell that runs: it is told what goes on, and no call of it hangs."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.agents import Agent
from tests.kernels import Kernel
from tests.promises import promise
from tests.workers.trees import strike, until

_WAITS = "import time\nprint('epoch 1')\nprint('epoch 2', flush=True)\nwhile True: time.sleep(0.01)"


@pytest.fixture(scope="module")
def agent(flow: Kernel) -> Iterator[Agent]:
    """A server in the kernel of the notebook that a person has open."""
    with Agent(home=flow.home, name="helper") as agent:
        yield agent


@pytest.fixture
def busy(flow: Kernel, agent: Agent) -> Iterator[str]:
    """The id of a cell of the person that runs until it is interrupted."""
    msg_id = flow.send(_WAITS, stop_on_error=False)
    try:
        flow.wait(lambda: "epoch 2" in flow.stream(parent=msg_id))
        until(lambda: _says(agent) == "epoch 2")
        yield msg_id
    finally:
        flow.interrupt()
        flow.collect(msg_id)


def _says(agent: Agent) -> object:
    """The last line of the cell that runs."""
    return (agent.call("run_status").said.get("cell") or {}).get("last_line")


@contextmanager
def _kept_busy(flow: Kernel, agent: Agent) -> Iterator[None]:
    """A cell of the person runs, until the block ends in whatever way."""
    msg_id = flow.send(_WAITS, stop_on_error=False)
    try:
        until(lambda: (agent.call("run_status").said.get("cell") or {}).get("msg_id") == msg_id)
        yield
    finally:
        flow.interrupt()
        flow.collect(msg_id)


@promise("mcp.beside", "mcp.looks")
def test_a_server_that_comes_while_a_cell_runs_works_at_once(flow: Kernel, busy: str) -> None:
    with Agent(home=flow.home) as agent:
        assert agent.call("run_status").said["cell"]["msg_id"] == busy


@promise("mcp.waits")
def test_what_would_wait_behind_a_cell_of_a_person_says_so_at_once(agent: Agent, busy: str) -> None:
    calls = [
        agent.begin("task", action="status"),
        agent.begin("checkpoint", action="list"),
        agent.begin("run_workflow", spec={"name": "one", "steps": []}),
    ]
    for call in calls:
        said = call.result(20).said
        again = agent.call("run_status", run=said["run"]).said

        for told in (said, again):
            behind = told["behind"]
            seconds, cell = behind.pop("s"), behind.pop("cell")
            assert (told["state"], "task" in told) == ("queued", False)
            assert behind == {"by": "user", "code": "import time", "last": "epoch 2"}
            assert 0 < seconds < 60
            assert cell.startswith("In [")
            assert told["how"] == "it has not begun; look again with run_status"
    for call in calls:
        agent.call("run_status", run=call.result().said["run"], cancel=True)


@promise("mcp.waits")
@pytest.mark.parametrize("code", ["ran.append(1)", "%who", "import math", "raise ValueError"])
def test_a_cell_that_is_cancelled_while_it_waits_never_runs_however_short_it_is(
    agent: Agent, flow: Kernel, code: str
) -> None:
    flow.run("ran = []")
    with _kept_busy(flow, agent):
        runs = [agent.run(f"ran.append(0)\n{code}", wait_s=0)["run"] for _ in range(20)]
        kept = agent.run("len(ran)", wait_s=0)["run"]
        told = [agent.call("run_status", run=run, cancel=True).said for run in runs]
    ended = agent.call("run_status", run=kept, wait_s=20).said
    known = [agent.call("run_status", run=run, wait_s=20).said for run in runs]

    assert ended["result"] == "0"
    assert {each["how"] for each in told} == {"it was cancelled and will not run"}
    assert [each["err"] for each in known] == [
        {"type": "KeyboardInterrupt", "msg": "cancelled before it began; nothing of it ran"}
    ] * 20


@promise("mcp.waits")
def test_a_call_that_is_given_up_while_it_waits_never_runs(agent: Agent, flow: Kernel) -> None:
    flow.run("ran = []")
    with _kept_busy(flow, agent):
        codes = {f"given up {n}": f"ran.append({n})" for n in range(20)}
        calls = [
            agent.begin("run_cell", code=code, idempotency_key=key) for key, code in codes.items()
        ]
        asked = itertools.count()  # each of these looks is one call more
        until(lambda: agent.run("1", wait_s=0).get("calls_before", 0) - next(asked) >= 20)
        for call in calls:
            call.cancel()
        for key, code in codes.items():
            until(lambda: "cancelled" in agent.run(code, idempotency_key=key, wait_s=0)["how"])  # noqa: B023 - called at once

    assert agent.run("ran")["result"] == "[]"


@promise("mcp.waits")
def test_a_cell_whose_time_is_over_while_it_waits_never_runs(agent: Agent, flow: Kernel) -> None:
    flow.run("ran = []")
    with _kept_busy(flow, agent):
        run = agent.run("ran.append(1)", wait_s=0, timeout=0.05)["run"]
        until(lambda: "cancelled" in agent.call("run_status", run=run).said["how"])
    ended = agent.call("run_status", run=run, wait_s=20).said

    assert ended["err"] == {"type": "CellTimeout", "msg": "its time was over before it began"}
    assert agent.run("ran")["result"] == "[]"


@promise("mcp.waits")
def test_what_waited_is_told_in_full_by_run_status(agent: Agent, flow: Kernel) -> None:
    flow.run("kept = 1")
    agent.call("checkpoint", name="early")
    with _kept_busy(flow, agent):
        task = agent.call("task", action="start", name="While a cell runs", wait_s=0).said
        dry = agent.call("rollback", to="early", wait_s=0).said
    started = agent.call("run_status", run=task["run"], wait_s=20).said
    known = agent.call("run_status", run=dry["run"], wait_s=20).said
    twice = agent.call("run_status", run=dry["run"]).said
    done = agent.call("rollback", to="early", dry_run=False, confirm=known["confirm"]).said

    assert (task["state"], dry["state"]) == ("queued", "queued")
    assert dry["calls_before"] >= 1
    assert (started["ok"], started["task"]) == (True, "T-0001")
    assert (known["dry_run"], known["confirm"]) == (True, twice["confirm"])
    assert done["ok"]


@promise("mcp.waits")
def test_progress_names_what_is_waited_for_and_what_a_cell_says(
    agent: Agent, flow: Kernel, busy: str
) -> None:
    told = flow.cwd / "told"
    agent.progress.clear()
    queued = agent.begin("run_cell", code="2")
    until(lambda: bool(agent.progress))
    flow.interrupt()
    assert queued.result(20).said["ok"]
    waiting = [text for _, text in agent.progress]
    agent.progress.clear()
    running = agent.begin(
        "run_cell",
        code="import os, time\nprint('step 1\\nstep 2', flush=True)\n"
        f"while not os.path.exists({str(told)!r}): time.sleep(0.01)",
    )
    until(lambda: bool(agent.progress))
    told.touch()

    assert running.result(20).said["ok"]
    assert waiting[0].startswith("queued behind In [")
    assert " of user, which has run " in waiting[0]
    assert [text for _, text in agent.progress] == ["running; 2 lines of output; last: step 2"]


@promise("mcp.waits")
def test_a_run_that_an_earlier_server_began_is_told_with_its_last_line(
    flow: Kernel,
) -> None:
    with Agent(home=flow.home) as first:
        begun = first.run(_WAITS, idempotency_key="left", wait_s=0)
        until(lambda: _says(first) == "epoch 2")
        first.kill()
    with Agent(home=flow.home) as second:
        told = second.run(_WAITS, idempotency_key="left", wait_s=0)
        ended = second.call("run_status", run=begun["run"], cancel=True, wait_s=20).said

    assert (told["state"], told["run"], told["last"]) == ("running", begun["run"], "epoch 2")
    assert ended["err"]["type"] == "KeyboardInterrupt"


@promise("mcp.waits", "mcp.survives")
def test_no_call_hangs_while_the_kernel_is_stopped(flow: Kernel) -> None:
    with Agent(home=flow.home) as agent:
        agent.run("1")
        strike(flow.pid, signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            calls = [agent.begin("run_status") for _ in range(20)]
            calls += [agent.begin("get_history"), agent.begin("get_variable", name="x")]
            calls += [agent.begin("run_cell", code="1", wait_s=0)]
            answers = [each.result(25).said for each in calls]
        finally:
            os.kill(flow.pid, signal.SIGCONT)
        took_s = time.monotonic() - began_s

        assert {each["err"]["type"] for each in answers[:-1]} == {"KernelGone"}
        assert answers[-1]["state"] == "queued"
        assert took_s < 20
        until(lambda: agent.call("run_status").said.get("pid") == flow.pid)
