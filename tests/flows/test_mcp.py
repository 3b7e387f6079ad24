"""An agent works in a session over the Model Context Protocol, in both eras of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents import ERAS, LEGACY, MODERN, Agent, approve, document
from tests.kernels import Kernel
from tests.logs import TaskLogs
from tests.promises import promise
from tests.workers.trees import until

_LIMIT = 2400


@pytest.fixture(scope="module", params=ERAS)
def agent(request: pytest.FixtureRequest) -> Iterator[Agent]:
    """A server with a kernel of its own, in one era of the protocol."""
    with Agent("--new", mode=request.param) as agent:
        yield agent


@pytest.fixture(scope="module")
def beside(flow: Kernel) -> Iterator[Agent]:
    """A server in the kernel of the notebook that a person has open."""
    with Agent(home=flow.home, name="helper") as agent:
        yield agent


@promise("mcp.small")
def test_the_tools_fit_into_three_thousand_tokens_and_none_of_them_approves(agent: Agent) -> None:
    listed = agent.tools()
    names = {tool.name for tool in listed.tools}

    assert agent.version == ("2025-11-25" if agent.version < MODERN else MODERN)
    assert names == {
        "run_cell", "run_status", "task", "request_approval", "checkpoint", "rollback",
        "get_history", "get_variable", "run_workflow", "kernel",
    }  # fmt: skip
    assert len(document(listed)) / 4 <= 3000
    assert all(tool.annotations is not None for tool in listed.tools)
    assert not [name for name in names if "approve" in name or "decide" in name]


@promise("mcp.answers")
def test_a_cell_is_answered_with_output_value_diff_and_rev(agent: Agent) -> None:
    first = agent.run("print('hi'); rows = [1, 2, 3]; rows")
    second = agent.run("rows = 5")
    third = agent.run("del rows")

    assert (first["ok"], first["out"], first["result"]) == (True, "hi\n", "[1, 2, 3]")
    assert first["diff"] == {"+": ["rows: list [1, 2, 3]"]}
    assert second["diff"] == {"~": ["rows: int 5"]}
    assert third["diff"] == {"-": ["rows"]}
    assert first["rev"] < second["rev"] < third["rev"]


@promise("mcp.answers")
def test_an_error_has_its_message_and_the_frames_of_the_users_own_code(agent: Agent) -> None:
    answer = agent.call(
        "run_cell", code="import json\ndef load(text):\n    return json.loads(text)\n\nload('{')"
    )

    error = answer.said["err"]
    assert answer.is_error
    assert (error["type"], error["line"]) == ("JSONDecodeError", 3)
    assert error["msg"].startswith("Expecting property name")
    assert [frame.partition(": ")[2] for frame in error["tb"]] == [
        "load('{')",
        "return json.loads(text)",
    ]


@promise("mcp.small")
def test_a_flood_is_answered_in_2400_characters_and_read_in_pages(agent: Agent) -> None:
    answer = agent.call("run_cell", code="for i in range(20_000): print('line', i)")
    whole = "".join(f"line {i}\n" for i in range(20_000))

    assert len(answer.text) <= _LIMIT
    assert answer.said["more"] == {"uri": answer.links[0], "chars": len(whole)}
    assert answer.said["out"].startswith("line 0\nline 1\n")
    assert answer.said["out"].endswith("line 19999\n")
    page = agent.read(f"{answer.links[0]}?start=100000&chars=50")
    assert page == (
        f"{whole[100_000:100_050]}\n[characters 100000 to 100050 of {len(whole)};"
        f" next: {answer.links[0]}?start=100050]"
    )


@promise("mcp.small")
def test_a_long_value_and_a_long_stderr_are_read_in_pages_too(agent: Agent) -> None:
    answer = agent.call("run_cell", code="import sys; sys.stderr.write('e' * 3000); 'v' * 3000")
    stderr, value = answer.links

    assert len(answer.text) <= _LIMIT
    assert answer.said["more_stderr"] == {"uri": stderr, "chars": 3000}
    assert answer.said["more_result"] == {"uri": value, "chars": 3002}
    assert (agent.read(stderr), agent.read(value)) == ("e" * 3000, repr("v" * 3000))


@promise("mcp.small")
def test_no_control_character_and_no_rewritten_line_reaches_the_agent(agent: Agent) -> None:
    said = agent.run(r"print('\x1b[31mred\x1b[0m\x07'); print('10 %\r90 %\r100 %')")

    assert said["out"] == "red\n100 %\n"


@promise("mcp.isolated")
def test_an_isolated_cell_may_crash_and_the_session_goes_on(agent: Agent) -> None:
    agent.run("kept = 20")
    inside = agent.run("kept + 1", isolated=True)
    died = agent.run("import os; os.kill(os.getpid(), 11)", isolated=True)

    assert (inside["result"], inside["worker"]) == ("21", "w1")
    assert died["err"]["type"] == "WorkerDied"
    assert agent.run("kept")["result"] == "20"


@promise("mcp.waits")
def test_a_long_cell_is_waited_for_in_bounds_told_of_and_cancelled(agent: Agent) -> None:
    begun = agent.run(
        "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.01)", wait_s=0.5
    )
    until(lambda: agent.call("run_status", run=begun["run"]).said.get("out") == "begun\n")
    agent.progress.clear()
    waits = agent.begin("run_status", run=begun["run"], wait_s=20)
    until(lambda: bool(agent.progress))
    busy = agent.call("run_status").said
    running = agent.call("run_status", run=begun["run"]).said
    ended = agent.call("run_status", run=begun["run"], cancel=True, wait_s=10).said

    assert (begun["state"], running["state"], running["out"]) == ("running", "running", "begun\n")
    assert waits.result(20).said["err"] == ended["err"]
    assert (busy["busy"], busy["cell"]["msg_id"]) == (True, begun["run"])
    assert ended["err"]["type"] == "KeyboardInterrupt"
    assert agent.progress[-1][1].startswith("running; ")
    assert agent.progress[-1][1].endswith(" of output; last: begun")


@promise("mcp.waits")
def test_a_timeout_interrupts_the_cell(agent: Agent) -> None:
    said = agent.run("while True: pass", timeout=0.3)

    assert said["err"] == {"type": "CellTimeout", "msg": "its time was over; it was interrupted"}


@promise("mcp.waits")
def test_a_cancelled_call_interrupts_its_own_cell_and_no_other(agent: Agent) -> None:
    first = agent.begin("run_cell", code="import time\nwhile True: time.sleep(0.01)")
    until(lambda: agent.call("run_status").said["busy"])
    queued = agent.begin("run_cell", code="second = 2")
    third = agent.begin("run_cell", code="third = 3")
    queued.cancel()
    first.cancel()

    assert third.result(20).said["ok"]
    assert agent.call("run_status").said["busy"] is False


@promise("mcp.once")
def test_a_repeat_with_the_same_key_is_the_same_run(agent: Agent) -> None:
    code = "import time\ntime.sleep(0.3)\ncounted = globals().get('counted', 0) + 1\ncounted"
    one, two = (agent.begin("run_cell", code=code, idempotency_key="k1") for _ in range(2))
    first, second = one.result(20).said, two.result(20).said
    third = agent.run(code, idempotency_key="k1")
    other = agent.call("run_cell", code="1", idempotency_key="k1")

    assert first["result"] == second["result"] == third["result"] == "1"
    assert first["run"] == second["run"] == third["run"]
    assert (other.is_error, other.said["err"]["type"]) == (True, "UsageError")


@promise("mcp.task")
def test_a_task_holds_whatever_names_and_values_it_is_given(agent: Agent) -> None:
    name, text = 'Clean {x} $y it\'s "so"?', "50 % of {all}; $HOME"
    started = agent.call("task", action="start", name=name, text=text, steps=["a {b}", "c"]).said
    agent.call("task", action="step", name="a {b}")
    agent.call("task", action="log", text="cost $5 {n}?")
    agent.call("task", action="set", values={"k": {"it's": [1, None]}, "s": "{x}$y"})
    agent.call("task", action="set", values={"two  blanks": 'a  "b  c"\nd\te'})
    failed = agent.call("task", action="fail", text="why {not}?").said

    logs = TaskLogs(agent.home)
    task = logs.records("task", task_id=started["task"])[0]
    context = {r["key"]: r["value"] for r in logs.records("context", task_id=started["task"])}
    assert (task["name"], task["description"], task["author"]) == (name, text, "mcp:tester")
    assert (context["k"], context["s"]) == ({"it's": [1, None]}, "{x}$y")
    assert context["two  blanks"] == 'a  "b  c"\nd\te'
    assert (failed["ok"], failed["task"]) == (True, "T-0000")


@promise("mcp.rollback")
def test_going_back_needs_a_dry_run_first_and_that_nothing_ran_since(agent: Agent) -> None:
    agent.run("state = 'before'")
    agent.call("checkpoint", name="mark")
    agent.run("state = 'after'")
    straight = agent.call("rollback", to="mark", dry_run=False, confirm="guessed").said
    dry = agent.call("rollback", to="mark").said
    agent.run("meanwhile = 1")
    late = agent.call("rollback", to="mark", dry_run=False, confirm=dry["confirm"]).said
    again = agent.call("rollback", to="mark").said
    done = agent.call("rollback", to="mark", dry_run=False, confirm=again["confirm"]).said

    assert straight["dry_run"]
    assert dry["dry_run"]
    assert "would go back to mark" in dry["result"]
    assert late["err"]["type"] == "StaleRevision"
    assert done["ok"]
    assert agent.run("state")["result"] == "'before'"


@promise("mcp.looks")
def test_looks_are_answered_and_recorded_with_the_name_of_the_agent(agent: Agent) -> None:
    agent.run("table = {'a': [1, 2], 'b': 'text'}; big = list(range(10_000))")
    views = {view: agent.call("get_variable", name="table", view=view).said["value"]
             for view in ("repr", "schema", "head")}  # fmt: skip
    big = agent.call("get_variable", name="big")
    names = agent.call("get_variable").said["variables"]
    history = agent.call("get_history", kinds=["cell"], limit=50)
    agent.run("1")

    assert views["repr"] == views["head"] == "{'a': [1, 2], 'b': 'text'}"
    assert "'a': list" in views["schema"]
    assert len(big.text) <= _LIMIT
    assert len(history.text) <= _LIMIT
    assert any(line.startswith("table: dict") for line in names)
    assert history.said["items"][-1]["by"] == "mcp:tester"
    asked = TaskLogs(agent.home).records("hidden", actor="mcp:tester")
    # One record or two: each is of what was asked until the log was synced.
    said = " ".join(each["reason"] for each in asked if "asked by mcp:tester: " in each["reason"])
    assert "get_variable x" in said
    assert "get_history x1" in said


@promise("mcp.looks")
def test_resources_hold_the_timeline_the_report_and_a_difference(agent: Agent) -> None:
    started = agent.call("task", action="start", name="Read me").said
    agent.run("told = 1")
    agent.call("checkpoint", name="one")
    agent.run("told = 2")
    agent.call("checkpoint", name="two")
    agent.call("task", action="finish")

    assert "told = 2" in agent.read("flow://session/timeline")
    assert "Read me" in agent.read(f"flow://report/{started['task']}")
    assert "told" in agent.read("flow://checkpoint/two/diff")


@promise("mcp.task")
def test_a_workflow_is_run_from_a_spec(agent: Agent) -> None:
    spec = {
        "name": "sum",
        "steps": [{"name": "add", "order": 1, "code": "print('{\"total\": 3}')"}],
    }
    said = agent.call("run_workflow", spec=spec, variables={"x": "{a} $b"}).said

    assert said["ok"], said


# -- beside a person -----------------------------------------------------------------------------


@promise("mcp.beside")
def test_the_agent_works_in_the_open_notebook_under_its_own_name(
    beside: Agent, flow: Kernel
) -> None:
    flow.run("mine = 1", metadata={"flow": {"actor": 5}})
    said = beside.run("theirs = mine + 1; theirs")
    flow.run("both = mine + theirs")

    records = {r["code"]: r for r in flow.logs.records("cell")}
    assert said["result"] == "2"
    assert records["mine = 1"]["actor"] == "user"
    assert records["theirs = mine + 1; theirs"]["actor"] == "mcp:helper"
    assert records["both = mine + theirs"]["actor"] == "user"


@promise("mcp.beside")
def test_a_cell_of_the_person_in_between_stops_an_agent_that_expects_none(
    beside: Agent, flow: Kernel
) -> None:
    rev = beside.run("ours = 1")["rev"]
    fine = beside.run("ours = 2", expect_rev=rev)
    flow.run("ours = 'of the person'")
    stale = beside.call("run_cell", code="ours = 3", expect_rev=fine["rev"])
    wrong = beside.call("run_cell", code="ours = 4", expect_rev=10**9)

    assert (fine["ok"], stale.is_error) == (True, True)
    assert stale.said["err"]["type"] == wrong.said["err"]["type"] == "StaleRevision"
    assert f"rev {fine['rev']}" in stale.said["err"]["msg"]
    assert beside.run("ours")["result"] == "'of the person'"


@promise("mcp.once")
def test_the_kernel_runs_a_cell_that_may_run_once_no_second_time(flow: Kernel) -> None:
    once = {"flow": {"once": "name of a run"}}
    ran, again = (flow.run("n = globals().get('n', 0) + 1\nn", metadata=once) for _ in range(2))

    assert (ran.result, again.error["ename"] if again.error else "") == ("1", "RepeatedRequest")
    assert flow.run("n").result == "1"


@promise("mcp.beside")
def test_while_a_cell_of_the_person_runs_the_agent_can_look(beside: Agent, flow: Kernel) -> None:
    flow.run("seen = [1, 2]")
    msg_id = flow.send("import time\nwhile 'stop' not in globals(): time.sleep(0.01)")
    until(lambda: beside.call("run_status").said["busy"])
    seen = beside.call("get_variable", name="seen").said
    flow.interrupt()
    flow.collect(msg_id)

    assert seen["value"] == "seen: list [1, 2]"
    assert seen["from"].startswith("record ")


# -- questions -----------------------------------------------------------------------------------


@promise("mcp.asks")
def test_without_a_way_to_ask_the_question_waits_for_a_person_elsewhere(agent: Agent) -> None:
    asked = agent.call("request_approval", message="Drop 3 rows?", payload=[1, 2, 3], risk="high")
    approval_id = asked.said["approval"]
    again = agent.call("request_approval", message="Drop 3 rows?", payload=[1, 2, 3], risk="high")
    waiting = agent.begin("run_status", run=approval_id, wait_s=20)
    approve(agent.home, approval_id)
    answered = waiting.result(20).said
    told = agent.call("run_status", run=approval_id).said
    used = agent.call("request_approval", message="Drop 3 rows?", payload=[1, 2, 3], risk="high")
    changed = agent.call("request_approval", message="Drop 3 rows?", payload=[1, 2], risk="high")

    assert (asked.said["status"], again.said["approval"]) == ("open", approval_id)
    assert (answered["status"], answered["by"], answered["channel"]) == ("approved", "ann", "cli")
    assert (answered["ok"], told["status"], "ok" in told) == (True, "used", False)
    assert (used.said["status"], used.said["approval"] == approval_id) == ("open", False)
    assert (changed.said["status"], changed.said["approval"] == approval_id) == ("open", False)


@pytest.mark.parametrize("mode", ERAS)
@promise("mcp.asks")
def test_a_client_that_can_ask_its_person_passes_the_answer_on(flow: Kernel, mode: str) -> None:
    def answer(message: str) -> dict[str, Any] | None:
        if "decline" in message:
            return None
        return {"decision": "reject" if "no" in message else "approve", "comment": "as agreed"}

    with Agent(home=flow.home, mode=mode, name="asker", elicits=answer) as agent:
        yes = agent.call("request_approval", message=f"yes {mode}?", payload={"a": 1}).said
        no = agent.call("request_approval", message=f"no {mode}?").said
        none = agent.call("request_approval", message=f"decline {mode}").said
        long = agent.call("request_approval", message=f"yes {mode}!", code="x = 1\n" * 700).said

        assert agent.asked[0] == f'yes {mode}?\n\npayload:\n{{\n  "a": 1\n}}'
        assert (yes["status"], yes["by"], yes["channel"]) == ("approved", "mcp:asker", "mcp")
        assert (yes["comment"], no["status"], "ok" in no) == ("as agreed", "rejected", False)
        assert none["status"] == "open"
        assert (long["status"], len(agent.asked)) == ("open", 3)
        assert long["note"] == "code and payload are too long to be shown through this client"


@promise("mcp.asks", "approval.policy")
def test_the_policy_of_the_session_holds_up_a_risky_cell_of_an_agent_too() -> None:
    code = "import shutil\nshutil.rmtree('nothing_here')"
    with Agent("--new", env={"FLOW_APPROVE": "confirm_if_risky"}) as agent:
        held = agent.call("run_cell", code=code)
        opened = agent.call("run_status").said["open_approvals"]
        approve(agent.home, "A-0001")
        ran = agent.call("run_cell", code=code)

        assert (held.is_error, held.said["err"]["type"]) == (True, "ApprovalPending")
        assert opened == ["A-0001 run a risky cell: deletes files or tables (line 2)"]
        assert ran.said["err"]["type"] == "FileNotFoundError"


@promise("mcp.asks")
def test_where_only_people_may_answer_no_client_is_asked() -> None:
    env = {"FLOW_HUMAN_ONLY": "1"}
    with Agent("--new", elicits=lambda _: {"decision": "approve"}, env=env) as agent:
        asked = agent.call("request_approval", message="sure?").said

        assert (asked["status"], agent.asked) == ("open", [])


@promise("mcp.asks")
def test_an_answer_from_elsewhere_ends_the_wait_for_the_client(flow: Kernel) -> None:
    def slow(_message: str) -> dict[str, Any] | None:
        rows = flow.logs.records("approval", message="first wins?")
        approve(flow.home, rows[-1]["approval_id"], "reject")
        return {"decision": "approve"}

    with Agent(home=flow.home, mode=LEGACY, elicits=slow) as agent:
        said = agent.call("request_approval", message="first wins?").said

        assert (said["status"], said["by"], said["channel"]) == ("rejected", "ann", "cli")
